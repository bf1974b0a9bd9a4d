"""Which delivery is next, and what whoever takes it is told."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Update, select

from node.core.job import DeliveryClaim, DeliveryState, InstanceState
from node.core.withdrawal import IDENTITY_CORRECTED, WithdrawalState
from node.errors import LeaseLost
from node.store import schema
from node.store.claims import instance_of, same_question
from node.store.outbox import owed
from node.store.queueing import held_back
from node.store.takeback import LEFT, begun

DELIVERY = schema.delivery


def due(connection: Connection, now: float, mine: ColumnElement[bool]) -> Row[Any] | None:
    """Return the delivery that is due longest and that nothing holds back; None when there is none.

    Parameters
    ----------
    mine
        Which deliveries are asked about.
    """
    result = schema.result_set
    return connection.execute(
        select(
            DELIVERY,
            result.c.study_instance_uid,
            result.c.series_instance_uid,
            result.c.model,
            result.c.report,
            result.c.job_id,
            result.c.profile,
        )
        .join(result)
        .where(mine, owed(DELIVERY, now), ~_waits(), ~held_back())
        .order_by(DELIVERY.c.due_at, DELIVERY.c.created_at)
        .limit(1)
    ).first()


def _waits() -> ColumnElement[bool]:
    wrong = schema.withdrawal
    return (
        select(wrong.c.withdrawal_id)
        .where(
            wrong.c.state == WithdrawalState.OWED,
            wrong.c.cause == IDENTITY_CORRECTED,
            wrong.c.destination == DELIVERY.c.destination,
            wrong.c.study_instance_uid == schema.result_set.c.study_instance_uid,
        )
        .exists()
    )


def lost_leases(row: Row[Any]) -> int:
    """Return how many claims of a delivery ended without a word."""
    # who ends a claim clears its lease: one that is still there was never heard of again
    return int(row.lost_leases + (row.lease_until is not None))


def claim_of(connection: Connection, row: Row[Any], transaction_uid: str) -> DeliveryClaim:
    """Return what whoever takes a delivery is told, under a new Transaction UID."""
    own, sent = schema.result_instance, schema.delivery_instance
    items = connection.execute(
        select(own, sent.c.state)
        .join(sent, sent.c.sop_instance_uid == own.c.sop_instance_uid)
        .where(sent.c.delivery_id == row.delivery_id)
        .order_by(own.c.position)
    ).all()
    return DeliveryClaim(
        delivery_id=row.delivery_id,
        transaction_uid=transaction_uid,
        result_set_id=row.result_set_id,
        job_id=row.job_id,
        profile=row.profile,
        study_instance_uid=row.study_instance_uid,
        destination=row.destination,
        attempt=row.attempts + 1,
        lost_leases=lost_leases(row),
        report=row.report,
        follows=_follows(connection, row),
        instances=tuple(
            (
                instance_of(item),
                InstanceState(item.state),
            )
            for item in items
        ),
    )


def _follows(connection: Connection, row: Row[Any]) -> bool:
    """Whether another result of the same question has gone, or may have, to the same destination."""
    result = schema.result_set
    return bool(
        connection.execute(
            select(
                select(DELIVERY.c.delivery_id)
                .join(result)
                .where(
                    same_question(row),
                    DELIVERY.c.destination == row.destination,
                    DELIVERY.c.delivery_id != row.delivery_id,
                    DELIVERY.c.state.in_(LEFT) | begun(),
                )
                .exists()
            )
        ).scalar_one()
    )


def held(connection: Connection, claim: DeliveryClaim, change: Update) -> None:
    """Change a delivery while it is held under a claim.

    Raises
    ------
    LeaseLost
        Another worker holds it, or it is over.
    """
    changed = connection.execute(
        change.where(
            DELIVERY.c.delivery_id == claim.delivery_id,
            DELIVERY.c.transaction_uid == claim.transaction_uid,
            DELIVERY.c.state == DeliveryState.OWED,
        )
    ).rowcount
    if not changed:
        raise LeaseLost(
            f"delivery {claim.delivery_id} is no longer held under {claim.transaction_uid}"
        )
