"""The same image with another identity: the newest counts, and what did not leave yet is made anew."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlalchemy import Connection, select, update

from node.core.identifiers import job_id
from node.core.job import DeliveryState, JobRequest, ResultState
from node.core.study import Received, SeriesState
from node.store import schema
from node.store.claims import answers
from node.store.events import tell
from node.store.overtaken import OVERTAKEN
from node.store.recall import recall, recalled
from node.store.subjects import change_subject


def correct(connection: Connection, now: float, received: Received) -> None:
    """Let an instance take the place of the one under its UID, and its identity that of series and study.

    What was made of it under its former identity is recalled.
    """
    header = received.header
    recall(connection, now, header.sop_instance_uid)
    of, series, study = schema.instance, schema.series, schema.study
    connection.execute(
        update(of)
        .where(of.c.sop_instance_uid == header.sop_instance_uid)
        .values(
            path=received.path,
            size=received.size,
            digest=received.digest,
            transfer_syntax_uid=header.transfer_syntax_uid,
            association_id=received.association_id,
        )
    )
    key = series.c.series_instance_uid == header.series_instance_uid
    known = connection.execute(select(series.c.identity).where(key)).scalar_one()
    if known != header.identity:
        words = {
            key for key in {*known, *header.identity} if known.get(key) != header.identity.get(key)
        }
        detail = f"series {header.series_instance_uid}: {', '.join(sorted(words))}"
        tell(connection, now, header.study_instance_uid, "identity corrected", detail)
    connection.execute(
        update(series)
        .where(key)
        .values(identity=header.identity, state=SeriesState.OPEN, last_at=now)
    )
    connection.execute(
        update(study)
        .where(study.c.study_instance_uid == header.study_instance_uid)
        .values(identity=header.identity, last_at=now)
    )
    change_subject(connection, received)


def in_question(connection: Connection, request: JobRequest) -> JobRequest | None:
    """Return a job that may be ordered, under a number that was not used yet; None when it is answered.

    The same instances with the same content are asked about again when an identity was corrected and then
    corrected back, which wants a new answer, and when a series expired and was sent again, which does not.
    """
    table = schema.job
    earlier = connection.execute(
        select(table)
        .where(
            table.c.study_instance_uid == request.study_instance_uid,
            table.c.series_instance_uid == request.series_instance_uid,
            table.c.model == request.model,
            table.c.version == request.version,
        )
        .order_by(table.c.created_at, table.c.request)
    ).all()
    same = [row for row in earlier if row.digest == request.digest]
    if not same:
        return request
    last = earlier[-1]
    if last is same[-1] and last.reason != OVERTAKEN and not recalled(connection, last.job_id):
        return None
    number = max(row.request for row in same) + 1
    key = job_id(
        study_instance_uid=request.study_instance_uid,
        model=request.model,
        version=request.version,
        digest=request.digest,
        request=number,
    )
    return replace(request, request=number, job_id=key)


def still_to_get(
    connection: Connection, now: float, request: JobRequest, reissued: Collection[str]
) -> Sequence[str] | None:
    """Return the destinations that a job's result is for; None when a correction leaves none.

    Another identity is all that is new when the same instances were read before. What has left is the
    archive's to correct.

    Parameters
    ----------
    reissued
        Destinations that get a corrected result although they had the former one.
    """
    delivered = _delivered(connection, request).difference(reissued)
    left = [name for name in request.destinations if name not in delivered]
    if left or not delivered:
        return left
    detail = f"{request.model}: delivered to {', '.join(sorted(delivered))} before"
    tell(connection, now, request.study_instance_uid, "archive corrects", detail)
    return None


def _delivered(connection: Connection, request: JobRequest) -> set[str]:
    """Where a result over the same instances has gone."""
    result, read, job = schema.result_set, schema.job_input, schema.job
    uids = {uid for names in request.inputs.values() for uid in names}
    earlier = connection.execute(
        select(result.c.result_set_id, result.c.job_id)
        .join(job, job.c.job_id == result.c.job_id)
        .where(
            job.c.version == request.version,
            result.c.study_instance_uid == request.study_instance_uid,
            result.c.series_instance_uid == request.series_instance_uid,
            result.c.model == request.model,
            result.c.state != ResultState.RETRACTED,
            answers(),
        )
    ).all()
    names: set[str] = set()
    for row in earlier:
        before = connection.execute(
            select(read.c.sop_instance_uid).where(read.c.job_id == row.job_id, read.c.prior == 0)
        ).scalars()
        if set(before) == uids:
            names |= _takers(connection, row.result_set_id)
    return names


def _takers(connection: Connection, result_set_id: str) -> set[str]:
    delivery = schema.delivery
    return set(
        connection.execute(
            select(delivery.c.destination).where(
                delivery.c.result_set_id == result_set_id,
                delivery.c.state.in_((DeliveryState.SENT, DeliveryState.CONFIRMED)),
            )
        ).scalars()
    )
