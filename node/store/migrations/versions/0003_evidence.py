"""What archives say that there is, and what we fetch."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
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
