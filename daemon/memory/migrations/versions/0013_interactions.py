"""What people do in conversations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_TEXTS = ("user", "channel", "mark", "said", "answer")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "interaction",
        sa.Column("key", sa.Text(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_interaction_at", "interaction", ["at"])


def downgrade() -> None:
    """Drop it again."""
    op.drop_index("ix_interaction_at", "interaction")
    op.drop_table("interaction")
