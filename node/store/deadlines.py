"""Jobs that were not done by their deadline: noted once, and told in the study's story."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select, update

from node.core.job import JobState, Readiness
from node.store import schema
from node.store.events import tell

JOB = schema.job
MISSED = "DEADLINE-MISSED"


def late(now: float) -> ColumnElement[bool]:
    """Return the condition under which a deadline passed without a result, and was not told of."""
    return and_(
        JOB.c.deadline_at <= now,
        JOB.c.missed_at.is_(None),
        JOB.c.state != JobState.COMPLETED,
        # a job that another one replaced is that one's to answer for
        or_(JOB.c.reason.is_(None), JOB.c.reason != "OVERTAKEN"),
    )


def tell_missed(connection: Connection, now: float) -> int:
    """Note, in the caller's transaction, every job that is late; return how many."""
    rows = connection.execute(select(JOB).where(late(now))).all()
    for row in rows:
        connection.execute(update(JOB).where(JOB.c.job_id == row.job_id).values(missed_at=now))
        detail = f"{MISSED}: {row.model} {row.version} by rule {row.rule}, because {_because(row)}"
        tell(connection, now, row.study_instance_uid, "AI did not run", detail)
    return len(rows)


def _because(row: Row[Any]) -> str:
    if row.reason:
        return f"{row.reason}: {row.detail or row.state.lower()}"
    if row.state == JobState.IN_PROGRESS:
        return "it was still running"
    if row.readiness == Readiness.INCOMPLETE:
        return "its context was still being fetched"
    return "no worker was free"
