"""Expectations: a row for each study and rule with a deadline, judged once."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select, update

from node.core.expectation import Due, Expected, JobStanding, Judgement, Newcomer
from node.core.job import JobState, Readiness
from node.store import schema
from node.store.database import Database
from node.store.deadlines import deadline_at
from node.store.events import tell
from node.store.index import stored_series

EXPECTATION, SERIES, JOB = schema.expectation, schema.series, schema.job
FEW = 500
"""How many one call returns; the next one goes on."""
DETAIL = 1024


class ExpectationStore:
    """What rules with a deadline expect of studies."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newcomers(self) -> list[Newcomer]:
        """Return series about which nobody has said yet whether their study is expected."""
        with self._database.reading() as (connection, _):
            rows = connection.execute(
                select(SERIES).where(SERIES.c.expected_at.is_(None), SERIES.c.prior == 0).limit(FEW)
            ).all()
        return [
            Newcomer(
                series_instance_uid=row.series_instance_uid,
                study_instance_uid=row.study_instance_uid,
                facts=row.facts,
            )
            for row in rows
        ]

    def expect(self, newcomer: Newcomer, expected: Sequence[Expected]) -> None:
        """Keep what is expected because of a series; what was expected before stays as it is.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        study = newcomer.study_instance_uid
        with self._database.transaction() as (connection, now):
            known = set(
                connection.execute(
                    select(EXPECTATION.c.rule).where(EXPECTATION.c.study_instance_uid == study)
                ).scalars()
            )
            rows = [
                {
                    "study_instance_uid": study,
                    "rule": one.rule,
                    "model": one.model,
                    "deadline_at": deadline_at(connection, study, one.deadline_s),
                    "state": "OPEN",
                }
                for one in expected
                if one.rule not in known
            ]
            if rows:
                connection.execute(insert(EXPECTATION), rows)
            connection.execute(
                update(SERIES)
                .where(SERIES.c.series_instance_uid == newcomer.series_instance_uid)
                .values(expected_at=now)
            )

    def due(self) -> list[Due]:
        """Return the expectations whose deadline is over, and that were not judged."""
        with self._database.reading() as (connection, now):
            rows = connection.execute(
                select(EXPECTATION)
                .where(EXPECTATION.c.state == "OPEN", EXPECTATION.c.deadline_at <= now)
                .order_by(EXPECTATION.c.deadline_at)
                .limit(FEW)
            ).all()
            return [
                Due(
                    study_instance_uid=row.study_instance_uid,
                    rule=row.rule,
                    model=row.model,
                    deadline_at=row.deadline_at,
                    series=stored_series(
                        connection, SERIES.c.study_instance_uid == row.study_instance_uid
                    ),
                    jobs=_jobs(connection, row.study_instance_uid, row.model),
                )
                for row in rows
            ]

    def judge(self, due: Due, judgement: Judgement) -> None:
        """Keep what became of an expectation, and tell of one that was missed; once.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            changed = connection.execute(
                update(EXPECTATION)
                .where(
                    EXPECTATION.c.study_instance_uid == due.study_instance_uid,
                    EXPECTATION.c.rule == due.rule,
                    EXPECTATION.c.state == "OPEN",
                )
                .values(
                    state=judgement.state,
                    reason=judgement.reason,
                    detail=judgement.detail[:DETAIL] or None,
                    judged_at=now,
                )
            ).rowcount
            if changed and judgement.reason is not None:
                why = f"because {judgement.reason}: {judgement.detail}"
                detail = f"DEADLINE-MISSED: {due.model} by rule {due.rule}, {why}"
                tell(connection, now, due.study_instance_uid, "AI did not run", detail)


def _jobs(connection: Connection, study_instance_uid: str, model: str) -> list[JobStanding]:
    rows = connection.execute(
        select(JOB)
        .where(JOB.c.study_instance_uid == study_instance_uid, JOB.c.model == model)
        .order_by(JOB.c.created_at.desc())
    ).all()
    return [
        JobStanding(
            state=JobState(row.state),
            readiness=Readiness(row.readiness),
            reason=row.reason,
            detail=row.detail,
            faulty=bool(row.reason) and row.reason == row.evidence.get("fault"),
            ended_at=row.ended_at,
        )
        for row in rows
        if row.reason != "OVERTAKEN"
    ]
