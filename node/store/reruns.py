"""A question is asked again: the same images, perhaps of a newer version of the model."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from node.core.identifiers import input_digest, job_id
from node.core.job import JobRequest
from node.errors import NothingToRerun
from node.store import schema
from node.store.database import Database
from node.store.orders import create
from node.store.overtaken import overtake

JOB = schema.job


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The last job of a question.

    Parameters
    ----------
    model
        Key of the model's card.
    """

    job_id: str
    model: str


class RerunStore:
    """Orders jobs again.

    Parameters
    ----------
    database
        Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def asked(self, of: str) -> list[Asked]:
        """Return what is to be asked again.

        Parameters
        ----------
        of
            A job's identifier, for its question; or a Study Instance UID, for every question about the study.
        """
        with self._database.reading() as (connection, _):
            rows = connection.execute(
                select(JOB)
                .where((JOB.c.job_id == of) | (JOB.c.study_instance_uid == of))
                .order_by(JOB.c.created_at, JOB.c.request)
            ).all()
        last = {(row.series_instance_uid, row.model): row for row in rows}
        return [Asked(job_id=row.job_id, model=row.model) for row in last.values()]

    def rerun(self, earlier: str, version: str) -> str:
        """Order the question of an earlier job again; return the new job's identifier.

        It reads the same instances as they are now, and goes to the same destinations. A job with the same
        question that is not done yet is canceled (``OVERTAKEN``).

        Parameters
        ----------
        earlier
            The earlier job's identifier.
        version
            Version of the model that is to answer.

        Raises
        ------
        NothingToRerun
            The instances are not here any more.
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            request = _request(connection, earlier, version)
            question = (
                (JOB.c.study_instance_uid == request.study_instance_uid)
                & (JOB.c.series_instance_uid == request.series_instance_uid)
                & (JOB.c.model == request.model)
            )
            overtake(connection, now, question, "it was asked again")
            create(connection, now, request)
            return request.job_id


def _request(connection: Connection, earlier: str, version: str) -> JobRequest:
    row = connection.execute(select(JOB).where(JOB.c.job_id == earlier)).one()
    inputs, digest = _inputs(connection, earlier)
    numbers = select(func.max(JOB.c.request)).where(
        JOB.c.study_instance_uid == row.study_instance_uid, JOB.c.model == row.model
    )
    request = connection.execute(numbers).scalar_one() + 1
    key = job_id(
        study_instance_uid=row.study_instance_uid,
        model=row.model,
        version=version,
        digest=digest,
        request=request,
    )
    return JobRequest(
        job_id=key,
        study_instance_uid=row.study_instance_uid,
        series_instance_uid=row.series_instance_uid,
        model=row.model,
        version=version,
        rule=row.rule,
        inputs=inputs,
        digest=digest,
        request=request,
        priority=row.priority,
        destinations=tuple(row.destinations),
        evidence=row.evidence,
    )


def _inputs(connection: Connection, earlier: str) -> tuple[Mapping[str, tuple[str, ...]], str]:
    """Return what a job read, by input, and the digest of what that is now.

    Raises
    ------
    NothingToRerun
        An instance is not here any more.
    """
    read, of = schema.job_input, schema.instance
    rows = connection.execute(
        select(read.c.input, read.c.sop_instance_uid, of.c.digest)
        .outerjoin(of, of.c.sop_instance_uid == read.c.sop_instance_uid)
        .where(read.c.job_id == earlier, read.c.prior == 0)
        .order_by(read.c.sop_instance_uid)
    ).all()
    gone = sum(row.digest is None for row in rows)
    if gone or not rows:
        raise NothingToRerun(f"job {earlier}: {gone} of its {len(rows)} instances are gone")
    inputs: dict[str, list[str]] = {}
    for row in rows:
        inputs.setdefault(row.input, []).append(row.sop_instance_uid)
    digest = input_digest((row.sop_instance_uid, row.digest) for row in rows)
    return {name: tuple(uids) for name, uids in inputs.items()}, digest
