"""Orders, merged patients, and what a feed of HL7 version 2 was answered."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables; studies that are there can be searched, and are not matched to orders any more."""
    op.create_table('feed_message',
    sa.Column('peer', sa.String(length=64), nullable=False),
    sa.Column('control_id', sa.String(length=199), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('answer', sa.String(length=2048), nullable=False),
    sa.Column('at', sa.Double(), nullable=False),
    sa.PrimaryKeyConstraint('peer', 'control_id', name=op.f('pk_feed_message'))
    )
    op.create_index(op.f('ix_feed_message_at'), 'feed_message', ['at'], unique=False)
    op.create_table('imaging_order',
    sa.Column('order_id', sa.String(length=64), nullable=False),
    sa.Column('peer', sa.String(length=64), nullable=False),
    sa.Column('accession_number', sa.String(length=255), nullable=False),
    sa.Column('patient', sa.JSON(), nullable=False),
    sa.Column('placer_order_number', sa.String(length=255), nullable=False),
    sa.Column('filler_order_number', sa.String(length=255), nullable=False),
    sa.Column('urgency', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.String(length=1024), nullable=False),
    sa.Column('active', sa.Integer(), nullable=False),
    sa.Column('at', sa.Double(), nullable=False),
    sa.PrimaryKeyConstraint('order_id', name=op.f('pk_imaging_order'))
    )
    op.create_index(op.f('ix_imaging_order_accession_number'), 'imaging_order', ['accession_number'], unique=False)
    op.create_index(op.f('ix_imaging_order_at'), 'imaging_order', ['at'], unique=False)
    op.create_table('patient_merge',
    sa.Column('line', sa.Integer(), nullable=False),
    sa.Column('at', sa.Double(), nullable=False),
    sa.Column('peer', sa.String(length=64), nullable=False),
    sa.Column('prior_id', sa.String(length=64), nullable=False),
    sa.Column('prior_issuer', sa.String(length=64), nullable=False),
    sa.Column('surviving_id', sa.String(length=64), nullable=False),
    sa.Column('surviving_issuer', sa.String(length=64), nullable=False),
    sa.Column('birth_date', sa.String(length=8), nullable=False),
    sa.Column('sex', sa.String(length=1), nullable=False),
    sa.PrimaryKeyConstraint('line', name=op.f('pk_patient_merge')),
    sa.UniqueConstraint('prior_id', 'prior_issuer', name=op.f('uq_patient_merge_prior_id_prior_issuer'))
    )
    op.create_index(op.f('ix_patient_merge_surviving_id_surviving_issuer'), 'patient_merge', ['surviving_id', 'surviving_issuer'], unique=False)
    op.create_table('order_question',
    sa.Column('study_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.String(length=64), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('due_at', sa.Double(), nullable=False),
    sa.Column('until', sa.Double(), nullable=False),
    sa.ForeignKeyConstraint(['study_instance_uid'], ['study.study_instance_uid'], name=op.f('fk_order_question_study_instance_uid')),
    sa.PrimaryKeyConstraint('study_instance_uid', name=op.f('pk_order_question'))
    )
    op.create_index(op.f('ix_order_question_state_due_at'), 'order_question', ['state', 'due_at'], unique=False)
    op.create_table('study_order',
    sa.Column('study_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('order_id', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['order_id'], ['imaging_order.order_id'], name=op.f('fk_study_order_order_id')),
    sa.ForeignKeyConstraint(['study_instance_uid'], ['study.study_instance_uid'], name=op.f('fk_study_order_study_instance_uid')),
    sa.PrimaryKeyConstraint('study_instance_uid', name=op.f('pk_study_order'))
    )
    op.create_index(op.f('ix_study_order_order_id'), 'study_order', ['order_id'], unique=False)
    op.create_table('study_subject',
    sa.Column('study_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('peer', sa.String(length=64), nullable=False),
    sa.Column('patient_id', sa.String(length=64), nullable=False),
    sa.Column('issuer', sa.String(length=64), nullable=False),
    sa.Column('accession_number', sa.String(length=16), nullable=False),
    sa.Column('matched_at', sa.Double(), nullable=True),
    sa.Column('questioned_at', sa.Double(), nullable=True),
    sa.ForeignKeyConstraint(['study_instance_uid'], ['study.study_instance_uid'], name=op.f('fk_study_subject_study_instance_uid')),
    sa.PrimaryKeyConstraint('study_instance_uid', name=op.f('pk_study_subject'))
    )
    op.create_index(op.f('ix_study_subject_accession_number'), 'study_subject', ['accession_number'], unique=False)
    op.create_index(op.f('ix_study_subject_matched_at'), 'study_subject', ['matched_at'], unique=False)
    op.create_index(op.f('ix_study_subject_patient_id'), 'study_subject', ['patient_id'], unique=False)
    op.execute(
        "INSERT INTO study_subject (study_instance_uid, peer, patient_id, issuer, accession_number, matched_at) "
        "SELECT study_instance_uid, peer, "
        "substr(coalesce(json_extract(identity, '$.PatientID'), ''), 1, 64), "
        "substr(coalesce(json_extract(identity, '$.IssuerOfPatientID'), ''), 1, 64), "
        "substr(coalesce(json_extract(identity, '$.AccessionNumber'), ''), 1, 16), last_at FROM study"
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index(op.f('ix_study_subject_patient_id'), table_name='study_subject')
    op.drop_index(op.f('ix_study_subject_matched_at'), table_name='study_subject')
    op.drop_index(op.f('ix_study_subject_accession_number'), table_name='study_subject')
    op.drop_table('study_subject')
    op.drop_index(op.f('ix_study_order_order_id'), table_name='study_order')
    op.drop_table('study_order')
    op.drop_index(op.f('ix_order_question_state_due_at'), table_name='order_question')
    op.drop_table('order_question')
    op.drop_index(op.f('ix_patient_merge_surviving_id_surviving_issuer'), table_name='patient_merge')
    op.drop_table('patient_merge')
    op.drop_index(op.f('ix_imaging_order_at'), table_name='imaging_order')
    op.drop_index(op.f('ix_imaging_order_accession_number'), table_name='imaging_order')
    op.drop_table('imaging_order')
    op.drop_index(op.f('ix_feed_message_at'), table_name='feed_message')
    op.drop_table('feed_message')
