"""What follows when an archive has said what it has: a delivery is confirmed, sent again, or parked."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, exists, func, select, update

from node.core.confirmation import ConfirmationState, Resend, Way, decide
from node.core.job import DeliveryState, InstanceState, ResultState, move
from node.core.withdrawal import WithdrawalState
from node.store import schema
from node.store.events import tell
from node.store.outbox import DELIVER, put
from node.store.safekeeping import release

CONFIRMATION, DELIVERY = schema.confirmation, schema.delivery


def settle(
    connection: Connection, now: float, row: Row[Any], failures: Mapping[str, int], way: Way
) -> None:
    """Settle a transaction, in the caller's.

    Parameters
    ----------
    row
        The transaction, as it is now.
    failures
        Failure Reason by SOP Instance UID of what the archive has not.
    way
        How it is known.
    """
    if row.delivery_id is None:
        _release(connection, now, row, failures)
        return
    delivery = connection.execute(
        select(DELIVERY).where(DELIVERY.c.delivery_id == row.delivery_id)
    ).one()
    if delivery.state not in {DeliveryState.SENT, DeliveryState.CONFIRMED}:
        close(connection, now, row, ConfirmationState.DROPPED, failures=failures, way=way)
    elif not failures:
        _confirm(connection, now, row, delivery, way)
    elif not _wanted(connection, row.delivery_id):
        close(connection, now, row, ConfirmationState.DROPPED, failures=failures, way=way)
    else:
        _fail(connection, now, row, delivery, failures, way)


def close(
    connection: Connection,
    now: float,
    row: Row[Any],
    state: ConfirmationState,
    *,
    failures: Mapping[str, int] | None = None,
    way: Way | None = None,
    reason: str | None = None,
) -> None:
    """End a transaction, and whoever asks holds it no more."""
    connection.execute(
        update(CONFIRMATION)
        .where(CONFIRMATION.c.transaction_uid == row.transaction_uid)
        .values(
            state=state,
            failures=dict(failures) if failures is not None else row.failures,
            way=way or row.way,
            reason=reason,
            ended_at=now,
            lease_until=None,
            claim_uid=None,
        )
    )


def park(connection: Connection, now: float, row: Row[Any], reason: str, detail: str) -> None:
    """Park a delivery of which nobody could find out whether it stands; `overread retry` owes it again."""
    close(connection, now, row, ConfirmationState.PARKED, reason=reason)
    state = connection.execute(
        select(DELIVERY.c.state).where(DELIVERY.c.delivery_id == row.delivery_id)
    ).scalar_one_or_none()
    if state == DeliveryState.SENT:
        _park(connection, now, row, DeliveryState(state), reason, detail)


def _confirm(
    connection: Connection, now: float, row: Row[Any], delivery: Row[Any], way: Way
) -> None:
    close(connection, now, row, ConfirmationState.CONFIRMED, failures={}, way=way)
    if (
        delivery.state == DeliveryState.CONFIRMED
    ):  # it was read back, and now it is committed as well
        return
    receipt = {**(delivery.receipt or {}), "confirmed": True}
    connection.execute(
        update(DELIVERY)
        .where(DELIVERY.c.delivery_id == row.delivery_id)
        .values(state=move(DeliveryState.SENT, DeliveryState.CONFIRMED), receipt=receipt)
    )
    how = "committed" if way is Way.COMMITMENT else "read back"
    detail = f"{row.peer}: {len(row.listed)} objects {how}"
    if way is Way.READ_BACK and row.fallback:
        detail += f" ({row.fallback})"
    tell(connection, now, row.study_instance_uid, "delivery confirmed", detail)


def _fail(
    connection: Connection,
    now: float,
    row: Row[Any],
    delivery: Row[Any],
    failures: Mapping[str, int],
    way: Way,
) -> None:
    state = DeliveryState(delivery.state)
    verdict = decide(failures, _resent(connection, row.delivery_id), way)
    sent = schema.delivery_instance
    connection.execute(
        update(sent)
        .where(sent.c.delivery_id == row.delivery_id, sent.c.sop_instance_uid.in_(failures))
        .values(state=move(InstanceState.SENT, InstanceState.OWED), at=now)
    )
    if not isinstance(verdict, Resend):
        ended = ConfirmationState.PARKED
        close(connection, now, row, ended, failures=failures, way=way, reason=verdict.reason)
        detail = f"{len(failures)} of {len(row.listed)} objects were taken and not kept"
        _park(connection, now, row, state, verdict.reason, detail)
        return
    reason = verdict.reason
    close(
        connection,
        now,
        row,
        ConfirmationState.FAILED,
        failures=failures,
        way=way,
        reason=reason,
    )
    due_at = now + verdict.after_s
    values = {"state": move(state, DeliveryState.OWED), "due_at": due_at, "reason": reason}
    ended_not = {"transaction_uid": None, "lease_until": None, "ended_at": None}
    connection.execute(
        update(DELIVERY)
        .where(DELIVERY.c.delivery_id == row.delivery_id)
        .values(**values, **ended_not)
    )
    put(connection, DELIVER, row.delivery_id, due_at)
    detail = f"{row.peer}: {reason} for {len(failures)} of {len(row.listed)} objects, sent again"
    tell(connection, now, row.study_instance_uid, "delivery not confirmed", detail)


def _park(
    connection: Connection,
    now: float,
    row: Row[Any],
    state: DeliveryState,
    reason: str,
    detail: str,
) -> None:
    values = {"state": move(state, DeliveryState.PARKED), "reason": reason, "detail": detail[:1024]}
    connection.execute(
        update(DELIVERY)
        .where(DELIVERY.c.delivery_id == row.delivery_id)
        .values(**values, ended_at=now, lease_until=None)
    )
    told = f"{row.peer}: {reason}: {detail}"
    tell(connection, now, row.study_instance_uid, "delivery parked", told)


def _resent(connection: Connection, delivery_id: str) -> int:
    """Return how often instances of a delivery were sent again since somebody looked at it last."""
    of, state, at = (
        CONFIRMATION.c.delivery_id,
        CONFIRMATION.c.state,
        CONFIRMATION.c.created_at,
    )
    parked = connection.execute(
        select(func.max(at)).where(of == delivery_id, state == ConfirmationState.PARKED)
    ).scalar()
    failed = select(func.count()).where(
        of == delivery_id, state == ConfirmationState.FAILED, at > (parked or 0.0)
    )
    return int(connection.execute(failed).scalar_one())


def _wanted(connection: Connection, delivery_id: str) -> bool:
    """Whether a delivered result is still to stand there: else nothing of it is sent again."""
    result, wrong = schema.result_set, schema.withdrawal
    taken_back = exists().where(
        wrong.c.delivery_id == delivery_id,
        wrong.c.state.in_((WithdrawalState.OWED, WithdrawalState.WITHDRAWN)),
    )
    current = (
        select(DELIVERY.c.delivery_id)
        .join(result, result.c.result_set_id == DELIVERY.c.result_set_id)
        .where(
            DELIVERY.c.delivery_id == delivery_id,
            result.c.state == ResultState.CURRENT,
            ~taken_back,
        )
    )
    return connection.execute(current).first() is not None


def _release(
    connection: Connection, now: float, row: Row[Any], failures: Mapping[str, int]
) -> None:
    """End the holding of what the archive has committed itself; what it has not is asked for again later."""
    state = ConfirmationState.FAILED if failures else ConfirmationState.CONFIRMED
    close(connection, now, row, state, failures=failures, way=Way.COMMITMENT)
    committed = [uid for _, uid, _ in row.listed if uid not in failures]
    release(connection, now, committed, row.peer)
