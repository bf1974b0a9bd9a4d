"""One list of a Storage Commitment request is found by its moment."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index: an open series asks for its lists ten times a second."""
    op.create_index(op.f("ix_announcement_at"), "announcement", ["at"], unique=False)


def downgrade() -> None:
    """Drop it."""
    op.drop_index(op.f("ix_announcement_at"), "announcement")
