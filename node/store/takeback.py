"""What left, or may have left, for a destination and must not stand there: parked, and owed to be taken back.

Nothing here knows what the destinations are. Each of them gets its withdrawal, and whoever does it knows which
of them take something back and which keep what they hold.
"""

import hashlib
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, exists, insert, select, update

from node.core.job import DeliveryState, InstanceState, ResultState, move
from node.core.withdrawal import SUPERSEDED, WithdrawalState
from node.store import schema
from node.store.events import tell
from node.store.outbox import DELIVER, put, remove

DELIVERY, WITHDRAWAL, RESULT = schema.delivery, schema.withdrawal, schema.result_set
LEFT = (DeliveryState.SENT, DeliveryState.CONFIRMED)
"""States of a delivery that was made."""


def begun() -> ColumnElement[bool]:
    """Return the condition that something of a delivery has left, or may have."""
    sent = schema.delivery_instance
    return (
        select(sent.c.delivery_id)
        .where(sent.c.delivery_id == DELIVERY.c.delivery_id, sent.c.state != InstanceState.OWED)
        .exists()
    )


def stop(connection: Connection, now: float, row: Row[Any], cause: str) -> None:
    """Make a delivery no more, and take back what may have arrived.

    Parameters
    ----------
    row
        The delivery, with its study, as it is now.
    """
    state = DeliveryState(row.state)
    if state in LEFT:
        owe_withdrawal(connection, now, row, cause, now)
    elif state is not DeliveryState.WITHDRAWN:
        _park(connection, now, row, cause)
        if row.attempts:  # an answer may have been lost, or a worker be at it now
            owe_withdrawal(connection, now, row, cause, max(now, row.lease_until or now))


def owe_withdrawal(
    connection: Connection, now: float, row: Row[Any], cause: str, due_at: float
) -> None:
    """Owe that a delivery is taken back; one that was, is not again."""
    withdrawal_id = hashlib.sha256(f"withdrawal {row.delivery_id}".encode()).hexdigest()[:32]
    key = WITHDRAWAL.c.withdrawal_id == withdrawal_id
    state = connection.execute(select(WITHDRAWAL.c.state).where(key)).scalar()
    if state == WithdrawalState.WITHDRAWN:
        return
    owed = {"cause": cause, "state": WithdrawalState.OWED, "due_at": due_at}
    if state is None:
        connection.execute(
            insert(WITHDRAWAL).values(
                withdrawal_id=withdrawal_id,
                delivery_id=row.delivery_id,
                study_instance_uid=row.study_instance_uid,
                destination=row.destination,
                created_at=now,
                **owed,
            )
        )
    elif (
        state == WithdrawalState.OWED
    ):  # a worker may be at it: what he does is right for either cause
        connection.execute(update(WITHDRAWAL).where(key).values(cause=cause))
        return
    else:  # kept, or parked, for another cause
        fresh = {"reason": None, "detail": None, "ended_at": None, "lost_leases": 0}
        connection.execute(update(WITHDRAWAL).where(key).values(**owed, **fresh))
    put(connection, DELIVER, withdrawal_id, due_at)


def take_back_superseded(connection: Connection, now: float, delivery_id: str) -> None:
    """Owe to take back, where a current result has arrived, those that it takes the place of.

    Whichever of the two was delivered last asks: an older result whose delivery had begun may end behind the
    newer one's. The newer one is there first, so that nobody ever finds no result.
    """
    made = connection.execute(
        select(DELIVERY.c.destination, RESULT)
        .join(RESULT, RESULT.c.result_set_id == DELIVERY.c.result_set_id)
        .where(DELIVERY.c.delivery_id == delivery_id)
    ).one()
    there = (
        (RESULT.c.study_instance_uid == made.study_instance_uid)
        & (RESULT.c.series_instance_uid == made.series_instance_uid)
        & (RESULT.c.model == made.model)
        & (DELIVERY.c.destination == made.destination)
    )
    rows = connection.execute(
        select(DELIVERY, RESULT.c.study_instance_uid, RESULT.c.state.label("of"), begun())
        .join(RESULT, RESULT.c.result_set_id == DELIVERY.c.result_set_id)
        .where(there, DELIVERY.c.state.in_(LEFT) | ((DELIVERY.c.state == "PARKED") & begun()))
    ).all()
    if not any(row.of == ResultState.CURRENT and row.state in LEFT for row in rows):
        return
    for row in rows:
        if row.of == ResultState.SUPERSEDED and not _asked(connection, row.delivery_id):
            owe_withdrawal(connection, now, row, SUPERSEDED, now)


def _asked(connection: Connection, delivery_id: str) -> bool:
    of, cause = WITHDRAWAL.c.delivery_id, WITHDRAWAL.c.cause
    return bool(
        connection.execute(
            select(exists().where(of == delivery_id, cause == SUPERSEDED))
        ).scalar_one()
    )


def _park(connection: Connection, now: float, row: Row[Any], cause: str) -> None:
    state = DeliveryState(row.state)
    if state is DeliveryState.OWED:
        state = move(state, DeliveryState.PARKED)
        tell(
            connection,
            now,
            row.study_instance_uid,
            "delivery parked",
            f"{row.destination}: {cause}",
        )
    connection.execute(
        update(DELIVERY)
        .where(DELIVERY.c.delivery_id == row.delivery_id)
        .values(state=state, reason=cause, detail=None, lease_until=None, ended_at=now)
    )
    remove(connection, DELIVER, row.delivery_id)
