"""What `status` tells of the outbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.status_lines import LetterLine, OutboxLines

if TYPE_CHECKING:
    import sqlite3

    from daemon.status_queries import Reader

_TROUBLED = (
    "SELECT notice.topic, notice.subject, notice.text, delivery.sink, delivery.address,"
    " delivery.state, delivery.attempts, delivery.error FROM delivery"
    " JOIN notice ON notice.id = delivery.notice_id"
    " WHERE delivery.state IN ('dead', 'unknown')"
    " OR (delivery.state = 'waiting' AND delivery.error <> '')"
    " ORDER BY delivery.state = 'dead' DESC, delivery.id DESC LIMIT ?"
)


def outbox(reader: Reader, recent: int) -> OutboxLines:
    """Return the state of the outbox."""
    return OutboxLines(
        counts=reader.pairs("SELECT state, count(*) FROM delivery GROUP BY state"),
        troubled=tuple(_line(row) for row in reader.rows(_TROUBLED, recent)),
    )


def _line(row: sqlite3.Row) -> LetterLine:
    title = (row["subject"] or row["text"]).strip().splitlines()
    return LetterLine(
        topic=row["topic"],
        title=title[0] if title else "",
        sink=row["sink"],
        address=row["address"],
        state=row["state"],
        attempts=row["attempts"],
        error=row["error"],
    )
