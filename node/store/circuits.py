"""Circuit breakers: what the database remembers of destinations that do not answer, so that all processes know.

Closed while a destination answers. After some failures in a row it opens: nothing is tried before a pause is
over, and then one delivery at a time (half open), until something is answered.
"""

from typing import Any

from sqlalchemy import Connection, Row, Table, and_, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from node.core.job import DeliveryState
from node.core.lane import Lane
from node.store import schema
from node.store.outbox import DELIVER, put

CIRCUIT, DELIVERY, WITHDRAWAL = schema.circuit, schema.delivery, schema.withdrawal


def admits(connection: Connection, now: float, lane: Lane) -> bool:
    """Whether another delivery or withdrawal may begin at a destination now."""
    circuit = _circuit(connection, lane.destination)
    opened = circuit is not None and circuit.opened_at is not None
    if opened and circuit is not None and circuit.due_at > now:
        return False
    at_a_time = 1 if opened else lane.concurrency
    return _under_way(connection, now, lane.destination) < at_a_time


def capped(connection: Connection, now: float, lane: Lane) -> bool:
    """Whether the day's deliveries have been made, or are under way."""
    if lane.daily_cap is None:
        return False
    today = connection.execute(
        select(func.count())
        .select_from(DELIVERY)
        .where(
            DELIVERY.c.destination == lane.destination,
            DELIVERY.c.state.in_((
                DeliveryState.SENT,
                DeliveryState.CONFIRMED,
                DeliveryState.WITHDRAWN,
            )),
            DELIVERY.c.ended_at >= lane.day_began(now),
        )
    ).scalar_one()
    return int(today) + _under_way(connection, now, lane.destination) >= lane.daily_cap


def failed(connection: Connection, now: float, lane: Lane, reason: str, key: str) -> bool:
    """Note that a destination did not answer; tell whether its circuit opens with this failure.

    Parameters
    ----------
    key
        What the spread of the pause follows from.
    """
    before = _circuit(connection, lane.destination)
    failures = 1 if before is None else before.failures + 1
    was_open = before is not None and before.opened_at is not None
    opens = failures >= lane.breaker_after and not was_open
    values: dict[str, Any] = {
        "failures": failures,
        "reason": reason,
        "failed_at": now,
        "due_at": now + lane.backoff.delay_s(failures, key),
    }
    if opens:
        values["opened_at"] = now
    connection.execute(
        upsert(CIRCUIT)
        .values(destination=lane.destination, **values)
        .on_conflict_do_update(index_elements=["destination"], set_=values)
    )
    return opens


def answered(connection: Connection, now: float, destination: str) -> bool:
    """Note that a destination answered; tell whether its circuit was open.

    What had waited because it did not answer waits no longer.
    """
    circuit = _circuit(connection, destination)
    if circuit is None:
        return False
    connection.execute(delete(CIRCUIT).where(CIRCUIT.c.destination == destination))
    for table, key in ((DELIVERY, "delivery_id"), (WITHDRAWAL, "withdrawal_id")):
        waiting = (
            (table.c.destination == destination)
            & (table.c.state == DeliveryState.OWED)
            & (table.c.reason == circuit.reason)
            & (table.c.due_at > now)
            & table.c.lease_until.is_(None)
        )
        subjects = connection.execute(select(table.c[key]).where(waiting)).scalars().all()
        connection.execute(update(table).where(waiting).values(due_at=now))
        for subject in subjects:
            put(connection, DELIVER, subject, now)
    return circuit.opened_at is not None


def _circuit(connection: Connection, destination: str) -> Row[Any] | None:
    return connection.execute(
        select(CIRCUIT).where(CIRCUIT.c.destination == destination)
    ).one_or_none()


def _under_way(connection: Connection, now: float, destination: str) -> int:
    return sum(
        int(connection.execute(select(func.count()).select_from(table).where(held)).scalar_one())
        for table, held in (
            (DELIVERY, _held(DELIVERY, now, destination)),
            (WITHDRAWAL, _held(WITHDRAWAL, now, destination)),
        )
    )


def _held(table: Table, now: float, destination: str) -> Any:
    return and_(
        table.c.destination == destination,
        table.c.state == DeliveryState.OWED,
        table.c.lease_until > now,
    )
