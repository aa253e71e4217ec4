"""What a person asked for and decided about a product, and what it was made by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXTS = ("recipe_digest", "verdict", "verdict_by")


def upgrade() -> None:
    """Add the columns, empty for what is there, and the index that finds a frame's neighbour."""
    for name in _TEXTS:
        op.add_column("product", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.add_column("product", sa.Column("redo", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("product", sa.Column("verdict_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_revision_taken", "revision", ["current", "instrument", "night", "observed_at"]
    )


def downgrade() -> None:
    """Take them away again."""
    op.drop_index("ix_revision_taken", "revision")
    for name in (*_TEXTS, "redo", "verdict_at"):
        op.drop_column("product", name)
