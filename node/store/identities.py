"""Identity checks: one for each job, asked of the archive before any of its results is sent."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from node.core.identity import CheckState, IdentityQuestion
from node.core.job import DeliveryState, move
from node.store import schema
from node.store.database import Database
from node.store.events import tell
from node.store.outbox import DELIVER, put, remove

CHECK, DELIVERY, RESULT = schema.identity_check, schema.delivery, schema.result_set
NO_ARCHIVE = "NO-ARCHIVE"
"""Reason of a check that nobody can make: the source names no archive."""


class IdentityStore:
    """What is to be asked of archives, and what they said."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, sources: Collection[str]) -> list[IdentityQuestion]:
        """Return the checks to make now about studies of these sources, the oldest first."""
        job, series = schema.job, schema.series
        with self._database.reading() as (connection, now):
            rows = connection.execute(
                select(
                    CHECK.c.job_id,
                    CHECK.c.attempts,
                    CHECK.c.created_at,
                    job.c.study_instance_uid,
                    job.c.series_instance_uid,
                    series.c.peer,
                    series.c.identity,
                )
                .join(job, job.c.job_id == CHECK.c.job_id)
                .join(series, series.c.series_instance_uid == job.c.series_instance_uid)
                .where(
                    CHECK.c.state == CheckState.OWED,
                    CHECK.c.due_at <= now,
                    series.c.peer.in_(sorted(sources)),
                )
                .order_by(CHECK.c.created_at)
                .limit(100)
            ).all()
            return [_question(connection, now, row) for row in rows]

    def unasked(self, sources: Collection[str]) -> list[str]:
        """Return the jobs whose check is owed although their source has no archive, any more."""
        job, series = schema.job, schema.series
        with self._database.reading() as (connection, _):
            return list(
                connection
                .execute(
                    select(CHECK.c.job_id)
                    .join(job, job.c.job_id == CHECK.c.job_id)
                    .join(series, series.c.series_instance_uid == job.c.series_instance_uid)
                    .where(CHECK.c.state == CheckState.OWED, series.c.peer.not_in(sorted(sources)))
                )
                .scalars()
                .all()
            )

    def settle(
        self,
        job_id: str,
        state: CheckState,
        reason: str | None,
        detail: str,
        spared: Collection[str] = (),
    ) -> None:
        """Keep what came of a check, and let the job's deliveries go, or park them where it DIFFERS.

        Nothing happens when it was settled before.

        Parameters
        ----------
        spared
            Destinations that get the result although the identity differs.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            changed = connection.execute(
                update(CHECK)
                .where(CHECK.c.job_id == job_id, CHECK.c.state == CheckState.OWED)
                .values(state=state, reason=reason, detail=detail[:1024], ended_at=now)
            ).rowcount
            if not changed:
                return
            study = _study(connection, job_id)
            told = f"{reason}: {detail}" if reason else detail
            tell(connection, now, study, WORDS[state], told)
            for row in _owed(connection, job_id):
                if state is CheckState.DIFFERS and row.destination not in spared:
                    _park(connection, now, study, row, reason or state, detail)
                else:
                    put(connection, DELIVER, row.delivery_id, now)

    def postpone(self, question: IdentityQuestion, reason: str, after_s: float) -> None:
        """Ask again after a while; the story says why the deliveries wait, once for each reason.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            key = (CHECK.c.job_id == question.job_id) & (CHECK.c.state == CheckState.OWED)
            before = connection.execute(select(CHECK.c.reason).where(key)).scalar()
            connection.execute(
                update(CHECK)
                .where(key)
                .values(due_at=now + after_s, attempts=question.attempt, reason=reason)
            )
            if before != reason:
                tell(
                    connection,
                    now,
                    question.study_instance_uid,
                    "identity not verified yet",
                    reason,
                )


WORDS = {
    CheckState.VERIFIED: "identity verified",
    CheckState.NOT_VERIFIED: "identity not re-verified",
    CheckState.DIFFERS: "identity differs in the archive",
}


def ask_identity(connection: Connection, now: float, job_id: str, *, archive: bool) -> None:
    """Owe a check of a job's identity, in the caller's transaction that makes its deliveries.

    One that was made for a notice is made anew for the result.

    Parameters
    ----------
    archive
        Whether there is an archive to ask; without one it is over at once, not verified.
    """
    values: dict[str, Any] = {"job_id": job_id, "created_at": now, "due_at": now, "attempts": 0}
    if archive:
        values |= {"state": CheckState.OWED}
    else:
        values |= {"state": CheckState.NOT_VERIFIED, "reason": NO_ARCHIVE, "ended_at": now}
        words = f"{NO_ARCHIVE}: the source names none"
        tell(connection, now, _study(connection, job_id), WORDS[CheckState.NOT_VERIFIED], words)
    anew = {"reason": None, "detail": None, "ended_at": None, **values}
    connection.execute(
        upsert(CHECK)
        .values(values)
        .on_conflict_do_update(index_elements=[CHECK.c.job_id], set_=anew)
    )


def ask_again(connection: Connection, now: float, job_id: str) -> None:
    """Owe the check of a job anew whose identity differed: something of it is to be sent after all."""
    connection.execute(
        update(CHECK)
        .where(CHECK.c.job_id == job_id, CHECK.c.state == CheckState.DIFFERS)
        .values(state=CheckState.OWED, created_at=now, due_at=now, attempts=0, reason=None)
    )


def _question(connection: Connection, now: float, row: Any) -> IdentityQuestion:
    read, said = schema.job_input, schema.archive_list
    instances = connection.execute(
        select(read.c.sop_instance_uid)
        .where(read.c.job_id == row.job_id, read.c.prior == 0)
        .order_by(read.c.sop_instance_uid)
    ).scalars()
    listed = connection.execute(
        select(said.c.instances).where(said.c.series_instance_uid == row.series_instance_uid)
    ).scalar()
    return IdentityQuestion(
        job_id=row.job_id,
        study_instance_uid=row.study_instance_uid,
        series_instance_uid=row.series_instance_uid,
        peer=row.peer,
        identity=row.identity,
        instances=tuple(instances),
        attempt=row.attempts + 1,
        waited_s=now - row.created_at,
        listed=bool(listed),
    )


def _study(connection: Connection, job_id: str) -> str:
    table = schema.job
    return str(
        connection.execute(
            select(table.c.study_instance_uid).where(table.c.job_id == job_id)
        ).scalar_one()
    )


def _owed(connection: Connection, job_id: str) -> Sequence[Row[Any, Any]]:
    return connection.execute(
        select(DELIVERY.c.delivery_id, DELIVERY.c.destination)
        .join(RESULT, RESULT.c.result_set_id == DELIVERY.c.result_set_id)
        .where(RESULT.c.job_id == job_id, DELIVERY.c.state == DeliveryState.OWED)
    ).all()


def _park(
    connection: Connection, now: float, study: str, row: Any, reason: str, detail: str
) -> None:
    state = move(DeliveryState.OWED, DeliveryState.PARKED)
    connection.execute(
        update(DELIVERY)
        .where(DELIVERY.c.delivery_id == row.delivery_id)
        .values(state=state, reason=reason, detail=detail[:1024], lease_until=None, ended_at=now)
    )
    remove(connection, DELIVER, row.delivery_id)
    tell(connection, now, study, "delivery parked", f"{row.destination}: {reason}: {detail}")
