"""Requests for Storage Commitment: taken once, and noted as an announcement of what their peer has."""

from sqlalchemy import Connection, func, insert, select

from node.core.announcement import Announced, Announcement, Kind
from node.core.commitment import MOST_OWED, Asked, CommitmentRequest, CommitmentState
from node.store import schema
from node.store.announcements import note

COMMITMENT = schema.commitment


def take(connection: Connection, now: float, request: CommitmentRequest) -> Asked:
    """Owe a peer an answer, in the caller's transaction, unless its request is known or we owe it too many."""
    items = [[one.sop_class_uid, one.sop_instance_uid] for one in request.references]
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
