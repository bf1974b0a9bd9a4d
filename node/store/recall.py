"""A study turns out to be another patient's: what is made of it stops, and what left is taken back.

Nothing here knows what the destinations are. Each of them gets its withdrawal, and whoever does it knows which
of them take something back and which correct what they hold.
"""

import hashlib
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from node.core.job import DeliveryState, InstanceState, move
from node.core.withdrawal import IDENTITY_CORRECTED, WithdrawalState
from node.store import schema
from node.store.events import tell
from node.store.outbox import DELIVER, put, remove
from node.store.overtaken import overtake

DELIVERY, WITHDRAWAL = schema.delivery, schema.withdrawal
LEFT = {DeliveryState.SENT, DeliveryState.CONFIRMED}


def recall(connection: Connection, now: float, sop_instance_uid: str) -> None:
    """Stop, in the caller's transaction, whatever was made of an instance under the identity that it had.

    A job that reads it is canceled. A delivery of which nothing has left is not made any more; one that may
    have left, and one that has, is to be withdrawn. One of which a part has left is finished: half a result
    set in an archive would mislead more than one that the archive corrects.
    """
    read = schema.job_input
    jobs = select(read.c.job_id).where(read.c.sop_instance_uid == sop_instance_uid)
    detail = "the identity of its instances was corrected"
    overtake(connection, now, schema.job.c.job_id.in_(jobs), detail)
    result = schema.result_set
    rows = connection.execute(
        select(DELIVERY, result.c.study_instance_uid, _begun().label("begun"))
        .join(result, result.c.result_set_id == DELIVERY.c.result_set_id)
        .where(result.c.job_id.in_(jobs), ~_withdrawn().exists())
    ).all()
    for row in rows:
        _recall(connection, now, row)


def recalled(connection: Connection, job_id: str) -> bool:
    """Whether something of a job's result was recalled."""
    result = schema.result_set
    rows = connection.execute(
        select(DELIVERY.c.reason, _withdrawn().exists().label("withdrawn"))
        .join(result, result.c.result_set_id == DELIVERY.c.result_set_id)
        .where(result.c.job_id == job_id)
    ).all()
    return any(row.withdrawn or row.reason == IDENTITY_CORRECTED for row in rows)


def _recall(connection: Connection, now: float, row: Row[Any]) -> None:
    state = DeliveryState(row.state)
    if state in LEFT:
        _owe(connection, now, row, now)
    elif state in {DeliveryState.OWED, DeliveryState.PARKED} and not row.begun:
        _park(connection, now, row, state)
        if row.attempts:  # an answer may have been lost, or a worker be at it now
            _owe(connection, now, row, max(now, row.lease_until or now))


def _park(connection: Connection, now: float, row: Row[Any], state: DeliveryState) -> None:
    if state is DeliveryState.OWED:
        state = move(state, DeliveryState.PARKED)
        told = f"{row.destination}: {IDENTITY_CORRECTED}"
        tell(connection, now, row.study_instance_uid, "delivery parked", told)
    connection.execute(
        update(DELIVERY)
        .where(DELIVERY.c.delivery_id == row.delivery_id)
        .values(
            state=state,
            reason=IDENTITY_CORRECTED,
            detail=None,
            lease_until=None,
            ended_at=now,
        )
    )
    remove(connection, DELIVER, row.delivery_id)


def _owe(connection: Connection, now: float, row: Row[Any], due_at: float) -> None:
    withdrawal_id = hashlib.sha256(f"withdrawal {row.delivery_id}".encode()).hexdigest()[:32]
    connection.execute(
        insert(WITHDRAWAL).values(
            withdrawal_id=withdrawal_id,
            delivery_id=row.delivery_id,
            study_instance_uid=row.study_instance_uid,
            destination=row.destination,
            cause=IDENTITY_CORRECTED,
            state=WithdrawalState.OWED,
            due_at=due_at,
            created_at=now,
        )
    )
    put(connection, DELIVER, withdrawal_id, due_at)


def _begun() -> Any:
    sent = schema.delivery_instance
    return (
        select(sent.c.delivery_id)
        .where(sent.c.delivery_id == DELIVERY.c.delivery_id, sent.c.state != InstanceState.OWED)
        .exists()
    )


def _withdrawn() -> Any:
    return select(WITHDRAWAL.c.withdrawal_id).where(
        WITHDRAWAL.c.delivery_id == DELIVERY.c.delivery_id
    )
