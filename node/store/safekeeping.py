"""What we promised to keep, and until when: Storage Commitment promises it, retention asks."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, exists, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from node.core.commitment import Holding
from node.core.confirmation import Way
from node.core.study import Outcome
from node.store import schema
from node.store.database import Database
from node.store.events import tell
from node.store.transactions import owe_listed

AT_ONCE = 500
"""UIDs in one question: engines bound the parameters of a statement."""

MOST_AT_ONCE = 5_000
"""Held instances that are asked for at one time."""


class Safekeeping:
    """The promises that may end before their time, because an archive commits the instances itself.

    Parameters
    ----------
    database
        Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, archive: str, sources: Collection[str], again_s: float) -> int:
        """Owe that an archive is asked to commit what we hold of its studies; return how many instances.

        One transaction for each study. What it does not commit may be asked for again after `again_s`.

        Parameters
        ----------
        archive
            Name of the peer that is asked.
        sources
            Names of the peers whose studies it has.

        Raises
        ------
        OutOfResources
            The database could not be read or written.
        """
        with self._database.reading() as (connection, now):  # looking holds no writer up
            if not _releasable(connection, now, sources):
                return 0
        with self._database.transaction() as (connection, now):
            studies: dict[str, list[list[str]]] = {}
            for row in _releasable(connection, now, sources):
                listed = [row.sop_class_uid, row.sop_instance_uid, row.series_instance_uid]
                studies.setdefault(row.study_instance_uid, []).append(listed)
            for study, listed_ones in studies.items():
                owe_listed(
                    connection,
                    now,
                    peer=archive,
                    study_instance_uid=study,
                    listed=listed_ones,
                    way=Way.COMMITMENT,
                )
                _asked(connection, [uid for _, uid, _ in listed_ones], now + again_s)
        return sum(map(len, studies.values()))


def release(connection: Connection, now: float, uids: Sequence[str], archive: str) -> int:
    """End, in the caller's transaction, the holding of what its archive has committed; return how many."""
    promised = schema.commitment_held
    count = 0
    for some in batches(uids):
        count += connection.execute(
            update(promised)
            .where(promised.c.sop_instance_uid.in_(some), promised.c.until > now)
            .values(until=now)
        ).rowcount
    for study in sorted({*studies_of(connection, uids).values()}):
        tell(connection, now, study, "commitment released", f"{archive} has committed it itself")
    return count


def _releasable(connection: Connection, now: float, sources: Collection[str]) -> Sequence[Row[Any]]:
    promised, of, study = schema.commitment_held, schema.instance, schema.study
    may_ask = or_(promised.c.ask_at.is_(None), promised.c.ask_at <= now)
    return connection.execute(
        select(of)
        .join(promised, of.c.sop_instance_uid == promised.c.sop_instance_uid)
        .join(study, study.c.study_instance_uid == of.c.study_instance_uid)
        .where(promised.c.until > now, may_ask, study.c.peer.in_(sources))
        .order_by(promised.c.sop_instance_uid)
        .limit(MOST_AT_ONCE)
    ).all()


def _asked(connection: Connection, uids: Sequence[str], ask_at: float) -> None:
    promised = schema.commitment_held
    for some in batches(uids):
        connection.execute(
            update(promised).where(promised.c.sop_instance_uid.in_(some)).values(ask_at=ask_at)
        )


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
