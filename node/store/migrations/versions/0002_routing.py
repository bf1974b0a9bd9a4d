"""Why a series was excluded; deadlines of jobs

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what is on record has neither exclusion nor deadline."""
    op.add_column("series", sa.Column("excluded", sa.String(length=64)))
    op.add_column("job", sa.Column("deadline_at", sa.Double()))
    op.add_column("job", sa.Column("missed_at", sa.Double()))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("job", "missed_at")
    op.drop_column("job", "deadline_at")
    op.drop_column("series", "excluded")
