"""Every verdict as it was given."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TEXTS = ("product_key", "stem", "night", "recipe", "decision", "user", "remark")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "judgement",
        sa.Column("id", sa.Integer(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("answers", sa.JSON(), nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_judgement_product", "judgement", ["product_key"])


def downgrade() -> None:
    """Drop it again."""
    op.drop_index("ix_judgement_product", "judgement")
    op.drop_table("judgement")
