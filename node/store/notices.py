"""Jobs without a result, ended or late: who is told of them, once."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, or_, select, update

from node.core.expectation import PENDING
from node.core.job import Claim, JobState, ResultSet, ResultState, Unnoticed
from node.store import schema
from node.store.claims import answers, claim_of
from node.store.database import Database
from node.store.events import tell
from node.store.identities import ask_identity
from node.store.overtaken import OVERTAKEN
from node.store.results import insert_result, owe_delivery, supersede

JOB, EXPECTATION = schema.job, schema.expectation
SOON_S = 86_400.0
"""Who is told for the first time of what happened longer ago would look for what is long over."""
MOST = 20


class NoticeStore:
    """What is to be told, and what was.

    Parameters
    ----------
    database
        Where it is kept.
    archived
        Sources whose archive is asked for the patient before a notice is sent.
    """

    def __init__(self, database: Database, *, archived: Collection[str] = ()) -> None:
        self._database = database
        self._archived = frozenset(archived)

    def due(self) -> list[Unnoticed]:
        """Return the jobs that are to be told of, the oldest first.

        Raises
        ------
        OutOfResources
            The database could not be read or written.
        """
        with self._database.reading() as (connection, now):
            if (
                connection.execute(select(JOB.c.job_id).where(_untold(now)).limit(1)).first()
                is None
            ):
                return []
        with self._database.transaction() as (connection, now):
            connection.execute(
                update(JOB).where(_untold(now), _needs_none()).values(noticed_at=now)
            )
            rows = connection.execute(
                select(JOB).where(_untold(now)).order_by(JOB.c.ended_at).limit(MOST)
            ).all()
            return [_unnoticed(connection, row) for row in rows]

    def tell(self, job: Claim, notices: Sequence[ResultSet], remark: str | None = None) -> bool:
        """Keep the notices of a job and owe them to their destinations, in one transaction.

        A notice takes the place of an earlier one, and a result that comes later takes the place of both. A job
        that was late is told of again when it ends without a result.

        Raises
        ------
        OutOfResources
            The database could not be written; nothing was.
        """
        with self._database.transaction() as (connection, now):
            mine = (JOB.c.job_id == job.job_id) & _untold(now)
            needless = connection.execute(select(JOB.c.job_id).where(mine, _needs_none())).first()
            told = update(JOB).where(mine).values(noticed_at=now)
            changed = connection.execute(told).rowcount
            if not changed or needless is not None:
                return False
            if remark is not None:
                tell(connection, now, job.study_instance_uid, "no notice", remark)
            if notices:
                _owe(connection, now, job, notices)
                ask_identity(connection, now, job.job_id, archive=job.peer in self._archived)
            return bool(notices)


def _owe(connection: Connection, now: float, job: Claim, notices: Sequence[ResultSet]) -> None:
    supersede(connection, now, job)
    for one in notices:
        insert_result(connection, now, job, one)
        for destination in one.destinations:
            owe_delivery(connection, now, one, destination)
    names = ", ".join(sorted({name for one in notices for name in one.destinations}))
    tell(connection, now, job.study_instance_uid, "notice stored", f"{job.model}: for {names}")


def _unnoticed(connection: Connection, row: Row[Any]) -> Unnoticed:
    job = claim_of(connection, row, "", row.attempts)
    if row.state == JobState.CANCELED:
        return Unnoticed(job=job, reason=row.reason)
    if row.state == JobState.SCHEDULED and row.reason:  # it was given back for that
        return Unnoticed(job=job, reason=row.reason, delayed=True)
    missed = select(EXPECTATION.c.reason).where(
        EXPECTATION.c.study_instance_uid == row.study_instance_uid,
        EXPECTATION.c.model == row.model,
        EXPECTATION.c.reason.in_(PENDING),
    )
    last = missed.order_by(EXPECTATION.c.judged_at.desc()).limit(1)
    return Unnoticed(job=job, reason=connection.execute(last).scalar_one(), delayed=True)


def _untold(now: float) -> ColumnElement[bool]:
    since = now - SOON_S
    missed = (
        select(EXPECTATION.c.rule)
        .where(
            EXPECTATION.c.study_instance_uid == JOB.c.study_instance_uid,
            EXPECTATION.c.model == JOB.c.model,
            EXPECTATION.c.reason.in_(PENDING),
            EXPECTATION.c.judged_at > JOB.c.created_at,  # not of a job before it
            EXPECTATION.c.judged_at > since,
        )
        .exists()
    )
    ended = (JOB.c.state == JobState.CANCELED) & (JOB.c.ended_at > since)
    late = JOB.c.state.in_((JobState.SCHEDULED, JobState.IN_PROGRESS)) & missed
    return JOB.c.noticed_at.is_(None) & (ended | late)


def _needs_none() -> ColumnElement[bool]:
    """Whether something newer asks the same question, or a result of it stands."""
    newer, result = JOB.alias(), schema.result_set
    asked_again = (
        select(newer.c.job_id)
        .where(
            newer.c.job_id != JOB.c.job_id,
            newer.c.study_instance_uid == JOB.c.study_instance_uid,
            newer.c.series_instance_uid == JOB.c.series_instance_uid,
            newer.c.model == JOB.c.model,
            newer.c.created_at > JOB.c.created_at,
        )
        .exists()
    )
    answered = (
        select(result.c.result_set_id)
        .where(
            answers(),
            result.c.study_instance_uid == JOB.c.study_instance_uid,
            result.c.series_instance_uid == JOB.c.series_instance_uid,
            result.c.model == JOB.c.model,
            result.c.state == ResultState.CURRENT,
        )
        .exists()
    )
    return or_(JOB.c.reason == OVERTAKEN, asked_again, answered)
