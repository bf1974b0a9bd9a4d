"""What holds a due delivery back: an older result on its way, a patient who was not asked for."""

from sqlalchemy import ColumnElement, alias, or_, select

from node.core.identity import CheckState
from node.core.job import DeliveryState
from node.store import schema

DELIVERY, RESULT = schema.delivery, schema.result_set


def held_back() -> ColumnElement[bool]:
    """Return the condition that a delivery, joined with its result set, has to wait for something else."""
    return or_(_behind_another(), _unchecked())


def _behind_another() -> ColumnElement[bool]:
    """Return the condition that an earlier result of the same question is still owed to the destination.

    A worker may be at it, or a part of it has left: what nobody had begun was parked when the newer one
    was made. One that is parked holds nobody up.
    """
    older, made = alias(DELIVERY), alias(RESULT)
    return (
        select(older.c.delivery_id)
        .join(made, made.c.result_set_id == older.c.result_set_id)
        .where(
            older.c.destination == DELIVERY.c.destination,
            older.c.state == DeliveryState.OWED,
            made.c.study_instance_uid == RESULT.c.study_instance_uid,
            made.c.series_instance_uid == RESULT.c.series_instance_uid,
            made.c.model == RESULT.c.model,
            made.c.job_id != RESULT.c.job_id,
            made.c.created_at < RESULT.c.created_at,
        )
        .exists()
    )


def _unchecked() -> ColumnElement[bool]:
    check = schema.identity_check
    return (
        select(check.c.job_id)
        .where(check.c.job_id == RESULT.c.job_id, check.c.state == CheckState.OWED)
        .exists()
    )
