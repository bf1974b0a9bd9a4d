"""Confirmations: what archives were asked about the instances that they took, each under its Transaction UID."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, and when the archive of held instances was asked last."""
    op.add_column('commitment_held', sa.Column('ask_at', sa.Double(), nullable=True))
    op.create_table('confirmation',
    sa.Column('transaction_uid', sa.String(length=64), nullable=False),
    sa.Column('delivery_id', sa.String(length=64), nullable=True),
    sa.Column('peer', sa.String(length=64), nullable=False),
    sa.Column('study_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('listed', sa.JSON(), nullable=False),
    sa.Column('way', sa.String(length=16), nullable=False),
    sa.Column('fallback', sa.String(length=64), nullable=True),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('failures', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('reason', sa.String(length=64), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('due_at', sa.Double(), nullable=False),
    sa.Column('claim_uid', sa.String(length=64), nullable=True),
    sa.Column('lease_until', sa.Double(), nullable=True),
    sa.Column('created_at', sa.Double(), nullable=False),
    sa.Column('asked_at', sa.Double(), nullable=True),
    sa.Column('ended_at', sa.Double(), nullable=True),
    sa.ForeignKeyConstraint(['delivery_id'], ['delivery.delivery_id'], name=op.f('fk_confirmation_delivery_id_delivery')),
    sa.PrimaryKeyConstraint('transaction_uid', name=op.f('pk_confirmation'))
    )
    op.create_index(op.f('ix_confirmation_delivery_id'), 'confirmation', ['delivery_id'], unique=False)
    op.create_index(op.f('ix_confirmation_peer_state_due_at'), 'confirmation', ['peer', 'state', 'due_at'], unique=False)


def downgrade() -> None:
    """Drop them."""
    op.drop_index(op.f('ix_confirmation_peer_state_due_at'), table_name='confirmation')
    op.drop_index(op.f('ix_confirmation_delivery_id'), table_name='confirmation')
    op.drop_table('confirmation')
    op.drop_column('commitment_held', 'ask_at')
