"""What we promised to keep, and until when: Storage Commitment promises it, retention asks."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, exists, func, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from node.core.commitment import Holding
from node.core.study import Outcome
from node.store import schema
from node.store.database import Database
from node.store.events import tell

AT_ONCE = 500
"""UIDs in one question: engines bound the parameters of a statement."""


class Safekeeping:
    """The promises that may end before their time.

    Parameters
    ----------
    database
        Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def release(self, sop_instance_uids: Sequence[str]) -> int:
        """End the holding of instances that their archive has committed itself; return how many.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        promised = schema.commitment_held
        count = 0
        with self._database.transaction() as (connection, now):
            for uids in batches(sop_instance_uids):
                count += connection.execute(
                    update(promised)
                    .where(promised.c.sop_instance_uid.in_(uids), promised.c.until > now)
                    .values(until=now)
                ).rowcount
            studies = studies_of(connection, sop_instance_uids)
            for study in sorted({*studies.values()}):
                tell(connection, now, study, "commitment released", "the archive has committed")
        return count


def held(connection: Connection, now: float, series_instance_uid: str) -> bool:
    """Whether the safekeeping of an instance of a series is promised: retention asks, in its transaction."""
    promised, of = schema.commitment_held, schema.instance
    return (
        connection.execute(
            select(promised.c.sop_instance_uid)
            .join(of, of.c.sop_instance_uid == promised.c.sop_instance_uid)
            .where(of.c.series_instance_uid == series_instance_uid, promised.c.until > now)
            .limit(1)
        ).first()
        is not None
    )


def hold(connection: Connection, uids: Sequence[str], until: float) -> None:
    """Promise, in the caller's transaction, to keep instances; no promise is ever shortened so."""
    if not uids:
        return
    statement = upsert(schema.commitment_held)
    longest = func.max(schema.commitment_held.c.until, statement.excluded.until)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["sop_instance_uid"], set_={"until": longest}
        ),
        [{"sop_instance_uid": uid, "until": until} for uid in uids],
    )


def recorded(connection: Connection, uids: Sequence[str]) -> dict[str, Holding]:
    """Return what is recorded of instances, by SOP Instance UID."""
    table, line = schema.instance, schema.journal
    disputed = exists().where(
        line.c.sop_instance_uid == table.c.sop_instance_uid,
        line.c.outcome == Outcome.CONFLICT,
    )
    found: dict[str, Holding] = {}
    for some in batches(uids):
        question = select(*table.c, disputed.label("disputed")).where(
            table.c.sop_instance_uid.in_(some)
        )
        for row in connection.execute(question).all():
            found[row.sop_instance_uid] = Holding(
                study_instance_uid=row.study_instance_uid,
                sop_class_uid=row.sop_class_uid,
                path=row.path,
                digest=row.digest,
                disputed=bool(row.disputed),
            )
    return found


def studies_of(connection: Connection, uids: Sequence[str]) -> dict[str, str]:
    """Return the Study Instance UID of each instance that is recorded."""
    table = schema.instance
    found: dict[str, str] = {}
    for some in batches(uids):
        question = select(table.c.sop_instance_uid, table.c.study_instance_uid).where(
            table.c.sop_instance_uid.in_(some)
        )
        found.update((uid, study) for uid, study in connection.execute(question).tuples())
    return found


def batches(uids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Give UIDs in portions that fit into one question."""
    for begin in range(0, len(uids), AT_ONCE):
        yield uids[begin : begin + AT_ONCE]
