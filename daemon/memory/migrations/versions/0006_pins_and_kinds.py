"""Masters and kinds of frames that a person has chosen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "pin",
        sa.Column("master_key", sa.Text(), primary_key=True),
        sa.Column("night", sa.Text(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("role", "user", "reason")),
        sa.Column("pinned_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "kind_change",
        sa.Column("id", sa.Integer(), primary_key=True),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("sha256", "kind_before", "kind", "user", "reason")
        ),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_kind_change_sha256", "kind_change", ["sha256"])


def downgrade() -> None:
    """Drop them again."""
    op.drop_index("ix_kind_change_sha256", "kind_change")
    op.drop_table("kind_change")
    op.drop_table("pin")
