"""How each destination fares: what is owed to it and parked, and whether it answers."""

from typing import Any

from sqlalchemy import Connection, func, select

from node.core.job import DeliveryState
from node.store import schema
from node.store.letters import dead

DELIVERY, CIRCUIT = schema.delivery, schema.circuit
ANSWERS, FAILS, OPEN = "ANSWERS", "FAILS", "OPEN"
"""A circuit in words: closed; closed, and the last attempts failed; open, or half open."""


def destinations(connection: Connection) -> list[dict[str, Any]]:
    """Return each destination to which something was ever owed, or that did not answer."""
    owed = _counted(connection, DELIVERY.c.state == DeliveryState.OWED)
    parked = _counted(connection, dead())
    known = set(connection.execute(select(DELIVERY.c.destination).distinct()).scalars())
    circuits = {row.destination: row for row in connection.execute(select(CIRCUIT)).all()}
    oldest: dict[str, float] = {
        row.destination: row.since
        for row in connection.execute(
            select(DELIVERY.c.destination, func.min(DELIVERY.c.created_at).label("since"))
            .where(DELIVERY.c.state == DeliveryState.OWED)
            .group_by(DELIVERY.c.destination)
        ).all()
    }
    return [
        {
            "destination": name,
            "owed": owed.get(name, 0),
            "oldest_at": oldest.get(name),
            "parked": parked.get(name, 0),
            **_state(circuits.get(name)),
        }
        for name in sorted(known | set(circuits))
    ]


def _state(circuit: Any) -> dict[str, Any]:
    if circuit is None:
        return {"state": ANSWERS, "reason": None, "failures": 0, "since_at": None, "due_at": None}
    return {
        "state": FAILS if circuit.opened_at is None else OPEN,
        "reason": circuit.reason,
        "failures": circuit.failures,
        "since_at": circuit.opened_at,
        "due_at": circuit.due_at,
    }


def _counted(connection: Connection, condition: Any) -> dict[str, int]:
    rows = connection.execute(
        select(DELIVERY.c.destination, func.count())
        .where(condition)
        .group_by(DELIVERY.c.destination)
    ).all()
    return {str(name): int(count) for name, count in rows}
