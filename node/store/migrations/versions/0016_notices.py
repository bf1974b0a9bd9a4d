"""Whether it was told that a job has no result."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what ended before is told no more."""
    op.add_column("job", sa.Column("noticed_at", sa.Double(), nullable=True))
    op.execute("UPDATE job SET noticed_at = ended_at WHERE state = 'CANCELED'")
    op.create_index(op.f("ix_job_state_noticed_at"), "job", ["state", "noticed_at"], unique=False)


def downgrade() -> None:
    """Drop it."""
    op.drop_index(op.f("ix_job_state_noticed_at"), table_name="job")
    op.drop_column("job", "noticed_at")
