"""What an archive is to be asked: written with its Transaction UID before anybody could be told of it."""

from typing import Any

from sqlalchemy import Connection, insert, select

from node.core.confirmation import ConfirmationState, Way
from node.core.identifiers import new_uid
from node.store import schema


def owe(connection: Connection, now: float, delivery_id: str, way: Way) -> None:
    """Owe, in the transaction that ends a delivery as SENT, that its archive is asked.

    The Transaction UID is made here: whatever happens to whoever sends it, a report finds its delivery.
    """
    delivery, result = schema.delivery, schema.result_set
    own, sent = schema.result_instance, schema.delivery_instance
    of = connection.execute(
        select(delivery.c.destination, result.c.study_instance_uid)
        .join(result, result.c.result_set_id == delivery.c.result_set_id)
        .where(delivery.c.delivery_id == delivery_id)
    ).one()
    items = connection.execute(
        select(own.c.sop_class_uid, own.c.sop_instance_uid, own.c.series_instance_uid)
        .join(sent, sent.c.sop_instance_uid == own.c.sop_instance_uid)
        .where(sent.c.delivery_id == delivery_id)
        .order_by(own.c.position)
    ).tuples()
    owe_listed(
        connection,
        now,
        delivery_id=delivery_id,
        peer=of.destination,
        study_instance_uid=of.study_instance_uid,
        listed=[list(item) for item in items],
        way=way,
    )


def owe_listed(connection: Connection, now: float, **values: Any) -> None:
    """Owe that an archive is asked about a list of instances, under a new Transaction UID."""
    connection.execute(
        insert(schema.confirmation).values(
            transaction_uid=new_uid(),
            state=ConfirmationState.OWED,
            due_at=now,
            created_at=now,
            **values,
        )
    )
