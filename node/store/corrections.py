"""The same image with another identity: the newest counts, and what did not leave yet is made anew."""

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from node.core.job import DeliveryState, JobRequest, ResultState
from node.core.study import Received, SeriesState
from node.store import schema
from node.store.events import tell


def correct(connection: Connection, now: float, received: Received) -> None:
    """Let an instance take the place of the one under its UID, and its identity that of series and study."""
    header = received.header
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


def still_to_get(connection: Connection, now: float, request: JobRequest) -> Sequence[str] | None:
    """Return the destinations that a job's result is for; None when a correction leaves none.

    Another identity is all that is new when the same instances were read before. What has left is the
    archive's to correct.
    """
    destinations = _delivered(connection, request)
    left = [name for name in request.destinations if name not in destinations]
    if left or not destinations:
        return left
    detail = f"{request.model}: delivered to {', '.join(sorted(destinations))} before"
    tell(connection, now, request.study_instance_uid, "archive corrects", detail)
    return None


def _delivered(connection: Connection, request: JobRequest) -> set[str]:
    """Where the current result over the same instances has gone."""
    result, delivery, read, job = (
        schema.result_set,
        schema.delivery,
        schema.job_input,
        schema.job,
    )
    uids = {uid for names in request.inputs.values() for uid in names}
    current = connection.execute(
        select(result.c.result_set_id, result.c.job_id)
        .join(job, job.c.job_id == result.c.job_id)
        .where(
            job.c.version == request.version,
            job.c.digest != request.digest,
            result.c.series_instance_uid == request.series_instance_uid,
            result.c.model == request.model,
            result.c.state == ResultState.CURRENT,
        )
    ).first()
    if current is None:
        return set()
    before = connection.execute(
        select(read.c.sop_instance_uid).where(read.c.job_id == current.job_id)
    ).scalars()
    if set(before) != uids:
        return set()
    return set(
        connection.execute(
            select(delivery.c.destination).where(
                delivery.c.result_set_id == current.result_set_id,
                delivery.c.state.in_((DeliveryState.SENT, DeliveryState.CONFIRMED)),
            )
        ).scalars()
    )
