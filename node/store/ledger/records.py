"""Records against records: every question finds one kind of difference within one snapshot."""

from collections.abc import Iterator

from sqlalchemy import Connection, text

from node.core.ledger import Difference

RECORD_GONE = text("""
    SELECT j.line, j.sop_instance_uid, j.path FROM journal j
        LEFT JOIN instance i ON i.sop_instance_uid = j.sop_instance_uid
        LEFT JOIN tombstone t ON t.journal_line = j.line
    WHERE j.outcome NOT IN ('own', 'conflict', 'duplicate')
        AND i.sop_instance_uid IS NULL AND t.line IS NULL
""")
# a line that was settled by an earlier tombstone has one; of the others only the newest may lack one
DUPLICATE_OF_NOTHING = text("""
    SELECT j.line, j.sop_instance_uid FROM journal j
    WHERE j.outcome = 'duplicate' AND NOT EXISTS (
        SELECT 1 FROM journal s
        WHERE s.sop_instance_uid = j.sop_instance_uid AND s.outcome NOT IN ('own', 'duplicate'))
""")
RECORD_ADDED = text("""
    SELECT i.sop_instance_uid FROM instance i
    WHERE NOT EXISTS (
        SELECT 1 FROM journal j
        WHERE j.sop_instance_uid = i.sop_instance_uid AND j.digest = i.digest
            AND j.outcome NOT IN ('own', 'conflict'))
""")
OWN_UNKNOWN = text("""
    SELECT j.line, j.sop_instance_uid FROM journal j
    WHERE j.outcome = 'own' AND NOT EXISTS (
        SELECT 1 FROM result_instance r WHERE r.sop_instance_uid = j.sop_instance_uid)
""")
SERIES_GONE = text("""
    SELECT held.series_instance_uid, held.study_instance_uid FROM
        (SELECT series_instance_uid, min(study_instance_uid) AS study_instance_uid
            FROM instance GROUP BY series_instance_uid) held
        LEFT JOIN series s ON s.series_instance_uid = held.series_instance_uid
        LEFT JOIN study t ON t.study_instance_uid = held.study_instance_uid
    WHERE s.series_instance_uid IS NULL OR t.study_instance_uid IS NULL
""")
UNANSWERED = text("""
    SELECT j.job_id FROM job j
    WHERE j.state = 'COMPLETED' AND NOT EXISTS (
        SELECT 1 FROM result_set r WHERE r.job_id = j.job_id)
""")

KINDS = {
    "job": ("JOB-GONE", "JOB-ADDED", "job", "job_id", "series"),
    "result set": ("RESULT-SET-GONE", "RESULT-SET-ADDED", "result_set", "result_set_id", "job"),
    "result": ("RESULT-GONE", "RESULT-ADDED", "result_instance", "sop_instance_uid", "result set"),
    "delivery": ("DELIVERY-GONE", "DELIVERY-ADDED", "delivery", "delivery_id", "result set"),
    "withdrawal": (
        "WITHDRAWAL-GONE",
        "WITHDRAWAL-ADDED",
        "withdrawal",
        "withdrawal_id",
        "delivery",
    ),
}
"""Kind of an entitlement -> codes of one too few and too many, table and key, and what it belongs to."""

RESTORE = "restore the database from a backup, or ask the source to send the study again"


def of_instances(connection: Connection) -> Iterator[Difference]:
    """Hold the journal against the records of instances, both ways."""
    for row in connection.execute(RECORD_GONE):
        yield Difference(
            code="RECORD-GONE",
            where=f"journal line {row.line}, {row.sop_instance_uid}",
            what="no record, and no tombstone says that it expired",
            remedy=RESTORE,
        )
    for row in connection.execute(DUPLICATE_OF_NOTHING):
        yield Difference(
            code="RECORD-GONE",
            where=f"journal line {row.line}, {row.sop_instance_uid}",
            what="acknowledged as a duplicate of an instance that was never stored",
            remedy=RESTORE,
        )
    for row in connection.execute(OWN_UNKNOWN):
        yield Difference(
            code="OWN-UNKNOWN",
            where=f"journal line {row.line}, {row.sop_instance_uid}",
            what="journaled as our own, and no result carries this UID",
            remedy="restore the database from a backup",
        )
    for row in connection.execute(RECORD_ADDED):
        yield Difference(
            code="RECORD-ADDED",
            where=f"record {row.sop_instance_uid}",
            what="on record, and with this content never acknowledged",
            remedy="find out who wrote into the database; send the study again",
        )
    for row in connection.execute(SERIES_GONE):
        yield Difference(
            code="SERIES-GONE",
            where=f"study {row.study_instance_uid}, series {row.series_instance_uid}",
            what="its instances are on record, and their series or study is not",
            remedy=RESTORE,
        )


def of_work(connection: Connection) -> Iterator[Difference]:
    """Hold what was ever ordered against jobs, results and deliveries, both ways."""
    for kind, (few, many, table, key, of) in KINDS.items():
        gone = text(
            f"SELECT DISTINCT e.subject, e.belongs_to FROM entitlement e "  # noqa: S608 - names of ours
            f"LEFT JOIN {table} t ON t.{key} = e.subject WHERE e.kind = :kind AND t.{key} IS NULL"
        )
        added = text(
            f"SELECT t.{key} AS subject FROM {table} t WHERE NOT EXISTS ("  # noqa: S608 - likewise
            f"SELECT 1 FROM entitlement e WHERE e.kind = :kind AND e.subject = t.{key})"
        )
        for row in connection.execute(gone, {"kind": kind}):
            yield Difference(
                code=few,
                where=f"{kind} {row.subject}, of {of} {row.belongs_to}",
                what="it was ordered, and its record is gone",
                remedy="restore the database from a backup",
            )
        for row in connection.execute(added, {"kind": kind}):
            yield Difference(
                code=many,
                where=f"{kind} {row.subject}",
                what="on record, and nothing ordered it",
                remedy="find out who wrote into the database, or dropped its triggers",
            )
    for row in connection.execute(UNANSWERED):
        yield Difference(
            code="RESULT-SET-GONE",
            where=f"job {row.job_id}",
            what="completed, and has no result set",
            remedy="restore the database from a backup",
        )
