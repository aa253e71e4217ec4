"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table, those that others point to first."""
    _create_file()
    _create_frame()
    _create_heartbeat()
    _create_job()
    _create_master()
    _create_notice()
    _create_master_input()
    _create_master_parent()
    _create_product()
    _create_revision()
    _create_decision()
    _create_flag()
    _create_measurement()
    _create_product_input()
    _create_revision_set()


def _create_file() -> None:
    op.create_table(
        "file",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file")),
        sa.UniqueConstraint("path", name=op.f("uq_file_path")),
    )
    op.create_index("ix_file_sha256", "file", ["sha256"], unique=False)
    op.create_index("ix_file_state", "file", ["state", "last_seen"], unique=False)


def _create_frame() -> None:
    op.create_table(
        "frame",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("stem", sa.Text(), nullable=False),
        sa.Column("night", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_frame")),
        sa.UniqueConstraint("stem", "night", name=op.f("uq_frame_stem_night")),
    )
    op.create_index("ix_frame_night", "frame", ["night"], unique=False)


def _create_heartbeat() -> None:
    op.create_table(
        "heartbeat",
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("progress", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("who", name=op.f("pk_heartbeat")),
    )


def _create_job() -> None:
    op.create_table(
        "job",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
    )
    op.create_index("ix_job_count", "job", ["state", "kind"], unique=False)
    op.create_index("ix_job_due", "job", ["state", "not_before"], unique=False)
    op.create_index("ix_job_key", "job", ["key", "state"], unique=False)
    op.create_index("ix_job_next", "job", ["state", "priority", "id"], unique=False)
    op.create_index(
        "uq_job_running",
        "job",
        ["key"],
        unique=True,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index(
        "uq_job_waiting",
        "job",
        ["key"],
        unique=True,
        sqlite_where=sa.text("state IN ('waiting', 'blocked')"),
        postgresql_where=sa.text("state IN ('waiting', 'blocked')"),
    )


def _create_master() -> None:
    op.create_table(
        "master",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("instrument", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("set_key", sa.Text(), nullable=False),
        sa.Column("night", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("setup", sa.JSON(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("built_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("aperture_y_px", sa.Float(), nullable=True),
        sa.Column("measurements", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_master")),
        sa.UniqueConstraint("key", name=op.f("uq_master_key")),
    )
    op.create_index(
        "ix_master_choice", "master", ["role", "instrument", "state", "observed_at"], unique=False
    )
    op.create_index("ix_master_night", "master", ["night", "state"], unique=False)
    op.create_index(
        "ix_master_set", "master", ["set_key", "night", "role", "version"], unique=False
    )


def _create_notice() -> None:
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dedup_key", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("attachments", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sa.UniqueConstraint("dedup_key", name=op.f("uq_notice_dedup_key")),
    )
    op.create_index("ix_notice_due", "notice", ["state", "next_try"], unique=False)


def _create_master_input() -> None:
    op.create_table(
        "master_input",
        sa.Column("master_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("stem", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["master_id"],
            ["master.id"],
            name=op.f("fk_master_input_master_id_master"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("master_id", "position", name=op.f("pk_master_input")),
    )
    op.create_index("ix_master_input_sha256", "master_input", ["sha256"], unique=False)


def _create_master_parent() -> None:
    op.create_table(
        "master_parent",
        sa.Column("master_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["master_id"],
            ["master.id"],
            name=op.f("fk_master_parent_master_id_master"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("master_id", "position", name=op.f("pk_master_parent")),
    )
    op.create_index("ix_master_parent_key", "master_parent", ["key"], unique=False)


def _create_product() -> None:
    op.create_table(
        "product",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("frame_id", sa.Integer(), nullable=False),
        sa.Column("frame_sha256", sa.Text(), nullable=False),
        sa.Column("stem", sa.Text(), nullable=False),
        sa.Column("night", sa.Text(), nullable=False),
        sa.Column("recipe", sa.Text(), nullable=False),
        sa.Column("recipe_version", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.Column("flag_bits", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("paths", sa.JSON(), nullable=False),
        sa.Column("hashes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("latency_s", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["frame_id"], ["frame.id"], name=op.f("fk_product_frame_id_frame"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product")),
        sa.UniqueConstraint("key", "generation", name=op.f("uq_product_key_generation")),
    )
    op.create_index("ix_product_created", "product", ["state", "created_at"], unique=False)
    op.create_index("ix_product_frame", "product", ["frame_id", "created_at"], unique=False)
    op.create_index("ix_product_overview", "product", ["night", "state", "quality"], unique=False)
    op.create_index(
        "uq_product_current",
        "product",
        ["frame_id"],
        unique=True,
        sqlite_where=sa.text("state <> 'superseded'"),
        postgresql_where=sa.text("state <> 'superseded'"),
    )


def _create_revision() -> None:
    op.create_table(
        "revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("frame_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("night", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("instrument", sa.Text(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("identity", sa.JSON(), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["frame_id"], ["frame.id"], name=op.f("fk_revision_frame_id_frame"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revision")),
        sa.UniqueConstraint("frame_id", "revision", name=op.f("uq_revision_frame_id_revision")),
        sa.UniqueConstraint("sha256", name=op.f("uq_revision_sha256")),
    )
    op.create_index("ix_revision_arrived", "revision", ["current", "arrived_at"], unique=False)
    op.create_index(
        "ix_revision_kind",
        "revision",
        ["kind", "current", "instrument", "observed_at"],
        unique=False,
    )
    op.create_index("ix_revision_overview", "revision", ["current", "night", "kind"], unique=False)
    op.create_index("ix_revision_path", "revision", ["path"], unique=False)
    op.create_index(
        "uq_revision_current",
        "revision",
        ["frame_id"],
        unique=True,
        sqlite_where=sa.text("current = 1"),
        postgresql_where=sa.text("current"),
    )


def _create_decision() -> None:
    op.create_table(
        "decision",
        sa.Column("product_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("master_key", sa.Text(), nullable=False),
        sa.Column("rung", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("rejected", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["product_id"],
            ["product.id"],
            name=op.f("fk_decision_product_id_product"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("product_id", "position", name=op.f("pk_decision")),
    )


def _create_flag() -> None:
    op.create_table(
        "flag",
        sa.Column("product_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("bit", sa.BigInteger(), nullable=False),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("threshold", sa.Float(), nullable=True),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["product_id"],
            ["product.id"],
            name=op.f("fk_flag_product_id_product"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("product_id", "position", name=op.f("pk_flag")),
    )
    op.create_index("ix_flag_name", "flag", ["name"], unique=False)


def _create_measurement() -> None:
    op.create_table(
        "measurement",
        sa.Column("product_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["product_id"],
            ["product.id"],
            name=op.f("fk_measurement_product_id_product"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("product_id", "name", name=op.f("pk_measurement")),
    )
    op.create_index("ix_measurement_name", "measurement", ["name"], unique=False)


def _create_product_input() -> None:
    op.create_table(
        "product_input",
        sa.Column("product_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["product_id"],
            ["product.id"],
            name=op.f("fk_product_input_product_id_product"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("product_id", "position", name=op.f("pk_product_input")),
    )
    op.create_index("ix_product_input_key", "product_input", ["key"], unique=False)


def _create_revision_set() -> None:
    op.create_table(
        "revision_set",
        sa.Column("revision_id", sa.Integer(), nullable=False),
        sa.Column("set_key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["revision_id"],
            ["revision.id"],
            name=op.f("fk_revision_set_revision_id_revision"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("revision_id", "set_key", name=op.f("pk_revision_set")),
    )
    op.create_index("ix_revision_set_key", "revision_set", ["set_key"], unique=False)


def downgrade() -> None:
    """Drop every table with its indices, those that point to others first."""
    for table in (
        "revision_set",
        "product_input",
        "measurement",
        "flag",
        "decision",
        "revision",
        "product",
        "master_parent",
        "master_input",
        "notice",
        "master",
        "job",
        "heartbeat",
        "frame",
        "file",
    ):
        op.drop_table(table)
