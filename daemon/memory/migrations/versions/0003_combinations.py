"""Combinations of spectra."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TEXTS = ("group_key", "key", "night", "target", "setup", "state")
_JSON = ("members", "excluded", "paths", "hashes", "measurements")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "combination",
        sa.Column("id", sa.Integer(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.Column("exposure_s", sa.Float(), nullable=False),
        *(sa.Column(name, sa.JSON(), nullable=False) for name in _JSON),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("group_key"),
    )
    op.create_index("ix_combination_night", "combination", ["night"])


def downgrade() -> None:
    """Drop it again."""
    op.drop_index("ix_combination_night", "combination")
    op.drop_table("combination")
