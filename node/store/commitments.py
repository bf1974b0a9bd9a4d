"""Storage Commitment: what was asked, what was promised, and the reports that are owed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Update,
    and_,
    exists,
    func,
    insert,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from node.core.announcement import Announced, Announcement, Kind
from node.core.commitment import (
    MOST_OWED,
    Asked,
    CommitmentClaim,
    CommitmentRequest,
    CommitmentState,
    FailureReason,
    Holding,
    Reference,
)
from node.core.identifiers import new_uid
from node.core.study import Outcome
from node.errors import LeaseLost
from node.store import schema
from node.store.announcements import note
from node.store.database import Database
from node.store.events import tell

COMMITMENT = schema.commitment
AT_ONCE = 500
"""UIDs in one question: engines bound the parameters of a statement."""


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
        items = [[one.sop_class_uid, one.sop_instance_uid] for one in request.references]
        with self._database.transaction() as (connection, now):
            refusal = _refusal(connection, request, items)
            if refusal is not None:
                return refusal
            connection.execute(
                insert(COMMITMENT).values(
                    commitment_id=request.commitment_id,
                    transaction_uid=request.transaction_uid,
                    peer=request.peer,
                    listed=items,
                    studies=[],
                    state=CommitmentState.OWED,
                    due_at=now,
                    asked_at=now,
                )
            )
            listed = tuple(Announced(sop_instance_uid=uid) for _, uid in items)
            announcement = Announcement(kind=Kind.COMMITMENT, peer=request.peer, instances=listed)
            note(connection, now, announcement)
        return Asked.TAKEN

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
        table, line = schema.instance, schema.journal
        disputed = exists().where(
            line.c.sop_instance_uid == table.c.sop_instance_uid,
            line.c.outcome == Outcome.CONFLICT,
        )
        found: dict[str, Holding] = {}
        with self._database.reading() as (connection, _):
            for uids in _batches([one.sop_instance_uid for one in references]):
                question = select(*table.c, disputed.label("disputed")).where(
                    table.c.sop_instance_uid.in_(uids)
                )
                for row in connection.execute(question).all():
                    found[row.sop_instance_uid] = Holding(
                        study_instance_uid=row.study_instance_uid,
                        sop_class_uid=row.sop_class_uid,
                        path=row.path,
                        digest=row.digest,
                        disputed=bool(row.disputed),
                    )
        return found

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
            studies = _studies(connection, uids)  # again: retention may have been there
            gone = dict.fromkeys({*uids} - {*studies}, FailureReason.NO_SUCH_OBJECT_INSTANCE)
            final = {**gone, **failures}
            kept = [uid for uid in uids if uid not in final]
            _keep(connection, kept, now + hold_s)
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

    def release(self, sop_instance_uids: Sequence[str]) -> int:
        """End the holding of instances that their archive has committed itself; return how many.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        held_ = schema.commitment_held
        count = 0
        with self._database.transaction() as (connection, now):
            for uids in _batches(sop_instance_uids):
                count += connection.execute(
                    update(held_)
                    .where(held_.c.sop_instance_uid.in_(uids), held_.c.until > now)
                    .values(until=now)
                ).rowcount
            studies = _studies(connection, sop_instance_uids)
            for study in sorted({*studies.values()}):
                tell(connection, now, study, "commitment released", "the archive has committed")
        return count

    def _end(self, claim: CommitmentClaim, state: CommitmentState, reason: str | None) -> None:
        with self._database.transaction() as (connection, now):
            values = {"state": state, "reason": reason, "ended_at": now, "lease_until": None}
            _held(connection, claim, update(COMMITMENT).values(**values))
            key = COMMITMENT.c.commitment_id == claim.request.commitment_id
            studies = connection.execute(select(COMMITMENT.c.studies).where(key)).scalar_one()
            for study in studies:
                detail = f"{claim.request.peer}" + (f": {reason}" if reason else "")
                tell(connection, now, study, f"commitment {state.lower()}", detail)


def _refusal(
    connection: Connection, request: CommitmentRequest, items: list[list[str]]
) -> Asked | None:
    row = connection.execute(
        select(COMMITMENT.c.listed, COMMITMENT.c.state).where(
            COMMITMENT.c.commitment_id == request.commitment_id
        )
    ).first()
    if row is not None:
        again = row.state == CommitmentState.OWED and row.listed == items
        return Asked.KNOWN if again else Asked.DUPLICATE
    owed = connection.execute(
        select(func.count()).where(
            COMMITMENT.c.peer == request.peer, COMMITMENT.c.state == CommitmentState.OWED
        )
    ).scalar_one()
    return Asked.TOO_MANY if owed >= MOST_OWED else None


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


def _studies(connection: Connection, uids: Sequence[str]) -> dict[str, str]:
    table = schema.instance
    found: dict[str, str] = {}
    for some in _batches(uids):
        question = select(table.c.sop_instance_uid, table.c.study_instance_uid).where(
            table.c.sop_instance_uid.in_(some)
        )
        found.update((uid, study) for uid, study in connection.execute(question).tuples())
    return found


def _keep(connection: Connection, uids: Sequence[str], until: float) -> None:
    if not uids:
        return
    statement = upsert(schema.commitment_held)
    longest = func.max(schema.commitment_held.c.until, statement.excluded.until)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["sop_instance_uid"], set_={"until": longest}
        ),
        [{"sop_instance_uid": uid, "until": until} for uid in uids],
    )


def _batches(uids: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(uids), AT_ONCE):
        yield uids[begin : begin + AT_ONCE]


def held(connection: Connection, now: float, series_instance_uid: str) -> bool:
    """Whether the safekeeping of an instance of a series is promised: retention asks, in its transaction."""
    promised, of = schema.commitment_held, schema.instance
    return (
        connection.execute(
            select(promised.c.sop_instance_uid)
            .join(of, of.c.sop_instance_uid == promised.c.sop_instance_uid)
            .where(of.c.series_instance_uid == series_instance_uid, promised.c.until > now)
            .limit(1)
        ).first()
        is not None
    )
