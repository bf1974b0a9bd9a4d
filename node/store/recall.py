"""A study turns out to be another patient's: what is made of it stops, and what left is taken back."""

from sqlalchemy import Connection, exists, select

from node.core.job import DeliveryState
from node.core.withdrawal import IDENTITY_CORRECTED, WithdrawalState
from node.store import schema
from node.store.overtaken import overtake
from node.store.priors import prior_corrected
from node.store.takeback import begun, stop

DELIVERY, WITHDRAWAL = schema.delivery, schema.withdrawal


def recall(connection: Connection, now: float, sop_instance_uid: str) -> None:
    """Stop, in the caller's transaction, whatever was made of an instance under the identity that it had.

    A job that reads it is canceled; one that only compares with it goes on without it. A delivery of which
    nothing has left is not made any more; one that may have left, and one that has, is to be withdrawn. One of
    which a part has left is finished: half a result set in an archive would mislead more than one that the
    archive corrects.
    """
    read = schema.job_input
    jobs = select(read.c.job_id).where(
        read.c.sop_instance_uid == sop_instance_uid, read.c.prior == 0
    )
    prior_corrected(connection, now, sop_instance_uid)
    detail = "the identity of its instances was corrected"
    overtake(connection, now, schema.job.c.job_id.in_(jobs), detail)
    result = schema.result_set
    settled = exists().where(
        WITHDRAWAL.c.delivery_id == DELIVERY.c.delivery_id,
        (WITHDRAWAL.c.cause == IDENTITY_CORRECTED)
        | (WITHDRAWAL.c.state == WithdrawalState.WITHDRAWN),
    )
    rows = connection.execute(
        select(DELIVERY, result.c.study_instance_uid, begun().label("begun"))
        .join(result, result.c.result_set_id == DELIVERY.c.result_set_id)
        .where(result.c.job_id.in_(jobs), ~settled)
    ).all()
    for row in rows:
        partly = row.begun and row.state in {DeliveryState.OWED, DeliveryState.PARKED}
        if not partly:
            stop(connection, now, row, IDENTITY_CORRECTED)


def recalled(connection: Connection, job_id: str) -> bool:
    """Whether something of a job's result was recalled."""
    result = schema.result_set
    withdrawn = exists().where(
        WITHDRAWAL.c.delivery_id == DELIVERY.c.delivery_id,
        WITHDRAWAL.c.cause == IDENTITY_CORRECTED,
    )
    rows = connection.execute(
        select(DELIVERY.c.reason, withdrawn.label("withdrawn"))
        .join(result, result.c.result_set_id == DELIVERY.c.result_set_id)
        .where(result.c.job_id == job_id)
    ).all()
    return any(row.withdrawn or row.reason == IDENTITY_CORRECTED for row in rows)
