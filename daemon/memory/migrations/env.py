"""Runs migrations inside the transaction of `daemon.memory.database`."""

from __future__ import annotations

from alembic import context

import daemon.memory.canary_tables
import daemon.memory.candidate_tables
import daemon.memory.difference_tables
import daemon.memory.notice_tables
import daemon.memory.tables
import daemon.memory.trigger_tables  # noqa: F401  (all fill the metadata)
from calibration_store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
