"""Storage Commitment: the answers and the reports that are owed, each under its own fenced lease."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Update,
    and_,
    null,
    or_,
    select,
    update,
)

from node.core.commitment import (
    Asked,
    CommitmentClaim,
    CommitmentRequest,
    CommitmentState,
    FailureReason,
    Holding,
    Reference,
)
from node.core.identifiers import new_uid
from node.errors import LeaseLost
from node.store import schema
from node.store.database import Database
from node.store.events import tell
from node.store.requests import take
from node.store.safekeeping import hold, recorded, studies_of

COMMITMENT = schema.commitment


class CommitmentStore:
    """Transactions, each answered and reported under a fenced lease.

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

    def ask(self, request: CommitmentRequest) -> Asked:
        """Owe a peer an answer, and note its list as an announcement; durable on return.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            return take(connection, now, request)

    def claim(self) -> CommitmentClaim | None:
        """Take the transaction that is due longest; None when nothing is due.

        Raises
        ------
        OutOfResources
            The database could not be read or written.
        """
        with self._database.reading() as (connection, now):  # looking holds no writer up
            if _due(connection, now) is None:
                return None
        with self._database.transaction() as (connection, now):
            row = _due(connection, now)
            if row is None:
                return None
            claim_uid = new_uid()
            connection.execute(
                update(COMMITMENT)
                .where(COMMITMENT.c.commitment_id == row.commitment_id)
                .values(
                    claim_uid=claim_uid,
                    lease_until=now + self._lease_s,
                    attempts=row.attempts + 1,
                )
            )
            return _claim(row, claim_uid, now)

    def renew(self, claim: CommitmentClaim) -> None:
        """Prolong the lease.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction.
        """
        with self._database.transaction() as (connection, now):
            _held(connection, claim, update(COMMITMENT).values(lease_until=now + self._lease_s))

    def holdings(self, references: Sequence[Reference]) -> Mapping[str, Holding]:
        """Return what is recorded of these instances, by SOP Instance UID.

        Raises
        ------
        OutOfResources
            The database could not be read.
        """
        with self._database.reading() as (connection, _):
            return recorded(connection, [one.sop_instance_uid for one in references])

    def answer(
        self, claim: CommitmentClaim, failures: Mapping[str, FailureReason], hold_s: float
    ) -> Mapping[str, FailureReason]:
        """Give the answer, and hold what it commits for `hold_s`: one transaction, before anybody is told.

        Returns
        -------
        Mapping
            The failures, with what is no longer recorded added.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction.
        OutOfResources
            The database could not be written.
        """
        uids = [one.sop_instance_uid for one in claim.request.references]
        with self._database.transaction() as (connection, now):
            studies = studies_of(connection, uids)  # again: retention may have been there
            gone = dict.fromkeys({*uids} - {*studies}, FailureReason.NO_SUCH_OBJECT_INSTANCE)
            final = {**gone, **failures}
            kept = [uid for uid in uids if uid not in final]
            hold(connection, kept, now + hold_s)
            change = update(COMMITMENT).values(
                failures={uid: int(reason) for uid, reason in final.items()},
                studies=sorted({*studies.values()}),
                answered_at=now,
            )
            _held(connection, claim, change)
            for study in sorted({*studies.values()}):
                committed = sum(studies[uid] == study for uid in kept)
                others = sum(of == study for of in studies.values()) - committed
                detail = f"{claim.request.peer}: {committed} instances kept, {others} refused"
                tell(connection, now, study, "commitment answered", detail)
        return final

    def reported(self, claim: CommitmentClaim) -> None:
        """Note that the peer took the report.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction.
        """
        self._end(claim, CommitmentState.REPORTED, None)

    def park(self, claim: CommitmentClaim, reason: str) -> None:
        """Stop trying to report.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction.
        """
        self._end(claim, CommitmentState.PARKED, reason)

    def give_back(self, claim: CommitmentClaim, reason: str, after_s: float) -> None:
        """Owe the report again after a while, and with it every other one to the same peer.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction.
        """
        with self._database.transaction() as (connection, now):
            values = {"due_at": now + after_s, "lease_until": None, "claim_uid": None}
            _held(connection, claim, update(COMMITMENT).values(reason=reason, **values))
            connection.execute(
                update(COMMITMENT)
                .where(
                    COMMITMENT.c.peer == claim.request.peer,
                    COMMITMENT.c.state == CommitmentState.OWED,
                    COMMITMENT.c.due_at < now + after_s,
                )
                .values(due_at=now + after_s)
            )

    def owe_again(self, commitment_id: str) -> bool:
        """Owe a parked report again, and try it as long as a new one; tell whether it was parked.

        The answer is given anew: the peer never took the former one, and what that promised to hold may have
        gone since.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            changed = connection.execute(
                update(COMMITMENT)
                .where(
                    COMMITMENT.c.commitment_id == commitment_id,
                    COMMITMENT.c.state == CommitmentState.PARKED,
                )
                .values(
                    state=CommitmentState.OWED,
                    failures=null(),
                    reason=None,
                    asked_at=now,
                    answered_at=None,
                    due_at=now,
                    ended_at=None,
                )
            ).rowcount
            return bool(changed)

    def _end(self, claim: CommitmentClaim, state: CommitmentState, reason: str | None) -> None:
        with self._database.transaction() as (connection, now):
            values = {"state": state, "reason": reason, "ended_at": now, "lease_until": None}
            _held(connection, claim, update(COMMITMENT).values(**values))
            key = COMMITMENT.c.commitment_id == claim.request.commitment_id
            studies = connection.execute(select(COMMITMENT.c.studies).where(key)).scalar_one()
            for study in studies:
                detail = f"{claim.request.peer}" + (f": {reason}" if reason else "")
                tell(connection, now, study, f"commitment {state.lower()}", detail)


def _due(connection: Connection, now: float) -> Row[Any] | None:
    unheld = or_(COMMITMENT.c.lease_until.is_(None), COMMITMENT.c.lease_until < now)
    return connection.execute(
        select(COMMITMENT)
        .where(and_(COMMITMENT.c.state == CommitmentState.OWED, COMMITMENT.c.due_at <= now, unheld))
        .order_by(COMMITMENT.c.due_at)
        .limit(1)
    ).first()


def _claim(row: Row[Any], claim_uid: str, now: float) -> CommitmentClaim:
    answered = row.failures is not None
    return CommitmentClaim(
        claim_uid=claim_uid,
        request=CommitmentRequest(
            peer=row.peer,
            transaction_uid=row.transaction_uid,
            references=tuple(
                Reference(sop_class_uid=sop_class, sop_instance_uid=instance)
                for sop_class, instance in row.listed
            ),
        ),
        attempt=row.attempts + 1,
        age_s=now - row.asked_at,
        failures={uid: FailureReason(reason) for uid, reason in row.failures.items()}
        if answered
        else None,
    )


def _held(connection: Connection, claim: CommitmentClaim, change: Update) -> None:
    changed = connection.execute(
        change.where(
            COMMITMENT.c.commitment_id == claim.request.commitment_id,
            COMMITMENT.c.claim_uid == claim.claim_uid,
            COMMITMENT.c.state == CommitmentState.OWED,
        )
    ).rowcount
    if not changed:
        raise LeaseLost(f"commitment {claim.request.commitment_id} is held by somebody else")
