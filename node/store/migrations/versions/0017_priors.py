"""Series of earlier studies that jobs compare with."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table and the marks; nothing that is there was fetched to compare with."""
    op.create_table(
        "prior",
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("prior_study_uid", sa.String(length=64), nullable=True),
        sa.Column("prior_series_uid", sa.String(length=64), nullable=True),
        sa.Column("listed", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("tried", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.job_id"], name=op.f("fk_prior_job_id")),
        sa.PrimaryKeyConstraint("job_id", "name", name=op.f("pk_prior")),
    )
    op.create_index(op.f("ix_prior_state_due_at"), "prior", ["state", "due_at"], unique=False)
    for table in ("series", "job_input"):
        op.add_column(
            table, sa.Column("prior", sa.Integer(), server_default="0", nullable=False)
        )


def downgrade() -> None:
    """Drop them."""
    for table in ("job_input", "series"):
        op.drop_column(table, "prior")
    op.drop_index(op.f("ix_prior_state_due_at"), table_name="prior")
    op.drop_table("prior")
