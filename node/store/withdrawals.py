"""Withdrawals: what destinations are to take back, each held under its own fenced lease."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Update, select, update

from node.core.identifiers import new_uid
from node.core.job import DeliveryState, InstanceState, ResultInstance, move
from node.core.lane import Lane
from node.core.withdrawal import WithdrawalClaim, WithdrawalState
from node.errors import LeaseLost
from node.store import schema
from node.store.circuits import admits, answered, failed
from node.store.claims import instance_of
from node.store.database import Database
from node.store.events import tell
from node.store.outbox import DELIVER, owed, put, remove

WITHDRAWAL, DELIVERY = schema.withdrawal, schema.delivery


class WithdrawalStore:
    """What is to be taken back.

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

    def claim(self, destination: str | None = None) -> WithdrawalClaim | None:
        """Take the withdrawal that is due longest; None when nothing is due, or may be tried now.

        Maintenance and the day's cap hold no withdrawal back: it is about something wrong that stands there.

        Parameters
        ----------
        destination
            One that has a lane; None for those that have none.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        mine = self._mine(destination)
        with self._database.reading() as (connection, now):  # there is hardly ever one
            if _due(connection, now, mine) is None:
                return None
        with self._database.transaction() as (connection, now):
            row = _due(connection, now, mine)
            if row is None or not (
                destination is None or admits(connection, now, self._lane(destination))
            ):
                return None
            transaction_uid = new_uid()
            lost_leases = row.lost_leases + (row.lease_until is not None)
            connection.execute(
                update(WITHDRAWAL)
                .where(WITHDRAWAL.c.withdrawal_id == row.withdrawal_id)
                .values(
                    transaction_uid=transaction_uid,
                    lease_until=now + self._lease_s,
                    attempts=row.attempts + 1,
                    lost_leases=lost_leases,
                )
            )
            remove(connection, DELIVER, row.withdrawal_id)
            return WithdrawalClaim(
                withdrawal_id=row.withdrawal_id,
                transaction_uid=transaction_uid,
                study_instance_uid=row.study_instance_uid,
                destination=row.destination,
                cause=row.cause,
                attempt=row.attempts + 1,
                lost_leases=lost_leases,
                report=row.report,
                receipt=row.given,
                instances=_left(connection, row.delivery_id),
                owed_at=row.created_at,
                identity=_identity(connection, row.study_instance_uid),
            )

    def _mine(self, destination: str | None) -> ColumnElement[bool]:
        if destination is None:
            return WITHDRAWAL.c.destination.not_in(sorted(self._lanes))
        return WITHDRAWAL.c.destination == destination

    def _lane(self, destination: str) -> Lane:
        return self._lanes.get(destination, Lane(destination=destination))

    def renew(self, claim: WithdrawalClaim) -> None:
        """Prolong the lease.

        Raises
        ------
        LeaseLost
            Another worker holds the withdrawal.
        """
        with self._database.transaction() as (connection, now):
            _held(connection, claim, update(WITHDRAWAL).values(lease_until=now + self._lease_s))

    def finish(
        self, claim: WithdrawalClaim, state: WithdrawalState, receipt: Mapping[str, Any] | None
    ) -> None:
        """Record what the destination answered; what is WITHDRAWN there counts as delivered no more.

        Raises
        ------
        LeaseLost
            Another worker holds the withdrawal.
        """
        with self._database.transaction() as (connection, now):
            values = {"state": state, "receipt": receipt and dict(receipt), "ended_at": now}
            ended = {"lease_until": None, "reason": None, "detail": None}
            _held(connection, claim, update(WITHDRAWAL).values(**values, **ended))
            if state is WithdrawalState.WITHDRAWN:
                _delivered_no_more(connection, claim)
            count = len(receipt["references"]) if receipt else 0
            detail = f"{claim.destination}: {claim.cause}, {count} objects"
            tell(connection, now, claim.study_instance_uid, f"result {state.lower()}", detail)
            _let_go_on(connection, now, claim)
            if state is WithdrawalState.WITHDRAWN:
                answered(connection, now, claim.destination)

    def park(self, claim: WithdrawalClaim, reason: str, detail: str) -> None:
        """Stop trying, with a reason code; `owe_again` owes it again.

        Raises
        ------
        LeaseLost
            Another worker holds the withdrawal.
        """
        with self._database.transaction() as (connection, now):
            values = {"state": WithdrawalState.PARKED, "reason": reason, "detail": detail[:1024]}
            _held(
                connection,
                claim,
                update(WITHDRAWAL).values(ended_at=now, lease_until=None, **values),
            )
            told = f"{claim.destination}: {reason}: {detail}"
            tell(connection, now, claim.study_instance_uid, "withdrawal parked", told)
            _let_go_on(connection, now, claim)

    def give_back(
        self, claim: WithdrawalClaim, reason: str, after_s: float, *, unanswered: bool = False
    ) -> None:
        """Owe it again after a while.

        Parameters
        ----------
        unanswered
            The destination did not answer, or lets nobody in: it counts against it (`store.circuits`).

        Raises
        ------
        LeaseLost
            Another worker holds the withdrawal.
        """
        with self._database.transaction() as (connection, now):
            values = {"due_at": now + after_s, "lease_until": None, "reason": reason}
            _held(connection, claim, update(WITHDRAWAL).values(transaction_uid=None, **values))
            put(connection, DELIVER, claim.withdrawal_id, now + after_s)
            detail = f"{claim.destination}: {reason}, again in {after_s:.0f} s"
            tell(connection, now, claim.study_instance_uid, "withdrawal postponed", detail)
            if unanswered:
                lane = self._lane(claim.destination)
                failed(connection, now, lane, reason, claim.transaction_uid)

    def owe_again(self, withdrawal_id: str) -> bool:
        """Owe a parked withdrawal again; tell whether it was parked.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            changed = connection.execute(
                update(WITHDRAWAL)
                .where(
                    WITHDRAWAL.c.withdrawal_id == withdrawal_id,
                    WITHDRAWAL.c.state == WithdrawalState.PARKED,
                )
                .values(state=WithdrawalState.OWED, due_at=now, ended_at=None, lost_leases=0)
            ).rowcount
            if changed:
                put(connection, DELIVER, withdrawal_id, now)
            return bool(changed)


def _due(connection: Connection, now: float, mine: ColumnElement[bool]) -> Row[Any] | None:
    result = schema.result_set
    return connection.execute(
        select(WITHDRAWAL, DELIVERY.c.receipt.label("given"), result.c.report)
        .join(DELIVERY, DELIVERY.c.delivery_id == WITHDRAWAL.c.delivery_id)
        .join(result, result.c.result_set_id == DELIVERY.c.result_set_id)
        .where(mine, owed(WITHDRAWAL, now))
        .order_by(WITHDRAWAL.c.due_at)
        .limit(1)
    ).first()


def _left(connection: Connection, delivery_id: str) -> tuple[ResultInstance, ...]:
    """Return the objects of a delivery that the destination has, or may have."""
    own, sent = schema.result_instance, schema.delivery_instance
    rows = connection.execute(
        select(own)
        .join(sent, sent.c.sop_instance_uid == own.c.sop_instance_uid)
        .where(sent.c.delivery_id == delivery_id, sent.c.state != InstanceState.OWED)
        .order_by(own.c.position)
    ).all()
    return tuple(map(instance_of, rows))


def _identity(connection: Connection, study_instance_uid: str) -> Mapping[str, Any]:
    table = schema.study
    identity: Mapping[str, Any] = connection.execute(
        select(table.c.identity).where(table.c.study_instance_uid == study_instance_uid)
    ).scalar_one()
    return identity


def _held(connection: Connection, claim: WithdrawalClaim, change: Update) -> None:
    changed = connection.execute(
        change.where(
            WITHDRAWAL.c.withdrawal_id == claim.withdrawal_id,
            WITHDRAWAL.c.transaction_uid == claim.transaction_uid,
            WITHDRAWAL.c.state == WithdrawalState.OWED,
        )
    ).rowcount
    if not changed:
        raise LeaseLost(f"withdrawal {claim.withdrawal_id} is held by somebody else")


def _delivered_no_more(connection: Connection, claim: WithdrawalClaim) -> None:
    of = select(WITHDRAWAL.c.delivery_id).where(WITHDRAWAL.c.withdrawal_id == claim.withdrawal_id)
    row = connection.execute(
        select(DELIVERY.c.delivery_id, DELIVERY.c.state).where(
            DELIVERY.c.delivery_id == of.scalar_subquery()
        )
    ).one()
    if row.state in {DeliveryState.SENT, DeliveryState.CONFIRMED}:  # else it was parked, in doubt
        connection.execute(
            update(DELIVERY)
            .where(DELIVERY.c.delivery_id == row.delivery_id)
            .values(state=move(DeliveryState(row.state), DeliveryState.WITHDRAWN))
        )


def _let_go_on(connection: Connection, now: float, claim: WithdrawalClaim) -> None:
    """Ring for the deliveries of the study that waited until the wrong result was away."""
    result = schema.result_set
    waiting = connection.execute(
        select(DELIVERY.c.delivery_id)
        .join(result, result.c.result_set_id == DELIVERY.c.result_set_id)
        .where(
            DELIVERY.c.destination == claim.destination,
            DELIVERY.c.state == DeliveryState.OWED,
            result.c.study_instance_uid == claim.study_instance_uid,
        )
    ).scalars()
    for delivery_id in waiting.all():
        put(connection, DELIVER, delivery_id, now)
