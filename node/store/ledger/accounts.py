"""What there is, by what became of it: the columns of the ledger, each one question to the database."""

from collections.abc import Iterable

from sqlalchemy import Connection, TextClause, text

from node.core.study import Outcome

JOURNAL = text("SELECT outcome, count(*) FROM journal GROUP BY outcome")

INSTANCES = text("""
    WITH worked AS (
        SELECT series_instance_uid, state FROM job
        UNION
        SELECT i.series_instance_uid, j.state FROM job j
            JOIN job_input n ON n.job_id = j.job_id
            JOIN instance i ON i.sop_instance_uid = n.sop_instance_uid
            WHERE i.series_instance_uid <> j.series_instance_uid
    ),
    ordered AS (
        SELECT series_instance_uid, max(state <> 'CANCELED') AS alive FROM worked GROUP BY 1
    ),
    held AS (SELECT series_instance_uid, count(*) AS instances FROM instance GROUP BY 1)
    SELECT
        CASE
            WHEN s.series_instance_uid IS NULL THEN 'in no series'
            WHEN s.state = 'OPEN' THEN 'waiting'
            WHEN s.dispatched_at IS NULL THEN 'ready'
            WHEN o.alive IS NULL THEN 'excluded by rule'
            WHEN o.alive = 0 THEN 'parked'
            ELSE 'in jobs'
        END AS fate,
        sum(held.instances)
    FROM held
        LEFT JOIN series s ON s.series_instance_uid = held.series_instance_uid
        LEFT JOIN ordered o ON o.series_instance_uid = held.series_instance_uid
    GROUP BY fate
""")

EXPIRED = text("SELECT count(*) FROM tombstone WHERE kind = 'instance'")
ORDERED = text("SELECT count(DISTINCT subject) FROM entitlement WHERE kind = :kind")
STATES = {
    "job": text("SELECT state, count(*) FROM job GROUP BY state"),
    "delivery": text("SELECT state, count(*) FROM delivery GROUP BY state"),
    "withdrawal": text("SELECT state, count(*) FROM withdrawal GROUP BY state"),
}

FATES = ("waiting", "ready", "in jobs", "excluded by rule", "parked", "expired")
"""What may have become of a stored instance."""


def journal(connection: Connection) -> dict[str, int]:
    """Count the journal's lines by outcome."""
    return _counts(connection, JOURNAL, [str(outcome) for outcome in Outcome])


def instances(connection: Connection) -> dict[str, int]:
    """Count stored instances by what became of them; ``expired`` ones have a tombstone."""
    expired = int(connection.execute(EXPIRED).scalar_one())
    return {**_counts(connection, INSTANCES, FATES), "expired": expired}


def work(connection: Connection, kind: str) -> dict[str, int]:
    """Count jobs, deliveries or withdrawals: how many were ever ordered, and what there is by state."""
    ordered = int(connection.execute(ORDERED, {"kind": kind}).scalar_one())
    return {"ordered": ordered, **_counts(connection, STATES[kind], ())}


def _counts(connection: Connection, question: TextClause, names: Iterable[str]) -> dict[str, int]:
    found = {str(name): int(count) for name, count in connection.execute(question).all()}
    return {**dict.fromkeys(names, 0), **found}
