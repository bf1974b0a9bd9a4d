"""Jobs that are not done because something newer takes their place."""

from sqlalchemy import ColumnElement, Connection, select, update

from node.core.job import JobState, move
from node.store import schema
from node.store.events import tell
from node.store.outbox import ANALYSE, remove

JOB = schema.job
OVERTAKEN = "OVERTAKEN"
"""Reason of a job whose result would be older than another one's, and could come later."""


def overtake(connection: Connection, now: float, which: ColumnElement[bool], detail: str) -> None:
    """Cancel, in the caller's transaction, the jobs that are not done yet; who holds one has lost it."""
    pending = connection.execute(
        select(JOB.c.job_id, JOB.c.study_instance_uid, JOB.c.state).where(
            which, JOB.c.state.in_((JobState.SCHEDULED, JobState.IN_PROGRESS))
        )
    ).all()
    for row in pending:
        values = {"state": move(JobState(row.state), JobState.CANCELED), "reason": OVERTAKEN}
        ended = {"detail": detail, "ended_at": now, "lease_until": None}
        connection.execute(update(JOB).where(JOB.c.job_id == row.job_id).values(**values, **ended))
        remove(connection, ANALYSE, row.job_id)
        tell(connection, now, row.study_instance_uid, "job canceled", f"{OVERTAKEN}: {detail}")
