"""In which form each destination is given results, and the change from one form to another."""

from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from node.core.job import DeliveryClaim, DeliveryState, Origin, ResultSet, ResultState, move
from node.store import schema
from node.store.claims import claim_of
from node.store.database import Database
from node.store.due import held
from node.store.events import tell
from node.store.outbox import DELIVER, put
from node.store.results import insert_result, owe_instances

FIRST_SERIES_NUMBER = 9000
"""Series Numbers of results start here, ten for each result set of a study."""

DELIVERY, RESULT = schema.delivery, schema.result_set


class FormStore:
    """The forms of results.

    Parameters
    ----------
    database
        Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def series_number(self, job_id: str, study_instance_uid: str, profile: str) -> int:
        """Return the first Series Number of a job's result in one form: ten of the study's, always the same.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        table = schema.series_number
        given = select(table.c.first_number).where(
            table.c.job_id == job_id, table.c.profile == profile
        )
        last = select(func.max(table.c.first_number)).where(
            table.c.study_instance_uid == study_instance_uid
        )
        with self._database.transaction() as (connection, _):
            number = connection.execute(given).scalar()
            if number is None:
                highest = connection.execute(last).scalar()
                number = FIRST_SERIES_NUMBER if highest is None else highest + 10
                connection.execute(
                    insert(table).values(
                        study_instance_uid=study_instance_uid,
                        first_number=number,
                        job_id=job_id,
                        profile=profile,
                    )
                )
            return int(number)

    def origin(self, claim: DeliveryClaim) -> Origin | None:
        """Return where the claimed result set comes from; None when no answer of its model was kept."""
        with self._database.reading() as (connection, _):
            answer = connection.execute(
                select(RESULT.c.answer).where(
                    RESULT.c.job_id == claim.job_id, RESULT.c.answer.is_not(None)
                )
            ).scalar()
            if answer is None:
                return None
            return Origin(job=_job(connection, claim.job_id), answer=answer)

    def reform(self, claim: DeliveryClaim, result_set: ResultSet) -> bool:
        """Owe the destination this form instead of the claimed one; the claim is over.

        A result that was superseded or retracted meanwhile is not made current again: the delivery is parked
        with that reason.

        Returns
        -------
        bool
            False when the form was there already, made for somebody else, or is not owed to anybody any more.

        Raises
        ------
        LeaseLost
            Another worker holds the delivery.
        OutOfResources
            The database could not be written.
        """
        there = select(RESULT.c.result_set_id).where(
            RESULT.c.job_id == claim.job_id, RESULT.c.profile == result_set.profile
        )
        with self._database.transaction() as (connection, now):
            state = connection.execute(
                select(RESULT.c.state).where(RESULT.c.result_set_id == claim.result_set_id)
            ).scalar_one()
            if state != ResultState.CURRENT:
                _park(connection, now, claim, state)
                return False
            known = connection.execute(there).scalar()
            if known is None:
                insert_result(connection, now, _job(connection, claim.job_id), result_set)
            _owe_instead(connection, now, claim, known or result_set.result_set_id)
            detail = f"{claim.destination}: {result_set.profile} instead of {claim.profile}"
            tell(connection, now, claim.study_instance_uid, "other form", detail)
            return known is None

    def accepted(self, destination: str, configured: str) -> str | None:
        """Return the profile that a destination took when it had refused others; None when there is none."""
        table = schema.accepted_form
        with self._database.reading() as (connection, _):
            return connection.execute(
                select(table.c.profile).where(
                    table.c.destination == destination, table.c.configured == configured
                )
            ).scalar()

    def accept(self, destination: str, configured: str, profile: str) -> None:
        """Remember which profile a destination took.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        table = schema.accepted_form
        with self._database.transaction() as (connection, now):
            values = {"configured": configured, "profile": profile, "at": now}
            connection.execute(
                upsert(table)
                .values(destination=destination, **values)
                .on_conflict_do_update(index_elements=[table.c.destination], set_=values)
            )


def _job(connection: Connection, job_id: str) -> Any:
    table = schema.job
    row = connection.execute(select(table).where(table.c.job_id == job_id)).one()
    return claim_of(connection, row, "", row.attempts)


def _park(connection: Connection, now: float, claim: DeliveryClaim, why: str) -> None:
    values = {"state": move(DeliveryState.OWED, DeliveryState.PARKED), "reason": why}
    held(connection, claim, update(DELIVERY).values(lease_until=None, ended_at=now, **values))
    detail = f"{claim.destination}: {why}"
    tell(connection, now, claim.study_instance_uid, "delivery parked", detail)


def _owe_instead(
    connection: Connection, now: float, claim: DeliveryClaim, result_set_id: str
) -> None:
    """Let a delivery be that of another set: nothing of the former one has left."""
    values = {"result_set_id": result_set_id, "transaction_uid": None, "lease_until": None}
    fresh = {"attempts": 0, "lost_leases": 0, "due_at": now, "reason": None}
    held(connection, claim, update(DELIVERY).values(**values, **fresh))
    sent, made = schema.delivery_instance, schema.result_instance
    connection.execute(delete(sent).where(sent.c.delivery_id == claim.delivery_id))
    uids = connection.execute(
        select(made.c.sop_instance_uid).where(made.c.result_set_id == result_set_id)
    ).scalars()
    owe_instances(connection, now, claim.delivery_id, list(uids))
    put(connection, DELIVER, claim.delivery_id, now)
