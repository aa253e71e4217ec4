"""What came of the canaries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "canary",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("took_s", sa.Float(), nullable=False),
        sa.Column("wavelength_px", sa.Float(), nullable=True),
        sa.Column("flux_ratio", sa.Float(), nullable=True),
        sa.Column("problems", sa.JSON(), nullable=False),
    )
    op.create_index("ix_canary_ended", "canary", ["ended_at"])


def downgrade() -> None:
    """Drop it again."""
    op.drop_table("canary")
