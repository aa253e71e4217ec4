"""Transactions: one for writing, one for reading, or the caller's own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

#: Execution option of a transaction that will not write; the engine may begin it more lightly.
READING = "reading"


@contextmanager
def writing(engine: Engine, within: Session | None = None) -> Iterator[Session]:
    """Open a writing transaction, committed at the end; join `within` when it is given."""
    if within is not None:
        yield within
        within.flush()
        return
    with Session(engine, expire_on_commit=False) as session, session.begin():
        session.connection()  # begins now, not at the first statement
        yield session


@contextmanager
def reading(engine: Engine, within: Session | None = None) -> Iterator[Session]:
    """Open a transaction that sees one state of the database; join `within` when it is given."""
    if within is not None:
        yield within
        return
    with Session(engine.execution_options(**{READING: True})) as session:
        yield session
