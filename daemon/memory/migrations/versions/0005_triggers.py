"""Notices of events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TEXTS = (
    "sha256", "state", "reason", "file", "subject", "mission", "instrument", "kind", "event",
    "name", "role",
)  # fmt: skip
_INDICES = {
    "ix_trigger_subject": ["subject"],
    "ix_trigger_happened": ["happened_at"],
    "ix_trigger_received": ["state", "received_at"],
}


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "trigger",
        sa.Column("id", sa.Integer(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retraction", sa.Boolean(), nullable=False),
        sa.Column("grade", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        *(
            sa.Column(name, sa.Float(), nullable=True)
            for name in ("ra_deg", "dec_deg", "r90_arcsec")
        ),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=True),
        sa.UniqueConstraint("sha256"),
    )
    for name, columns in _INDICES.items():
        op.create_index(name, "trigger", columns)


def downgrade() -> None:
    """Drop it again."""
    for name in _INDICES:
        op.drop_index(name, "trigger")
    op.drop_table("trigger")
