"""The outbox: messages with all that sinks need, and one row for each delivery."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NOTICE_TEXTS = (
    *("dedup_key", "topic", "subject", "text", "html", "night", "target", "programme"),
    *("slot", "storm"),
)
_NOTICE_JSON = ("attachments", "blocks", "payload", "recipients", "avoided")


def upgrade() -> None:
    """Create the tables; nothing was ever queued in the first form of `notice`."""
    op.drop_index("ix_notice_due", "notice")
    op.drop_table("notice")
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _NOTICE_TEXTS),
        *(sa.Column(name, sa.JSON(), nullable=False) for name in _NOTICE_JSON),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("routed", sa.Boolean(), nullable=False),
        sa.Column("next_try", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("dedup_key"),
    )
    op.create_index("ix_notice_due", "notice", ["routed", "next_try"])
    op.create_index("ix_notice_slot", "notice", ["slot"])
    _create_delivery()


def _create_delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column(
            "notice_id",
            sa.Integer(),
            sa.ForeignKey("notice.id", ondelete="CASCADE"),
            nullable=False,
        ),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("sink", "address", "state", "error", "remote")
        ),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("prepared", sa.JSON(), nullable=False),
        sa.Column("next_try", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("gathered_in", sa.Integer(), sa.ForeignKey("delivery.id"), nullable=True),
        sa.UniqueConstraint("notice_id", "sink", "address"),
    )
    op.create_index("ix_delivery_due", "delivery", ["state", "next_try"])
    op.create_index("ix_delivery_place", "delivery", ["sink", "address", "state"])
    op.create_index("ix_delivery_gathered", "delivery", ["gathered_in"])


def downgrade() -> None:
    """Go back to the first form of `notice`, empty."""
    op.drop_table("delivery")
    op.drop_table("notice")
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer(), primary_key=True),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("dedup_key", "topic", "text", "state", "error")
        ),
        sa.Column("attachments", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("dedup_key"),
    )
    op.create_index("ix_notice_due", "notice", ["state", "next_try"])
