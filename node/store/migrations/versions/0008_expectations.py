"""What the rules decided of a series; what is expected of a study by when; late instances.

Revision ID: 0008
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make room; a study that is on record is expected by nobody: its deadline was its job's."""
    op.create_table(
        "expectation",
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=255), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("deadline_at", sa.Double(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64)),
        sa.Column("detail", sa.String(length=1024)),
        sa.Column("judged_at", sa.Double()),
        sa.ForeignKeyConstraint(
            ["study_instance_uid"],
            ["study.study_instance_uid"],
            name=op.f("fk_expectation_study_instance_uid"),
        ),
        sa.PrimaryKeyConstraint("study_instance_uid", "rule", name=op.f("pk_expectation")),
    )
    op.create_index(op.f("ix_expectation_state_deadline_at"), "expectation", ["state", "deadline_at"])
    op.add_column("series", sa.Column("routing", sa.JSON()))
    op.add_column(
        "series", sa.Column("late", sa.Integer(), nullable=False, server_default=sa.text("0"))
    )
    op.add_column("series", sa.Column("expected_at", sa.Double()))
    op.execute("UPDATE series SET expected_at = 0")
    op.create_index(op.f("ix_series_expected_at"), "series", ["expected_at"])
    op.drop_column("job", "missed_at")


def downgrade() -> None:
    """Take it away again."""
    op.add_column("job", sa.Column("missed_at", sa.Double()))
    op.drop_index(op.f("ix_series_expected_at"), table_name="series")
    op.drop_column("series", "expected_at")
    op.drop_column("series", "late")
    op.drop_column("series", "routing")
    op.drop_table("expectation")
