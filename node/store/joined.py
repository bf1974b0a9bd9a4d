"""A rule that waited, and fires for what another rule has ordered already: it joins that job."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, select, update

from node.core.job import JobRequest, JobState, ResultSet, ResultState
from node.store import schema
from node.store.claims import instance_of
from node.store.corrections import still_to_get
from node.store.deadlines import deadline_at
from node.store.events import tell
from node.store.identities import ask_again
from node.store.results import owe_delivery

JOB = schema.job
RULES = 255
"""Characters of the rules' names together."""


def join(
    connection: Connection, now: float, request: JobRequest, reissued: Collection[str]
) -> None:
    """Add a rule, its urgency and its destinations to the last job that asks the same question.

    What a worker has in hand goes to the added destinations too; of what is done, the current result is
    owed to them.
    """
    row = connection.execute(
        select(JOB)
        .where(
            JOB.c.study_instance_uid == request.study_instance_uid,
            JOB.c.series_instance_uid == request.series_instance_uid,
            JOB.c.model == request.model,
            JOB.c.version == request.version,
            JOB.c.digest == request.digest,
        )
        .order_by(JOB.c.request.desc())
        .limit(1)
    ).one()
    wanted = still_to_get(connection, now, request, reissued) or ()
    added = [name for name in wanted if name not in row.destinations]
    deadlines = [at for at in (row.deadline_at, _deadline(connection, request)) if at is not None]
    connection.execute(
        update(JOB)
        .where(JOB.c.job_id == row.job_id)
        .values(
            rule=f"{row.rule}, {request.rule}"[:RULES],
            priority=max(row.priority, request.priority),
            deadline_at=min(deadlines, default=None),
            destinations=[*row.destinations, *added],
        )
    )
    detail = f"{request.model} {request.version} by rule {request.rule}, as ordered before"
    tell(connection, now, request.study_instance_uid, "job joined", detail)
    if row.state == JobState.COMPLETED and added:
        _owe(connection, now, row, added)


def _deadline(connection: Connection, request: JobRequest) -> float | None:
    return deadline_at(connection, request.study_instance_uid, request.deadline_s)


def _owe(connection: Connection, now: float, job: Row[Any], destinations: list[str]) -> None:
    result, instance = schema.result_set, schema.result_instance
    ask_again(connection, now, job.job_id)
    current = connection.execute(
        select(result).where(
            result.c.job_id == job.job_id,
            result.c.state == ResultState.CURRENT,
            result.c.position == 0,  # who delivers it makes another form of it where one is wanted
        )
    ).all()
    for row in current:
        objects = connection.execute(
            select(instance)
            .where(instance.c.result_set_id == row.result_set_id)
            .order_by(instance.c.position)
        ).all()
        made = ResultSet(
            result_set_id=row.result_set_id,
            profile=row.profile,
            instances=tuple(instance_of(one) for one in objects),
            report=row.report,
            picture=row.picture,
            seconds=row.seconds,
            server=row.server,
        )
        for destination in destinations:
            owe_delivery(connection, now, made, destination)
