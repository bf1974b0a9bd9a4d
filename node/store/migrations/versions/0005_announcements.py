"""What peers announce, and what they ask us to keep safe."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of MPPS, IAN and Storage Commitment."""
    op.create_table('announcement',
    sa.Column('line', sa.Integer(), nullable=False),
    sa.Column('at', sa.Double(), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('study_instance_uid', sa.String(length=64), nullable=True),
    sa.Column('series_instance_uid', sa.String(length=64), nullable=True),
    sa.Column('sop_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('peer', sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint('line', name=op.f('pk_announcement')),
    sa.UniqueConstraint('sop_instance_uid', 'kind', 'peer', name=op.f('uq_announcement_sop_instance_uid_kind_peer'))
    )
    op.create_index(op.f('ix_announcement_series_instance_uid'), 'announcement', ['series_instance_uid'], unique=False)
    op.create_table('procedure_step',
    sa.Column('sop_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('peer', sa.String(length=64), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('study_instance_uid', sa.String(length=64), nullable=True),
    sa.Column('performed', sa.JSON(), nullable=False),
    sa.Column('begun_at', sa.Double(), nullable=False),
    sa.Column('ended_at', sa.Double(), nullable=True),
    sa.PrimaryKeyConstraint('sop_instance_uid', name=op.f('pk_procedure_step'))
    )
    op.create_table('commitment',
    sa.Column('commitment_id', sa.String(length=64), nullable=False),
    sa.Column('transaction_uid', sa.String(length=64), nullable=False),
    sa.Column('peer', sa.String(length=64), nullable=False),
    sa.Column('listed', sa.JSON(), nullable=False),
    sa.Column('failures', sa.JSON(), nullable=True),
    sa.Column('studies', sa.JSON(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.String(length=64), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('due_at', sa.Double(), nullable=False),
    sa.Column('claim_uid', sa.String(length=64), nullable=True),
    sa.Column('lease_until', sa.Double(), nullable=True),
    sa.Column('asked_at', sa.Double(), nullable=False),
    sa.Column('answered_at', sa.Double(), nullable=True),
    sa.Column('ended_at', sa.Double(), nullable=True),
    sa.PrimaryKeyConstraint('commitment_id', name=op.f('pk_commitment'))
    )
    op.create_index(op.f('ix_commitment_state_due_at'), 'commitment', ['state', 'due_at'], unique=False)
    op.create_table('commitment_held',
    sa.Column('sop_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('until', sa.Double(), nullable=False),
    sa.PrimaryKeyConstraint('sop_instance_uid', name=op.f('pk_commitment_held'))
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table('commitment_held')
    op.drop_index(op.f('ix_commitment_state_due_at'), table_name='commitment')
    op.drop_table('commitment')
    op.drop_table('procedure_step')
    op.drop_index(op.f('ix_announcement_series_instance_uid'), table_name='announcement')
    op.drop_table('announcement')
