"""Deliveries: one for each result set and destination, each held under its own fenced lease."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Update, or_, select, update

from node.core.confirmation import Way
from node.core.identifiers import new_uid
from node.core.job import DeliveryClaim, DeliveryState, InstanceState, ResultState, move
from node.core.withdrawal import IDENTITY_CORRECTED, RETRACTED, SUPERSEDED, WithdrawalState
from node.errors import LeaseLost
from node.store import schema
from node.store.claims import instance_of
from node.store.database import Database
from node.store.events import tell
from node.store.outbox import DELIVER, owed, put, remove
from node.store.takeback import begun, take_back_superseded
from node.store.transactions import owe as owe_confirmation

DELIVERY = schema.delivery
FINAL = (SUPERSEDED, IDENTITY_CORRECTED, RETRACTED)
"""Reasons of parked deliveries that nobody can owe again."""


class DeliveryStore:
    """What is owed to destinations.

    Parameters
    ----------
    database
        Where it is kept.
    lease_s
        How long a claim lives without renewal.
    """

    def __init__(self, database: Database, lease_s: float) -> None:
        self._database = database
        self._lease_s = lease_s

    def claim(self) -> DeliveryClaim | None:
        """Take the delivery that is due longest; None when nothing is due.

        None to a destination that is to take back what it has of the same study as another patient's before.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        result = schema.result_set
        made = (result.c.report, result.c.job_id, result.c.profile)
        with self._database.transaction() as (connection, now):
            row = connection.execute(
                select(DELIVERY, result.c.study_instance_uid, *made)
                .join(result)
                .where(owed(DELIVERY, now), ~_waits())
                .order_by(DELIVERY.c.due_at)
                .limit(1)
            ).first()
            if row is None:
                return None
            transaction_uid = new_uid()
            connection.execute(
                update(DELIVERY)
                .where(DELIVERY.c.delivery_id == row.delivery_id)
                .values(
                    transaction_uid=transaction_uid,
                    lease_until=now + self._lease_s,
                    attempts=row.attempts + 1,
                    lost_leases=_lost_leases(row),
                )
            )
            remove(connection, DELIVER, row.delivery_id)
            return _claim(connection, row, transaction_uid)

    def renew(self, claim: DeliveryClaim) -> None:
        """Prolong the lease.

        Raises
        ------
        LeaseLost
            Another worker holds the delivery.
        """
        with self._database.transaction() as (connection, now):
            held(connection, claim, update(DELIVERY).values(lease_until=now + self._lease_s))

    def progress(self, claim: DeliveryClaim, sop_instance_uid: str, state: InstanceState) -> None:
        """Record how far one object is; durable on return.

        Raises
        ------
        LeaseLost
            Another worker holds the delivery.
        """
        table = schema.delivery_instance
        key = (table.c.delivery_id == claim.delivery_id) & (
            table.c.sop_instance_uid == sop_instance_uid
        )
        with self._database.transaction() as (connection, now):
            held(connection, claim, update(DELIVERY).values(lease_until=now + self._lease_s))
            before = InstanceState(
                connection.execute(select(table.c.state).where(key)).scalar_one()
            )
            connection.execute(update(table).where(key).values(state=move(before, state), at=now))

    def finish(
        self, claim: DeliveryClaim, state: DeliveryState, receipt: Mapping[str, Any]
    ) -> None:
        """Record what the destination answered; a result that this one takes the place of goes from there.

        What its receipt says is awaited is owed with it: that the archive is asked.

        Raises
        ------
        LeaseLost
            Another worker holds the delivery.
        """
        with self._database.transaction() as (connection, now):
            values = {"state": move(DeliveryState.OWED, state), "receipt": dict(receipt)}
            ended = {"ended_at": now, "lease_until": None, "reason": None, "detail": None}
            held(connection, claim, update(DELIVERY).values(**values, **ended))
            remark = receipt.get("remark")
            detail = f"{claim.destination}: {len(receipt['references'])} objects" + (
                f", {remark}" if remark else ""
            )
            tell(connection, now, claim.study_instance_uid, f"delivery {state.lower()}", detail)
            take_back_superseded(connection, now, claim.delivery_id)
            if state is DeliveryState.SENT and receipt.get("awaits"):
                owe_confirmation(connection, now, claim.delivery_id, Way(receipt["awaits"]))

    def park(self, claim: DeliveryClaim, reason: str, detail: str) -> None:
        """Stop trying, with a reason code; `owe_again` owes it again.

        Raises
        ------
        LeaseLost
            Another worker holds the delivery.
        """
        with self._database.transaction() as (connection, now):
            values = {"state": move(DeliveryState.OWED, DeliveryState.PARKED), "ended_at": now}
            words = {"reason": reason, "detail": detail[:1024], "lease_until": None}
            held(connection, claim, update(DELIVERY).values(**values, **words))
            told = f"{claim.destination}: {reason}: {detail}"
            tell(connection, now, claim.study_instance_uid, "delivery parked", told)

    def give_back(self, claim: DeliveryClaim, reason: str, after_s: float) -> None:
        """Owe it again after a while.

        Raises
        ------
        LeaseLost
            Another worker holds the delivery.
        """
        with self._database.transaction() as (connection, now):
            values = {"due_at": now + after_s, "lease_until": None, "reason": reason}
            held(connection, claim, update(DELIVERY).values(transaction_uid=None, **values))
            put(connection, DELIVER, claim.delivery_id, now + after_s)
            detail = f"{claim.destination}: {reason}, again in {after_s:.0f} s"
            tell(connection, now, claim.study_instance_uid, "delivery postponed", detail)

    def owe_again(self, delivery_id: str) -> bool:
        """Owe a parked delivery again; tell whether it was parked, and the result is still to be sent.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        result = schema.result_set
        current = select(result.c.result_set_id).where(result.c.state == ResultState.CURRENT)
        with self._database.transaction() as (connection, now):
            changed = connection.execute(
                update(DELIVERY)
                .where(
                    DELIVERY.c.delivery_id == delivery_id,
                    DELIVERY.c.state == DeliveryState.PARKED,
                    DELIVERY.c.reason.not_in(FINAL),
                    DELIVERY.c.result_set_id.in_(current),
                )
                .values(
                    state=move(DeliveryState.PARKED, DeliveryState.OWED),
                    due_at=now,
                    ended_at=None,
                    lost_leases=0,
                )
            ).rowcount
            if changed:
                put(connection, DELIVER, delivery_id, now)
            return bool(changed)


def park_superseded(connection: Connection, now: float, result_set_ids: Sequence[str]) -> list[str]:
    """Park, in the caller's transaction, what nobody has begun to deliver of superseded result sets.

    What was begun is finished: half a result set in an archive would mislead more than an older one.

    Returns
    -------
    list of str
        The destinations that are spared an older result after, or beside, the newer one.
    """
    rows = connection.execute(
        select(DELIVERY.c.delivery_id, DELIVERY.c.destination).where(
            DELIVERY.c.result_set_id.in_(result_set_ids),
            DELIVERY.c.state == DeliveryState.OWED,
            or_(DELIVERY.c.lease_until.is_(None), DELIVERY.c.lease_until < now),
            ~begun(),
        )
    ).all()
    state = move(DeliveryState.OWED, DeliveryState.PARKED)
    for row in rows:
        connection.execute(
            update(DELIVERY)
            .where(DELIVERY.c.delivery_id == row.delivery_id)
            .values(state=state, reason=SUPERSEDED, lease_until=None, ended_at=now)
        )
        remove(connection, DELIVER, row.delivery_id)
    return [row.destination for row in rows]


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


def _lost_leases(row: Row[Any]) -> int:
    # who ends a claim clears its lease: one that is still there was never heard of again
    return int(row.lost_leases + (row.lease_until is not None))


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


def _claim(connection: Connection, row: Row[Any], transaction_uid: str) -> DeliveryClaim:
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
        lost_leases=_lost_leases(row),
        report=row.report,
        instances=tuple(
            (
                instance_of(item),
                InstanceState(item.state),
            )
            for item in items
        ),
    )
