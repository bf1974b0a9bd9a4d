"""What people ask: lists of studies, jobs and deliveries, one study's whole story, the counts."""

from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, func, select, true

from node.core.study import Outcome
from node.store import schema
from node.store.database import Database
from node.store.destinations import OPEN, destinations
from node.store.letters import dead
from node.store.siblings import series_of_study

Row = dict[str, Any]


class Overview:
    """Read-only questions for the command line and the status page.

    Rows are plain values by column name; times are seconds since 1970.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def studies(self, limit: int = 100) -> list[Row]:
        """Return the newest studies with how many series, instances and jobs they have."""
        study, series, instance, job = schema.study, schema.series, schema.instance, schema.job

        def count(table: Any) -> Any:
            return (
                select(func.count())
                .select_from(table)
                .where(table.c.study_instance_uid == study.c.study_instance_uid)
                .scalar_subquery()
            )

        return self._rows(
            select(
                study.c.study_instance_uid,
                study.c.peer,
                study.c.first_at,
                study.c.last_at,
                count(series).label("series"),
                count(instance).label("instances"),
                count(job).label("jobs"),
            )
            .order_by(study.c.last_at.desc())
            .limit(limit)
        )

    def jobs(self, study_instance_uid: str | None = None, limit: int = 100) -> list[Row]:
        """Return the newest jobs, of one study or of all, with the first form of the result they made."""
        job, result = schema.job, schema.result_set
        question = (
            select(
                *(column for column in job.c if column.name != "context"),
                result.c.result_set_id,
                result.c.state.label("result_state"),
                result.c.picture,
                result.c.seconds,
                result.c.server,
            )
            .outerjoin(result, (result.c.job_id == job.c.job_id) & (result.c.position == 0))
            .order_by(job.c.created_at.desc())
            .limit(limit)
        )
        if study_instance_uid is not None:
            question = question.where(job.c.study_instance_uid == study_instance_uid)
        return self._rows(question)

    def context(self, job_id: str) -> Row:
        """Return the context that a job was given, as `pipeline.prepare` stored it."""
        rows = self._rows(select(schema.job.c.context).where(schema.job.c.job_id == job_id))
        return (rows[0]["context"] or {}) if rows else {}

    def destinations(self) -> list[Row]:
        """Return how each destination fares (`store.destinations`)."""
        with self._database.reading() as (connection, _):
            return destinations(connection)

    def identity_checks(self, study_instance_uid: str) -> list[Row]:
        """Return whether the archive was asked whose study it is, for each job with a result."""
        table, job = schema.identity_check, schema.job
        return self._rows(
            select(table, job.c.model)
            .join(job, job.c.job_id == table.c.job_id)
            .where(job.c.study_instance_uid == study_instance_uid)
            .order_by(table.c.created_at.desc())
        )

    def dead_letters(self, limit: int = 1000) -> list[Row]:
        """Return the deliveries that somebody has to look at: parked, and still to be sent."""
        return self.deliveries(limit=limit, only=dead())

    def deliveries(
        self,
        study_instance_uid: str | None = None,
        limit: int = 100,
        only: ColumnElement[bool] | None = None,
    ) -> list[Row]:
        """Return the newest deliveries, of one study or of all, or only those that meet a condition."""
        delivery, result = schema.delivery, schema.result_set
        question = (
            select(
                delivery,
                result.c.study_instance_uid,
                result.c.job_id,
                result.c.profile,
                result.c.state.label("result_state"),
            )
            .join(result)
            .order_by(delivery.c.created_at.desc())
            .limit(limit)
        )
        if study_instance_uid is not None:
            question = question.where(result.c.study_instance_uid == study_instance_uid)
        if only is not None:
            question = question.where(only)
        return self._rows(question)

    def withdrawals(self, study_instance_uid: str | None = None, limit: int = 100) -> list[Row]:
        """Return the newest withdrawals, of one study or of all."""
        table = schema.withdrawal
        question = select(table).order_by(table.c.created_at.desc()).limit(limit)
        if study_instance_uid is not None:
            question = question.where(table.c.study_instance_uid == study_instance_uid)
        return self._rows(question)

    def commitments(self, limit: int = 100) -> list[Row]:
        """Return the newest transactions of Storage Commitment, without their lists."""
        table = schema.commitment
        columns = [column for column in table.c if column.name not in {"listed", "failures"}]
        question = select(*columns).order_by(table.c.asked_at.desc()).limit(limit)
        return self._rows(question)

    def results(self, study_instance_uid: str) -> list[Row]:
        """Return the result sets of a study, each form of a result by itself, the newest first."""
        table, number = schema.result_set, schema.series_number
        columns = (
            table.c.result_set_id,
            table.c.job_id,
            table.c.model,
            table.c.profile,
            table.c.state,
            table.c.reason,
            table.c.created_at,
            number.c.first_number,
        )
        given = (number.c.job_id == table.c.job_id) & (number.c.profile == table.c.profile)
        return self._rows(
            select(*columns)
            .outerjoin(number, given)
            .where(table.c.study_instance_uid == study_instance_uid)
            .order_by(table.c.created_at.desc(), table.c.position)
        )

    def result_instances(self, result_set_id: str) -> list[Row]:
        """Return the objects of a result set, in the order of delivery."""
        table = schema.result_instance
        return self._rows(
            select(table).where(table.c.result_set_id == result_set_id).order_by(table.c.position)
        )

    def report(self, result_set_id: str) -> Row:
        """Return the report of a result set in plain values."""
        table = schema.result_set
        rows = self._rows(select(table.c.report).where(table.c.result_set_id == result_set_id))
        return rows[0]["report"] if rows else {}

    def story(self, study_instance_uid: str) -> list[Row]:
        """Return everything that happened to a study, in order."""
        table = schema.event
        return self._rows(
            select(table.c.at, table.c.what, table.c.detail)
            .where(table.c.study_instance_uid == study_instance_uid)
            .order_by(table.c.line)
        )

    def series(self, study_instance_uid: str) -> list[Row]:
        """Return the series of a study with the evidence of their completeness."""
        table = schema.series
        return self._rows(select(table).where(table.c.study_instance_uid == study_instance_uid))

    def facts(self, study_instance_uid: str) -> dict[str, Row]:
        """Return what rules are asked about, by Series Instance UID."""
        with self._database.reading() as (connection, _):
            found = series_of_study(connection, study_instance_uid)
        return {one.series_instance_uid: dict(one.facts) for one in found}

    def expectations(self, study_instance_uid: str) -> list[Row]:
        """Return by when rules expected a study to be analysed, and what became of it."""
        table = schema.expectation
        return self._rows(
            select(table)
            .where(table.c.study_instance_uid == study_instance_uid)
            .order_by(table.c.deadline_at, table.c.rule)
        )

    def study_named(self, text: str) -> str | None:
        """Return the one study whose UID, or accession number, is or begins with `text`; None otherwise."""
        table = schema.study
        rows = self._rows(select(table.c.study_instance_uid, table.c.identity))
        exact = [
            row["study_instance_uid"]
            for row in rows
            if text in {row["study_instance_uid"], row["identity"].get("AccessionNumber")}
        ]
        begun = [
            row["study_instance_uid"] for row in rows if row["study_instance_uid"].startswith(text)
        ]
        found = exact or begun
        return found[0] if len(found) == 1 else None

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many there are: journal lines by outcome, series, jobs and deliveries by state."""
        tables = {
            "series": schema.series.c.state,
            "jobs": schema.job.c.state,
            "results": schema.result_set.c.state,
            "deliveries": schema.delivery.c.state,
            "withdrawals": schema.withdrawal.c.state,
            "identity": schema.identity_check.c.state,
            "retrievals": schema.retrieval.c.state,
            "priors": schema.prior.c.state,
            "outbox": schema.outbox.c.queue,
            "announced": schema.announcement.c.kind,
            "confirmations": schema.confirmation.c.state,
            "commitments": schema.commitment.c.state,
            "expired": schema.tombstone.c.kind,
            "messages": schema.feed_message.c.kind,
            "orders": schema.imaging_order.c.peer,
            "questions": schema.order_question.c.state,
            "merges": schema.patient_merge.c.peer,
        }
        with self._database.reading() as (connection, _):
            found = {name: _counted(connection, column) for name, column in tables.items()}
            series, expected = schema.series.c, schema.expectation.c
            found["excluded"] = _counted(connection, series.excluded, series.excluded.is_not(None))
            found["missed"] = _counted(connection, expected.reason, expected.state == "MISSED")
            found |= _of_destinations(connection)
            return found | _journaled(connection) | _late(connection) | _housekept(connection)

    def housekeeping(self) -> list[Row]:
        """Return the newest entry of each work that is done once a day."""
        table = schema.housekeeping
        newest = select(func.max(table.c.line)).group_by(table.c.work)
        return self._rows(select(table).where(table.c.line.in_(newest)).order_by(table.c.work))

    def _rows(self, question: Select[Any]) -> list[Row]:
        with self._database.reading() as (connection, _):
            return [dict(row) for row in connection.execute(question).mappings().all()]


def _counted(
    connection: Connection, column: Column[Any], condition: ColumnElement[bool] | None = None
) -> dict[str, int]:
    rows = connection.execute(
        select(column, func.count())
        .where(true() if condition is None else condition)
        .group_by(column)
    ).all()
    return {str(key): int(count) for key, count in rows}


def _journaled(connection: Connection) -> dict[str, dict[str, int]]:
    """Count the journal's lines by outcome, and what was corrected or in conflict by peer: one question."""
    table = schema.journal
    rows = connection.execute(
        select(table.c.outcome, table.c.peer, func.count()).group_by(table.c.outcome, table.c.peer)
    ).all()
    found: dict[str, dict[str, int]] = {"instances": {}, "corrections": {}, "conflicts": {}}
    by_peer = {Outcome.CORRECTION: "corrections", Outcome.CONFLICT: "conflicts"}
    for outcome, peer, count in rows:
        found["instances"][outcome] = found["instances"].get(outcome, 0) + int(count)
        if outcome in by_peer:
            found[by_peer[Outcome(outcome)]][peer] = int(count)
    return found


def _of_destinations(connection: Connection) -> dict[str, dict[str, int]]:
    rows = destinations(connection)
    return {
        "destination_owed": {row["destination"]: row["owed"] for row in rows},
        "destination_parked": {row["destination"]: row["parked"] for row in rows},
        "destination_open": {row["destination"]: int(row["state"] == OPEN) for row in rows},
        "destination_oldest": {
            row["destination"]: int(row["oldest_at"]) for row in rows if row["oldest_at"]
        },
    }


def _late(connection: Connection) -> dict[str, dict[str, int]]:
    table = schema.series
    rows = connection.execute(
        select(table.c.peer, func.sum(table.c.late)).where(table.c.late > 0).group_by(table.c.peer)
    ).all()
    return {"late": {str(peer): int(count) for peer, count in rows}}


def _housekept(connection: Connection) -> dict[str, dict[str, int]]:
    table = schema.housekeeping
    newest = select(func.max(table.c.line)).group_by(table.c.work)
    rows = connection.execute(select(table).where(table.c.line.in_(newest))).all()
    return {
        "faults": {str(row.work): int(row.faults) for row in rows},
        "finished": {str(row.work): int(row.ended_at) for row in rows},
    }
