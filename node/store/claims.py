"""Jobs as a worker sees them, with all that he needs of study, series and earlier results."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Update, func, select, update

from node.core.form import EarlierReport
from node.core.job import Claim, JobState, ResultInstance, ResultState, move
from node.core.prior import LATE, PriorState
from node.errors import LeaseLost
from node.store import schema
from node.store.ordered import order_of
from node.store.orders import DETAIL

JOB = schema.job
REPORT = "SR"
"""Kind of the object that names its predecessors."""
NOTICE = -1
"""Position of a set that is a notice: it is no form of a result."""


def same_question(row: Row[Any] | Claim) -> Any:
    """Return the condition under which a result set answers the question of a job, or of its claim."""
    table = schema.result_set
    return (
        (table.c.study_instance_uid == row.study_instance_uid)
        & (table.c.series_instance_uid == row.series_instance_uid)
        & (table.c.model == row.model)
    )


def answers() -> ColumnElement[bool]:
    """Return the condition that a result set holds a result, and is no notice that there is none."""
    return schema.result_set.c.position > NOTICE


def instance_of(row: Row[Any]) -> ResultInstance:
    """Return a result object as it is on record."""
    return ResultInstance(
        sop_instance_uid=row.sop_instance_uid,
        sop_class_uid=row.sop_class_uid,
        series_instance_uid=row.series_instance_uid,
        transfer_syntax_uid=row.transfer_syntax_uid,
        kind=row.kind,
        path=row.path,
        digest=row.digest,
    )


def claim_of(connection: Connection, row: Row[Any], transaction_uid: str, attempt: int) -> Claim:
    """Return a job as its worker's claim."""
    study, series = schema.study, schema.series
    source = connection.execute(
        select(study.c.facts, series.c.identity, series.c.peer)
        .join(series, study.c.study_instance_uid == row.study_instance_uid)
        .where(series.c.series_instance_uid == row.series_instance_uid)
    ).one()
    files = connection.execute(
        select(schema.job_input.c.input, schema.job_input.c.prior, schema.instance.c.path)
        .join(
            schema.instance,
            schema.instance.c.sop_instance_uid == schema.job_input.c.sop_instance_uid,
        )
        .where(schema.job_input.c.job_id == row.job_id)
        .order_by(schema.instance.c.sop_instance_uid)
    ).all()
    read: dict[str, list[str]] = {}
    compared: dict[str, list[str]] = {}
    for name, prior, path in files:
        (compared if prior else read).setdefault(name, []).append(path)
    earlier = connection.execute(
        select(func.count(schema.result_set.c.job_id.distinct())).where(
            same_question(row), answers(), schema.result_set.c.job_id != row.job_id
        )
    ).scalar_one()
    return Claim(
        job_id=row.job_id,
        transaction_uid=transaction_uid,
        study_instance_uid=row.study_instance_uid,
        series_instance_uid=row.series_instance_uid,
        peer=source.peer,
        model=row.model,
        version=row.version,
        request=row.request,
        revision=earlier,
        attempt=attempt,
        lost_leases=row.lost_leases + (row.state == JobState.IN_PROGRESS),
        files={name: tuple(paths) for name, paths in read.items()},
        priors={name: tuple(paths) for name, paths in compared.items()},
        no_priors=_missing(connection, row.job_id),
        context=row.context or {},
        identity={**source.facts, **source.identity},
        evidence=row.evidence,
        destinations=tuple(row.destinations),
        earlier=_earlier(connection, row),
        order=order_of(connection, row.study_instance_uid),
    )


def _missing(connection: Connection, job_id: str) -> dict[str, str]:
    table = schema.prior
    rows = connection.execute(
        select(table.c.name, table.c.reason).where(
            table.c.job_id == job_id, table.c.state != PriorState.FOUND
        )
    ).tuples()
    return {name: reason or LATE for name, reason in rows}


def _earlier(connection: Connection, row: Row[Any]) -> tuple[EarlierReport, ...]:
    result, instance = schema.result_set, schema.result_instance
    rows = connection.execute(
        select(instance, result.c.profile)
        .join(result, result.c.result_set_id == instance.c.result_set_id)
        .where(
            same_question(row),
            answers(),  # nothing of a notice is carried on
            result.c.state == ResultState.CURRENT,
            result.c.job_id != row.job_id,
            instance.c.kind == REPORT,
        )
        .order_by(result.c.position)
    ).all()
    return tuple(
        EarlierReport(
            profile=one.profile,
            sop_class_uid=one.sop_class_uid,
            sop_instance_uid=one.sop_instance_uid,
            series_instance_uid=one.series_instance_uid,
        )
        for one in rows
    )


def held(connection: Connection, claim: Claim, change: Update) -> None:
    """Change a job while it is held under a claim.

    Raises
    ------
    LeaseLost
        Another worker holds it, or it is over.
    """
    changed = connection.execute(
        change.where(
            JOB.c.job_id == claim.job_id,
            JOB.c.transaction_uid == claim.transaction_uid,
            JOB.c.state == JobState.IN_PROGRESS,
        )
    ).rowcount
    if not changed:
        raise LeaseLost(f"job {claim.job_id} is no longer held under {claim.transaction_uid}")


def end(
    connection: Connection,
    now: float,
    claim: Claim,
    state: JobState,
    reason: str | None = None,
    detail: str | None = None,
) -> None:
    """End a job that is held under a claim; that it was late was told before, how it ended was not.

    Raises
    ------
    LeaseLost
        Another worker holds it, or it is over.
    """
    values = {"state": move(JobState.IN_PROGRESS, state), "reason": reason}
    ended = {"detail": detail and detail[:DETAIL], "ended_at": now, "lease_until": None}
    held(connection, claim, update(JOB).values(noticed_at=None, **values, **ended))
