"""Withdrawals of what was delivered under an identity that was corrected."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

NOW = "(julianday('now') - 2440587.5) * 86400.0"


def upgrade() -> None:
    """Create the table, and the trigger that enters each of its rows in the ledger's second book."""
    op.create_table('withdrawal',
    sa.Column('withdrawal_id', sa.String(length=64), nullable=False),
    sa.Column('delivery_id', sa.String(length=64), nullable=False),
    sa.Column('study_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('destination', sa.String(length=64), nullable=False),
    sa.Column('cause', sa.String(length=64), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.String(length=64), nullable=True),
    sa.Column('detail', sa.String(length=1024), nullable=True),
    sa.Column('receipt', sa.JSON(), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('lost_leases', sa.Integer(), nullable=False),
    sa.Column('due_at', sa.Double(), nullable=False),
    sa.Column('transaction_uid', sa.String(length=64), nullable=True),
    sa.Column('lease_until', sa.Double(), nullable=True),
    sa.Column('created_at', sa.Double(), nullable=False),
    sa.Column('ended_at', sa.Double(), nullable=True),
    sa.ForeignKeyConstraint(['delivery_id'], ['delivery.delivery_id'], name=op.f('fk_withdrawal_delivery_id')),
    sa.PrimaryKeyConstraint('withdrawal_id', name=op.f('pk_withdrawal')),
    sa.UniqueConstraint('delivery_id', name=op.f('uq_withdrawal_delivery_id'))
    )
    op.create_index(op.f('ix_withdrawal_state_due_at'), 'withdrawal', ['state', 'due_at'], unique=False)
    op.create_index(op.f('ix_withdrawal_study_instance_uid'), 'withdrawal', ['study_instance_uid'], unique=False)
    op.execute(
        "CREATE TRIGGER withdrawal_entitles AFTER INSERT ON withdrawal BEGIN "
        "INSERT INTO entitlement (at, kind, subject, belongs_to) "
        f"VALUES ({NOW}, 'withdrawal', NEW.withdrawal_id, NEW.delivery_id); END"
    )


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TRIGGER withdrawal_entitles")
    op.drop_table('withdrawal')
