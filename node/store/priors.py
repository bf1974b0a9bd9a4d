"""Earlier series that jobs wait for: wanted, fetched under rows of `retrieval`, found or given up."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Update, delete, insert, select, update

from node.core.job import Claim, JobState, Readiness
from node.core.prior import LATE, NOBODY, OPEN, Arrived, Candidate, PriorQuestion, PriorState
from node.store import schema
from node.store.database import Database
from node.store.events import tell
from node.store.evidence import announce
from node.store.siblings import facts_of_series

PRIOR, JOB, SERIES, INSTANCE = schema.prior, schema.job, schema.series, schema.instance


class PriorStore:
    """What jobs compare with."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def want(self, claim: Claim, names: Iterable[str], wait_s: float | None) -> bool:
        """Let a job wait for earlier series, those that it did not ask for before; tell whether it does.

        Parameters
        ----------
        wait_s
            How long at most; None where nobody can be asked: then it runs without.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            asked = select(PRIOR.c.name).where(PRIOR.c.job_id == claim.job_id)
            known = set(connection.execute(asked).scalars())
            rows = [
                {
                    "job_id": claim.job_id,
                    "name": name,
                    "state": PriorState.WANTED,
                    "tried": [],
                    "attempts": 0,
                    "due_at": now,
                    "until": now + (wait_s or 0.0),
                    "created_at": now,
                }
                for name in names
                if name not in known
            ]
            if rows:
                connection.execute(insert(PRIOR), rows)
            for row in rows:
                asked_for = f"{row['name']}: waited for at most {wait_s or 0:.0f} s"
                tell(connection, now, claim.study_instance_uid, "prior wanted", asked_for)
            if wait_s is None:
                wait_no_longer(connection, now, claim.job_id, claim.study_instance_uid, NOBODY)
        return wait_s is not None

    def due(self, sources: Collection[str]) -> list[PriorQuestion]:
        """Return what is to be asked now for jobs that read studies of these sources."""
        with self._database.reading() as (connection, now):
            rows = connection.execute(
                select(PRIOR, JOB.c.model, JOB.c.study_instance_uid, SERIES.c.peer)
                .add_columns(SERIES.c.identity, schema.study.c.facts)
                .join(JOB, JOB.c.job_id == PRIOR.c.job_id)
                .join(SERIES, SERIES.c.series_instance_uid == JOB.c.series_instance_uid)
                .join(schema.study, schema.study.c.study_instance_uid == JOB.c.study_instance_uid)
                .where(
                    PRIOR.c.state.in_(OPEN),
                    PRIOR.c.due_at <= now,
                    PRIOR.c.until > now,
                    JOB.c.state == JobState.SCHEDULED,
                    JOB.c.readiness == Readiness.INCOMPLETE,
                    SERIES.c.peer.in_(sources),
                )
                .order_by(JOB.c.priority.desc(), PRIOR.c.created_at, PRIOR.c.name)
            ).all()
            return [_question(row, _taken(connection, row.job_id, row.name)) for row in rows]

    def choose(self, question: PriorQuestion, chosen: Candidate, listed: Collection[str]) -> bool:
        """Keep which series is looked at, and the SOP Instance UIDs that the archive lists for it.

        False when another prior of the job has it, or nobody waits any more: nothing was kept.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        values = {
            "state": PriorState.FETCHING,
            "prior_study_uid": chosen.study_instance_uid,
            "prior_series_uid": chosen.series_instance_uid,
            "listed": sorted(listed),
            "attempts": question.attempt,
        }
        with self._database.transaction() as (connection, _):
            if chosen.series_instance_uid in _taken(connection, question.job_id, question.name):
                return False
            return bool(connection.execute(_still(question).values(**values)).rowcount)

    def announce(
        self, question: PriorQuestion, chosen: Candidate, peer: str, instances: Sequence[str]
    ) -> None:
        """Announce what an archive is asked for next, so that it is known for what it is when it comes.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            announce(connection, now, peer, chosen, dict.fromkeys(instances, question.attempt))

    def arrived(self, chosen: Candidate, listed: Collection[str]) -> Arrived | None:
        """Return what is here of a series; None when nothing is."""
        with self._database.reading() as (connection, _):
            held = _held(connection, chosen)
            if held.isdisjoint(listed):
                return None
            row = connection.execute(
                select(SERIES).where(SERIES.c.series_instance_uid == chosen.series_instance_uid)
            ).one()
            return Arrived(
                facts={**facts_of_series(connection, row), "SeriesInstances": len(listed)},
                identity=row.identity,
                lacking=tuple(sorted(set(listed) - held)),
            )

    def pass_over(self, question: PriorQuestion, chosen: Candidate, reason: str) -> None:
        """Keep that a series is not the one; the next is looked for.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        values = {
            "state": PriorState.WANTED,
            "reason": reason,
            "tried": [*question.tried, chosen.series_instance_uid],
            "prior_study_uid": None,
            "prior_series_uid": None,
            "listed": None,
            "attempts": 0,
        }
        with self._database.transaction() as (connection, now):
            if connection.execute(_still(question).values(due_at=now, **values)).rowcount:
                detail = f"{question.name}: series {chosen.series_instance_uid}: {reason}"
                tell(connection, now, question.study_instance_uid, "prior passed over", detail)

    def postpone(self, question: PriorQuestion, reason: str, after_s: float) -> None:
        """Ask again after a while.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            connection.execute(_still(question).values(due_at=now + after_s, reason=reason))

    def found(self, question: PriorQuestion, chosen: Candidate) -> None:
        """Let the job read a series as well, as its archive lists it.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            ended = _still(question).values(state=PriorState.FOUND, reason=None, ended_at=now)
            if not connection.execute(ended).rowcount:
                return
            listed: list[str] = connection.execute(
                select(PRIOR.c.listed).where(*_key(question))
            ).scalar_one()
            rows = [
                {
                    "job_id": question.job_id,
                    "sop_instance_uid": uid,
                    "input": question.name,
                    "prior": 1,
                }
                for uid in listed
            ]
            connection.execute(insert(schema.job_input), rows)
            where = f"series {chosen.series_instance_uid} of study {chosen.study_instance_uid}"
            detail = f"{question.name}: {where}, {len(listed)} instances"
            tell(connection, now, question.study_instance_uid, "prior found", detail)

    def give_up(self, question: PriorQuestion, reason: str) -> None:
        """Let the job run without it.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            _end(
                connection, now, question.job_id, question.study_instance_uid, question.name, reason
            )


def wait_no_longer(
    connection: Connection, now: float, job_id: str, study: str, why: str = LATE
) -> None:
    """Give up, in the caller's transaction, whatever a job still waits for."""
    rows = connection.execute(
        select(PRIOR.c.name, PRIOR.c.reason).where(
            PRIOR.c.job_id == job_id, PRIOR.c.state.in_(OPEN)
        )
    ).all()
    for row in rows:
        _end(connection, now, job_id, study, row.name, row.reason or why)


def prior_corrected(connection: Connection, now: float, sop_instance_uid: str) -> None:
    """Take an instance, whose identity is another one now, away from the jobs that are to compare with it.

    In the caller's transaction. What was compared already stands, and its study's story tells of it.
    """
    read = schema.job_input
    rows = connection.execute(
        select(read.c.job_id, read.c.input, JOB.c.study_instance_uid, JOB.c.state, JOB.c.model)
        .join(JOB, JOB.c.job_id == read.c.job_id)
        .where(read.c.sop_instance_uid == sop_instance_uid, read.c.prior == 1)
    ).all()
    for row in rows:
        detail = f"{row.input}: {row.model} has compared with it; overread rerun compares anew"
        if row.state == JobState.SCHEDULED:
            detail = f"{row.input}: nothing is compared with it"
            key = (PRIOR.c.job_id == row.job_id, PRIOR.c.name == row.input)
            none = {"state": PriorState.NONE, "reason": "PRIOR-CORRECTED"}
            connection.execute(update(PRIOR).where(*key).values(**none))
            connection.execute(
                delete(read).where(
                    read.c.job_id == row.job_id, read.c.input == row.input, read.c.prior == 1
                )
            )
        tell(connection, now, row.study_instance_uid, "prior corrected", detail)


def _end(connection: Connection, now: float, job_id: str, study: str, name: str, why: str) -> None:
    ended = connection.execute(
        update(PRIOR)
        .where(PRIOR.c.job_id == job_id, PRIOR.c.name == name, PRIOR.c.state.in_(OPEN))
        .values(state=PriorState.NONE, reason=why, ended_at=now)
    ).rowcount
    if ended:
        tell(connection, now, study, "no prior", f"{name}: {why}")


def _key(question: PriorQuestion) -> tuple[Any, Any]:
    return PRIOR.c.job_id == question.job_id, PRIOR.c.name == question.name


def _still(question: PriorQuestion) -> Update:
    """Return a change of a row that somebody still waits for."""
    return update(PRIOR).where(*_key(question), PRIOR.c.state.in_(OPEN))


def _held(connection: Connection, chosen: Candidate) -> set[str]:
    return set(
        connection.execute(
            select(INSTANCE.c.sop_instance_uid).where(
                INSTANCE.c.series_instance_uid == chosen.series_instance_uid,
                INSTANCE.c.study_instance_uid == chosen.study_instance_uid,
            )
        ).scalars()
    )


def _taken(connection: Connection, job_id: str, name: str) -> frozenset[str]:
    """Return the series that the job's other priors are, or may become."""
    rows = connection.execute(
        select(PRIOR.c.prior_series_uid).where(
            PRIOR.c.job_id == job_id, PRIOR.c.name != name, PRIOR.c.prior_series_uid.is_not(None)
        )
    ).scalars()
    return frozenset(uid for uid in rows if uid is not None)


def _question(row: Row[Any], taken: frozenset[str]) -> PriorQuestion:
    chosen = None
    if row.prior_series_uid is not None:
        chosen = Candidate(
            study_instance_uid=row.prior_study_uid, series_instance_uid=row.prior_series_uid
        )
    return PriorQuestion(
        job_id=row.job_id,
        name=row.name,
        model=row.model,
        study_instance_uid=row.study_instance_uid,
        peer=row.peer,
        identity={**row.facts, **row.identity},
        chosen=chosen,
        tried=tuple(row.tried),
        taken=taken,
        attempt=row.attempts + 1,
        reason=row.reason,
    )
