"""Deliveries: one for each result set and destination, each held under its own fenced lease."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select, update

from node.core.confirmation import Way
from node.core.identifiers import new_uid
from node.core.job import DeliveryClaim, DeliveryState, InstanceState, ResultState, move
from node.core.lane import Lane
from node.core.withdrawal import (
    IDENTITY_CORRECTED,
    NOT_ROUTED,
    RETRACTED,
    SUPERSEDED,
)
from node.store import schema
from node.store.circuits import admits, answered, capped, failed
from node.store.database import Database
from node.store.due import claim_of, due, held, lost_leases
from node.store.events import tell
from node.store.identities import ask_again
from node.store.letters import dead
from node.store.outbox import DELIVER, put, remove
from node.store.takeback import begun, take_back_superseded
from node.store.transactions import owe as owe_confirmation
from node.telemetry import log

DELIVERY = schema.delivery
FINAL = (SUPERSEDED, IDENTITY_CORRECTED, RETRACTED)
"""Reasons of parked deliveries that nobody can owe again."""
NOT_ASKED = ("WORKERS-LOST", "UNKNOWN-DESTINATION", "RESULT-FILE-GONE", NOT_ROUTED)
"""Reasons that were found without a word of the destination."""


class DeliveryStore:
    """What is owed to destinations.

    Parameters
    ----------
    database
        Where it is kept.
    lease_s
        How long a claim lives without renewal.
    lanes
        How each destination is served, by its name.
    """

    def __init__(
        self, database: Database, lease_s: float, lanes: Mapping[str, Lane] | None = None
    ) -> None:
        self._database = database
        self._lease_s = lease_s
        self._lanes = lanes or {}

    def claim(self, destination: str | None = None) -> DeliveryClaim | None:
        """Take the delivery that is due longest; None when nothing is due, or may be sent now.

        None to a destination that is to take back what it has of the same study as another patient's before;
        none of which an earlier result is still on its way there; none whose patient was not asked for.

        Parameters
        ----------
        destination
            One that has a lane; None for those that have none.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.reading() as (connection, now):  # a look waits for nobody
            if due(connection, now, self._mine(destination)) is None:
                return None
        with self._database.transaction() as (connection, now):
            if destination is not None and not self._open(connection, now, destination):
                return None
            row = due(connection, now, self._mine(destination))
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
                    lost_leases=lost_leases(row),
                )
            )
            remove(connection, DELIVER, row.delivery_id)
            return claim_of(connection, row, transaction_uid)

    def _mine(self, destination: str | None) -> ColumnElement[bool]:
        if destination is None:
            return DELIVERY.c.destination.not_in(sorted(self._lanes))
        return DELIVERY.c.destination == destination

    def _open(self, connection: Connection, now: float, destination: str) -> bool:
        lane = self._lane(destination)
        return (
            not lane.is_closed(now)
            and admits(connection, now, lane)
            and not capped(connection, now, lane)
        )

    def _lane(self, destination: str) -> Lane:
        return self._lanes.get(destination, Lane(destination=destination))

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
            self._answered(connection, now, claim)

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
            if reason in NOT_ASKED:
                return
            self._answered(connection, now, claim)

    def give_back(
        self, claim: DeliveryClaim, reason: str, after_s: float, *, unanswered: bool = False
    ) -> None:
        """Owe it again after a while.

        Parameters
        ----------
        unanswered
            The destination did not answer, or lets nobody in: it counts against it (`store.circuits`).

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
            if unanswered:
                lane = self._lane(claim.destination)
                if failed(connection, now, lane, reason, claim.transaction_uid):
                    log("destination does not answer", destination=claim.destination, reason=reason)

    def _answered(self, connection: Connection, now: float, claim: DeliveryClaim) -> None:
        if answered(connection, now, claim.destination):
            log("destination answers again", destination=claim.destination)

    def owe_all_again(self, destination: str | None = None) -> int:
        """Owe every parked delivery again that may be, of one destination or of all; return how many.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.reading() as (connection, _):
            parked = select(DELIVERY.c.delivery_id).where(dead()).order_by(DELIVERY.c.created_at)
            if destination is not None:
                parked = parked.where(DELIVERY.c.destination == destination)
            found = connection.execute(parked).scalars().all()
        return sum(self.owe_again(delivery_id) for delivery_id in found)

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
                ask_again(connection, now, _job_of(connection, delivery_id))
            return bool(changed)


def _job_of(connection: Connection, delivery_id: str) -> str:
    result = schema.result_set
    return str(
        connection.execute(
            select(result.c.job_id).join(DELIVERY).where(DELIVERY.c.delivery_id == delivery_id)
        ).scalar_one()
    )


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
