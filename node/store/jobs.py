"""Jobs: dispatched, prepared, claimed under a fenced lease, published.

A claim has its own Transaction UID. Every later write names it in its condition, in the transaction
that makes the write visible: a worker that slept through its lease writes nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, exists, select, update

from node.core.choice import Decision
from node.core.identifiers import new_uid
from node.core.job import (
    Claim,
    JobRequest,
    JobState,
    Readiness,
    ResultSet,
    move,
)
from node.core.prior import OPEN
from node.core.study import SeriesOfStudy, StoredSeries
from node.store import schema
from node.store.claims import claim_of, end, held
from node.store.database import Database
from node.store.decisions import decide
from node.store.events import tell
from node.store.identities import ask_identity
from node.store.outbox import ANALYSE, owed, put, remove
from node.store.priors import wait_no_longer
from node.store.questions import ask
from node.store.results import insert_result, owe_delivery, supersede
from node.store.siblings import series_of_study

JOB, PRIOR = schema.job, schema.prior


class JobStore:
    """What is owed to studies.

    Parameters
    ----------
    database
        Where it is kept.
    lease_s
        How long a claim lives without renewal.
    reissued
        Destinations that get a result anew when the identity of its study is corrected.
    archived
        Sources whose archive is asked for the patient before a result is sent.
    """

    def __init__(
        self,
        database: Database,
        lease_s: float,
        *,
        reissued: Collection[str] = (),
        archived: Collection[str] = (),
    ) -> None:
        self._database = database
        self._lease_s = lease_s
        self._reissued = frozenset(reissued)
        self._archived = frozenset(archived)

    def siblings(self, study_instance_uid: str) -> list[SeriesOfStudy]:
        """Return every series of a study, for a rule that reads the best of them."""
        with self._database.reading() as (connection, _):
            return series_of_study(connection, study_instance_uid)

    def dispatch(
        self,
        series: StoredSeries,
        requests: Sequence[JobRequest],
        notes: Sequence[str],
        excluded: str | None = None,
        decisions: Sequence[Decision] = (),
    ) -> None:
        """Create jobs and keep what was decided of the series: one transaction.

        A question that was answered already, about the same instances with the same content, is not asked
        again: a rule that waited joins its job, otherwise the story says so. An earlier job for the same
        series and model that is not done yet is canceled: its result would be older than the one that is
        ordered now, and could come later. Nothing happens when something of the series arrived since it was
        read, or another keeper was faster.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        why = None if excluded is None else (excluded, _words(notes))
        with self._database.transaction() as (connection, now):
            if not decide(connection, now, series, decisions, why):
                return
            for request in requests:
                ask(
                    connection,
                    now,
                    request,
                    joins=series.waiting is not None,
                    reissued=self._reissued,
                )
            for note in notes:
                what = "excluded" if excluded else "not routed"
                tell(connection, now, series.study_instance_uid, what, note)

    def unprepared(self) -> list[Claim]:
        """Return jobs whose inputs are INCOMPLETE and due to be prepared; their Transaction UID is empty.

        One that waits for an earlier series is due when that wait ends.
        """
        with self._database.reading() as (connection, now):
            rows = connection.execute(
                select(JOB).where(
                    JOB.c.state == JobState.SCHEDULED,
                    JOB.c.readiness == Readiness.INCOMPLETE,
                    JOB.c.due_at <= now,
                    ~exists().where(
                        PRIOR.c.job_id == JOB.c.job_id,
                        PRIOR.c.state.in_(OPEN),
                        PRIOR.c.until > now,
                    ),
                )
            ).all()
            return [claim_of(connection, row, "", row.preparations + 1) for row in rows]

    def prepared(self, job_id: str, readiness: Readiness, context: Mapping[str, Any]) -> None:
        """Store a job's context and ring for it; nothing happens when it was prepared before.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        move(Readiness.INCOMPLETE, readiness)
        with self._database.transaction() as (connection, now):
            changed = connection.execute(
                update(JOB)
                .where(JOB.c.job_id == job_id, JOB.c.readiness == Readiness.INCOMPLETE)
                .values(readiness=readiness, context=dict(context), ready_at=now, due_at=now)
            ).rowcount
            if changed:
                put(connection, ANALYSE, job_id, now)
                study = _study(connection, job_id)
                wait_no_longer(connection, now, job_id, study)
                detail = str(context.get("refused") or "")
                tell(connection, now, study, f"context {readiness.lower()}", detail)

    def postpone_preparation(self, job_id: str, after_s: float) -> None:
        """Try to prepare again later.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            connection.execute(
                update(JOB)
                .where(JOB.c.job_id == job_id, JOB.c.readiness == Readiness.INCOMPLETE)
                .values(due_at=now + after_s, preparations=JOB.c.preparations + 1)
            )

    def claim(self) -> Claim | None:
        """Take the most urgent owed job under a new Transaction UID; None when nothing is owed.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            row = connection.execute(
                select(JOB)
                .where(owed(JOB, now))
                .order_by(
                    JOB.c.priority.desc(), JOB.c.deadline_at.asc().nulls_last(), JOB.c.created_at
                )
                .limit(1)
            ).first()
            if row is None:
                return None
            transaction_uid = new_uid()
            connection.execute(
                update(JOB)
                .where(JOB.c.job_id == row.job_id)
                .values(
                    state=move(JobState(row.state), JobState.IN_PROGRESS),
                    transaction_uid=transaction_uid,
                    lease_until=now + self._lease_s,
                    claimed_at=now,
                    attempts=row.attempts + 1,
                    lost_leases=row.lost_leases + (row.state == JobState.IN_PROGRESS),
                )
            )
            remove(connection, ANALYSE, row.job_id)
            again = "" if row.state == JobState.SCHEDULED else ", the lease before had ended"
            detail = f"{row.model} {row.version}, attempt {row.attempts + 1}{again}"
            tell(connection, now, row.study_instance_uid, "claimed", detail)
            return claim_of(connection, row, transaction_uid, row.attempts + 1)

    def renew(self, claim: Claim) -> None:
        """Prolong the lease.

        Raises
        ------
        LeaseLost
            Another worker holds the job, or it is over.
        """
        with self._database.transaction() as (connection, now):
            held(connection, claim, update(JOB).values(lease_until=now + self._lease_s))

    def publish(self, claim: Claim, *result_sets: ResultSet) -> None:
        """Complete the job: its result in each form, deliveries and their outbox rows, in one transaction.

        Whoever is to have the result and is named by no set gets the first one: a rule may have joined the job
        while it ran.

        Raises
        ------
        LeaseLost
            Another worker holds the job, or it is over; nothing was written.
        """
        first = result_sets[0]
        made_for = {name: one for one in result_sets for name in one.destinations}
        with self._database.transaction() as (connection, now):
            end(connection, now, claim, JobState.COMPLETED)
            supersede(connection, now, claim)
            for result_set in result_sets:
                insert_result(connection, now, claim, result_set)
            destinations = _destinations(connection, claim.job_id)
            for destination in destinations:
                owe_delivery(connection, now, made_for.get(destination, first), destination)
            if destinations:
                asked = claim.peer in self._archived
                ask_identity(connection, now, claim.job_id, archive=asked)
            else:
                why = "neither the rule nor the source's results_to names a peer"
                tell(connection, now, claim.study_instance_uid, "no destination", why)
            detail = f"{claim.model} {claim.version} on {first.server}"
            tell(connection, now, claim.study_instance_uid, "results stored", detail)

    def cancel(self, claim: Claim, reason: str, detail: str) -> None:
        """Park the job with a reason code.

        Raises
        ------
        LeaseLost
            Another worker holds the job, or it is over.
        """
        with self._database.transaction() as (connection, now):
            end(connection, now, claim, JobState.CANCELED, reason, detail)
            tell(connection, now, claim.study_instance_uid, "job canceled", f"{reason}: {detail}")

    def give_back(self, claim: Claim, reason: str, after_s: float) -> None:
        """Return the job to the owed ones, to be claimed after a while.

        Raises
        ------
        LeaseLost
            Another worker holds the job, or it is over.
        """
        with self._database.transaction() as (connection, now):
            state = move(JobState.IN_PROGRESS, JobState.SCHEDULED)
            values = {
                "state": state,
                "lease_until": None,
                "due_at": now + after_s,
                "reason": reason,
            }
            held(connection, claim, update(JOB).values(transaction_uid=None, **values))
            put(connection, ANALYSE, claim.job_id, now + after_s)
            detail = f"{reason}, again in {after_s:.0f} s"
            tell(connection, now, claim.study_instance_uid, "job postponed", detail)


def _words(notes: Sequence[str]) -> str:
    """Return what the first note says behind its code and its series."""
    return notes[0].split(": ", 2)[-1] if notes else ""


def _study(connection: Connection, job_id: str) -> str:
    return str(
        connection.execute(
            select(JOB.c.study_instance_uid).where(JOB.c.job_id == job_id)
        ).scalar_one()
    )


def _destinations(connection: Connection, job_id: str) -> Sequence[str]:
    question = select(JOB.c.destinations).where(JOB.c.job_id == job_id)
    found: Sequence[str] = connection.execute(question).scalar_one()
    return found
