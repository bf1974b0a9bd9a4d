"""A queue for each destination: its circuit breaker, its index; and the identity check before sending."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them; results that exist were delivered, or are, without a check."""
    op.create_table('circuit',
    sa.Column('destination', sa.String(length=64), nullable=False),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('reason', sa.String(length=64), nullable=False),
    sa.Column('failed_at', sa.Double(), nullable=False),
    sa.Column('opened_at', sa.Double(), nullable=True),
    sa.Column('due_at', sa.Double(), nullable=False),
    sa.PrimaryKeyConstraint('destination', name=op.f('pk_circuit'))
    )
    op.create_table('identity_check',
    sa.Column('job_id', sa.String(length=64), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.String(length=64), nullable=True),
    sa.Column('detail', sa.String(length=1024), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('due_at', sa.Double(), nullable=False),
    sa.Column('created_at', sa.Double(), nullable=False),
    sa.Column('ended_at', sa.Double(), nullable=True),
    sa.ForeignKeyConstraint(['job_id'], ['job.job_id'], name=op.f('fk_identity_check_job_id')),
    sa.PrimaryKeyConstraint('job_id', name=op.f('pk_identity_check'))
    )
    op.create_index(op.f('ix_identity_check_state_due_at'), 'identity_check', ['state', 'due_at'], unique=False)
    op.create_index(op.f('ix_delivery_destination_state_due_at'), 'delivery', ['destination', 'state', 'due_at'], unique=False)


def downgrade() -> None:
    """Drop them."""
    op.drop_index(op.f('ix_delivery_destination_state_due_at'), table_name='delivery')
    op.drop_table('identity_check')
    op.drop_table('circuit')
