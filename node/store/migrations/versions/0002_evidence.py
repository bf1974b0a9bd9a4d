"""What others say that there is: announcements, archives' lists, and what we fetch."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "announcement",
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=True),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("line", name=op.f("pk_announcement")),
    )
    name = op.f("ix_announcement_study_instance_uid")
    op.create_index(name, "announcement", ["study_instance_uid"], unique=False)
    op.create_table(
        "archive_list",
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("instances", sa.JSON(), nullable=True),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("ask_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("series_instance_uid", name=op.f("pk_archive_list")),
    )
    op.create_table(
        "retrieval",
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("sop_instance_uid", name=op.f("pk_retrieval")),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("retrieval")
    op.drop_table("archive_list")
    op.drop_table("announcement")
