"""Alerts on new sources."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TEXTS = ("name", "urgency", "told_as", "headline", "night", "programme")
_INDICES = {
    "ix_alert_dec": ["dec_deg"],
    "ix_alert_night": ["night", "programme"],
    "ix_alert_told": ["told_at"],
}


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "alert",
        sa.Column("id", sa.Integer(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("ra_deg", "dec_deg")),
        *(
            sa.Column(name, sa.DateTime(timezone=True), nullable=False)
            for name in ("first_at", "last_at", "told_at")
        ),
        sa.Column("detections", sa.Integer(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        *(sa.Column(name, sa.JSON(), nullable=False) for name in ("document", "reports")),
        sa.UniqueConstraint("name"),
    )
    for name, columns in _INDICES.items():
        op.create_index(name, "alert", columns)


def downgrade() -> None:
    """Drop it again."""
    for name in _INDICES:
        op.drop_index(name, "alert")
    op.drop_table("alert")
