"""What archives are asked about instances that they took: each transaction under its own fenced lease."""

from typing import Any

from sqlalchemy import Connection, Row, Update, or_, select, update

from node.core.confirmation import (
    CommitmentReport,
    ConfirmationClaim,
    ConfirmationState,
    Listed,
    Told,
    Way,
    failures_of,
)
from node.core.identifiers import new_uid
from node.errors import LeaseLost
from node.store import schema, settlement
from node.store.database import Database
from node.store.events import tell

CONFIRMATION = schema.confirmation
OPEN = (ConfirmationState.OWED, ConfirmationState.ASKED)


class ConfirmationStore:
    """Transactions with archives.

    Parameters
    ----------
    database
        Where they are kept.
    lease_s
        How long a claim lives without renewal.
    """

    def __init__(self, database: Database, lease_s: float) -> None:
        self._database = database
        self._lease_s = lease_s

    def claim(self, peer: str) -> ConfirmationClaim | None:
        """Take the transaction of an archive that is due longest; None when nothing is due.

        One whose report is awaited is due when it should have come.

        Raises
        ------
        OutOfResources
            The database could not be read or written.
        """
        with self._database.reading() as (connection, now):  # looking holds no writer up
            if _due(connection, now, peer) is None:
                return None
        with self._database.transaction() as (connection, now):
            row = _due(connection, now, peer)
            if row is None:
                return None
            claim_uid = new_uid()
            values = {"claim_uid": claim_uid, "lease_until": now + self._lease_s}
            connection.execute(
                update(CONFIRMATION)
                .where(CONFIRMATION.c.transaction_uid == row.transaction_uid)
                .values(attempts=row.attempts + 1, **values)
            )
            return _claim(row, claim_uid, now)

    def renew(self, claim: ConfirmationClaim) -> None:
        """Prolong the lease.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction, or it is settled.
        """
        with self._database.transaction() as (connection, now):
            _held(connection, claim, update(CONFIRMATION).values(lease_until=now + self._lease_s))

    def asked(self, claim: ConfirmationClaim, within_s: float) -> None:
        """Note that the archive has the request, and await its report for so long.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction, or it is settled: the report was faster.
        """
        with self._database.transaction() as (connection, now):
            values = {"state": ConfirmationState.ASKED, "asked_at": now, "due_at": now + within_s}
            _held(connection, claim, update(CONFIRMATION).values(lease_until=None, **values))
            if claim.delivery_id is not None:
                detail = f"{claim.peer}: {len(claim.instances)} objects"
                tell(connection, now, claim.study_instance_uid, "commitment requested", detail)

    def read_back_instead(self, claim: ConfirmationClaim, reason: str) -> None:
        """Ask the archive what it holds, because it does not commit; nothing is read back for what we hold.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction, or it is settled.
        """
        with self._database.transaction() as (connection, now):
            row = _row(connection, claim)
            if row.delivery_id is None:
                ended = ConfirmationState.DROPPED
                settlement.close(connection, now, row, ended, reason=reason)
                return
            values = {"way": Way.READ_BACK, "fallback": reason, "attempts": 0, "due_at": now}
            state = {"state": ConfirmationState.OWED, "lease_until": None}
            _held(connection, claim, update(CONFIRMATION).values(**values, **state))

    def give_back(self, claim: ConfirmationClaim, reason: str, after_s: float) -> None:
        """Owe the question again after a while.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction, or it is settled.
        """
        with self._database.transaction() as (connection, now):
            values = {"due_at": now + after_s, "lease_until": None, "claim_uid": None}
            _held(connection, claim, update(CONFIRMATION).values(reason=reason, **values))

    def settle(self, claim: ConfirmationClaim, failures: dict[str, int]) -> None:
        """Settle by what was read back.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction, or it is settled.
        """
        with self._database.transaction() as (connection, now):
            row = _row(connection, claim)
            settlement.settle(connection, now, row, failures, Way.READ_BACK)

    def leave_sent(self, claim: ConfirmationClaim, reason: str, detail: str) -> None:
        """Give up asking: a delivery stays SENT where nothing better was promised, else it is parked.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction, or it is settled.
        """
        with self._database.transaction() as (connection, now):
            row = _row(connection, claim)
            if row.fallback is None:
                settlement.close(connection, now, row, ConfirmationState.DROPPED, reason=reason)
            else:
                settlement.park(connection, now, row, reason, detail)

    def report(self, report: CommitmentReport) -> Told:
        """Settle by what an archive reports; durable on return.

        A report is taken whoever holds the transaction, and also after the archive was read back: it is the
        better evidence. The first one counts.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            row = connection.execute(
                select(CONFIRMATION).where(
                    CONFIRMATION.c.transaction_uid == report.transaction_uid,
                    CONFIRMATION.c.peer == report.peer,
                )
            ).first()
            if row is None:
                return Told.UNKNOWN
            read_back = row.state == ConfirmationState.CONFIRMED and row.way == Way.READ_BACK
            if row.state not in OPEN and not read_back:
                return Told.KNOWN
            failures = failures_of(_listed(row), report)
            settlement.settle(connection, now, row, failures, Way.COMMITMENT)
            return Told.TAKEN


def _due(connection: Connection, now: float, peer: str) -> Row[Any] | None:
    unheld = or_(CONFIRMATION.c.lease_until.is_(None), CONFIRMATION.c.lease_until < now)
    due = CONFIRMATION.c.state.in_(OPEN) & (CONFIRMATION.c.due_at <= now)
    return connection.execute(
        select(CONFIRMATION)
        .where(CONFIRMATION.c.peer == peer, due, unheld)
        .order_by(CONFIRMATION.c.due_at)
        .limit(1)
    ).first()


def _claim(row: Row[Any], claim_uid: str, now: float) -> ConfirmationClaim:
    return ConfirmationClaim(
        transaction_uid=row.transaction_uid,
        claim_uid=claim_uid,
        peer=row.peer,
        state=ConfirmationState(row.state),
        way=Way(row.way),
        fallback=row.fallback,
        delivery_id=row.delivery_id,
        study_instance_uid=row.study_instance_uid,
        instances=_listed(row),
        attempt=row.attempts + 1,
        age_s=now - row.created_at,
    )


def _listed(row: Row[Any]) -> tuple[Listed, ...]:
    return tuple(
        Listed(sop_class_uid=of, sop_instance_uid=uid, series_instance_uid=series)
        for of, uid, series in row.listed
    )


def _row(connection: Connection, claim: ConfirmationClaim) -> Row[Any]:
    row = connection.execute(
        select(CONFIRMATION).where(
            CONFIRMATION.c.transaction_uid == claim.transaction_uid,
            CONFIRMATION.c.claim_uid == claim.claim_uid,
            CONFIRMATION.c.state.in_(OPEN),
        )
    ).first()
    if row is None:
        raise LeaseLost(f"transaction {claim.transaction_uid} is held by somebody else, or settled")
    return row


def _held(connection: Connection, claim: ConfirmationClaim, change: Update) -> None:
    row = _row(connection, claim)
    connection.execute(change.where(CONFIRMATION.c.transaction_uid == row.transaction_uid))
