"""The other side of the ledger: entitlements, tombstones, and what was found at night."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NOW = "(julianday('now') - 2440587.5) * 86400.0"
OWING = {
    "job": ("job", "job_id", "series_instance_uid", "created_at"),
    "result_set": ("result set", "result_set_id", "job_id", "created_at"),
    "result_instance": ("result", "sop_instance_uid", "result_set_id", NOW),
    "delivery": ("delivery", "delivery_id", "result_set_id", "created_at"),
}
"""Table -> kind, key, what it belongs to, since when."""


def upgrade() -> None:
    """Create the tables and their triggers; what is there already is entered."""
    op.create_table('entitlement',
    sa.Column('line', sa.Integer(), nullable=False),
    sa.Column('at', sa.Double(), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('subject', sa.String(length=64), nullable=False),
    sa.Column('belongs_to', sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint('line', name=op.f('pk_entitlement'))
    )
    op.create_index(op.f('ix_entitlement_kind_subject'), 'entitlement', ['kind', 'subject'], unique=False)
    op.create_index(op.f('ix_entitlement_belongs_to'), 'entitlement', ['belongs_to'], unique=False)
    op.create_table('tombstone',
    sa.Column('line', sa.Integer(), nullable=False),
    sa.Column('at', sa.Double(), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('subject', sa.String(length=64), nullable=False),
    sa.Column('path', sa.String(length=255), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('size', sa.Integer(), nullable=False),
    sa.Column('journal_line', sa.Integer(), nullable=True),
    sa.Column('reason', sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint('line', name=op.f('pk_tombstone'))
    )
    op.create_index(op.f('ix_tombstone_kind_subject'), 'tombstone', ['kind', 'subject'], unique=False)
    op.create_index(op.f('ix_tombstone_journal_line'), 'tombstone', ['journal_line'], unique=False)
    op.create_table('housekeeping',
    sa.Column('line', sa.Integer(), nullable=False),
    sa.Column('work', sa.String(length=16), nullable=False),
    sa.Column('begun_at', sa.Double(), nullable=False),
    sa.Column('ended_at', sa.Double(), nullable=False),
    sa.Column('faults', sa.Integer(), nullable=False),
    sa.Column('body', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('line', name=op.f('pk_housekeeping'))
    )
    op.create_index(op.f('ix_housekeeping_work_ended_at'), 'housekeeping', ['work', 'ended_at'], unique=False)
    op.create_index(op.f('ix_job_input_sop_instance_uid'), 'job_input', ['sop_instance_uid'], unique=False)
    for table in ("entitlement", "tombstone"):
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, 'the {table} is append-only'); END"
            )
    for table, (kind, key, belongs_to, since) in OWING.items():
        op.execute(
            "INSERT INTO entitlement (at, kind, subject, belongs_to) "
            f"SELECT {since}, '{kind}', {key}, {belongs_to} FROM {table}"
        )
        op.execute(
            f"CREATE TRIGGER {table}_entitles AFTER INSERT ON {table} BEGIN "
            "INSERT INTO entitlement (at, kind, subject, belongs_to) "
            f"VALUES ({NOW}, '{kind}', NEW.{key}, NEW.{belongs_to}); END"
        )


def downgrade() -> None:
    """Drop them."""
    for table in OWING:
        op.execute(f"DROP TRIGGER {table}_entitles")
    op.drop_index(op.f('ix_job_input_sop_instance_uid'), table_name='job_input')
    for table in ("housekeeping", "tombstone", "entitlement"):
        op.drop_table(table)
