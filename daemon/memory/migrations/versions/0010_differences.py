"""Difference images and light curves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "difference",
        sa.Column("id", sa.Integer(), primary_key=True),
        _frame(),
        *_texts("product_key", "night", "template", "method", "why"),
        *(
            sa.Column(name, sa.JSON(), nullable=False)
            for name in ("rejected", "paths", "hashes", "measurements")
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("frame_id"),
    )
    op.create_index("ix_difference_night", "difference", ["night"])
    op.create_table(
        "light",
        sa.Column("id", sa.Integer(), primary_key=True),
        _frame(),
        *_texts("target", "method", "product_key", "stem", "band", "why"),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=True),
        *_numbers("exposure_s", "ra_deg", "dec_deg", nullable=False),
        *_numbers("flux", "flux_error", "zero_point_mag", "zero_point_error_mag", nullable=True),
        sa.UniqueConstraint("target", "frame_id", "method"),
    )
    op.create_index("ix_light_target", "light", ["target", "observed_at"])


def downgrade() -> None:
    """Drop them again."""
    op.drop_table("light")
    op.drop_table("difference")


def _frame() -> sa.Column[int]:
    key = sa.ForeignKey("frame.id", ondelete="CASCADE")
    return sa.Column("frame_id", sa.Integer(), key, nullable=False)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _numbers(*names: str, nullable: bool) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Float(), nullable=nullable) for name in names]
