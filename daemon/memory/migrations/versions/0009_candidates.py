"""Candidates: sources that no catalogue lists."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_INTEGERS = ("source_id", "frame_id", "number", "zone", "colour")
_TEXTS = ("night", "method", "band", "standing", "name")
_PLACES = ("ra_deg", "dec_deg", "x_px", "y_px")
_NUMBERS = ("position_error_arcsec", "magnitude", "magnitude_error", "snr", "score")
_JSON = ("shape", "vetoes", "reasons", "measurements")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "candidate",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column(
            "product_id",
            sa.Integer(),
            sa.ForeignKey("product.id", ondelete="CASCADE"),
            nullable=False,
        ),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in _INTEGERS),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS),
        *(sa.Column(name, sa.Float(), nullable=False) for name in _PLACES),
        *(sa.Column(name, sa.Float(), nullable=True) for name in _NUMBERS),
        *(sa.Column(name, sa.JSON(), nullable=False) for name in _JSON),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("product_id", "method", "number"),
    )
    op.create_index("ix_candidate_place", "candidate", ["zone", "ra_deg"])
    op.create_index("ix_candidate_source", "candidate", ["source_id"])
    op.create_index("ix_candidate_night", "candidate", ["night", "standing"])


def downgrade() -> None:
    """Drop it again."""
    op.drop_table("candidate")
