"""Results in several forms: their order and Series Numbers, the answer they are built from, who took which."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and tables; results that exist keep clear of the numbers that are given from now on."""
    op.add_column('result_set', sa.Column('position', sa.Integer(), server_default='0', nullable=False))
    op.add_column('result_set', sa.Column('reason', sa.String(length=255), nullable=True))
    op.add_column('result_set', sa.Column('answer', sa.String(length=255), nullable=True))
    op.create_index(op.f('ix_result_set_study_instance_uid'), 'result_set', ['study_instance_uid'], unique=False)
    op.create_table('series_number',
    sa.Column('study_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('first_number', sa.Integer(), nullable=False),
    sa.Column('job_id', sa.String(length=64), nullable=False),
    sa.Column('profile', sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint('study_instance_uid', 'first_number', name=op.f('pk_series_number')),
    sa.UniqueConstraint('job_id', 'profile', name=op.f('uq_series_number_job_id_profile'))
    )
    op.create_table('accepted_form',
    sa.Column('destination', sa.String(length=64), nullable=False),
    sa.Column('configured', sa.String(length=64), nullable=False),
    sa.Column('profile', sa.String(length=64), nullable=False),
    sa.Column('at', sa.Double(), nullable=False),
    sa.PrimaryKeyConstraint('destination', name=op.f('pk_accepted_form'))
    )
    op.execute("UPDATE result_set SET profile = 'generic-pacs' WHERE profile = 'generic'")
    # numbers were 9000 and ten more for each request and each revision: the n-th result of a study has at most
    # n of either, so twenty for each lie above all of them
    op.execute(
        "INSERT INTO series_number (study_instance_uid, first_number, job_id, profile) "
        "SELECT study_instance_uid, "
        "9000 + 20 * row_number() OVER (PARTITION BY study_instance_uid ORDER BY created_at, result_set_id), "
        "job_id, profile FROM result_set"
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table('accepted_form')
    op.drop_table('series_number')
    op.drop_index(op.f('ix_result_set_study_instance_uid'), table_name='result_set')
    for column in ('answer', 'reason', 'position'):
        op.drop_column('result_set', column)
