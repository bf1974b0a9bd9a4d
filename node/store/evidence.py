"""What archives and announcements say that a series has, and what we asked an archive for."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from node.core.prior import Candidate
from node.core.study import ArchiveList, SeriesState
from node.store import schema
from node.store.database import Database
from node.store.events import tell

ATTEMPTS = 3
"""How often one instance is asked for."""

AGAIN_S = 30.0
"""Before it is asked for again, or an archive that did not answer is."""


class EvidenceStore:
    """The archive's side of every open series."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def to_ask(self, peers: Collection[str], settled_s: float) -> list[tuple[str, str, str]]:
        """Return (study, series, peer) of open series that the archive should be asked about now.

        Parameters
        ----------
        peers
            Sources whose studies this archive holds.
        settled_s
            Nothing has arrived for so long.
        """
        series, said = schema.series, schema.archive_list
        with self._database.reading() as (connection, now):
            rows = connection.execute(
                select(series.c.study_instance_uid, series.c.series_instance_uid, series.c.peer)
                .outerjoin(said, said.c.series_instance_uid == series.c.series_instance_uid)
                .where(
                    series.c.state == SeriesState.OPEN,
                    series.c.peer.in_(peers),
                    series.c.last_at <= now - settled_s,
                    or_(said.c.ask_at.is_(None), said.c.ask_at <= now),
                )
                .order_by(series.c.last_at)
            ).all()
        return [(row[0], row[1], row[2]) for row in rows]

    def answered(
        self, series_instance_uid: str, peer: str, listed: frozenset[str] | None, again_s: float
    ) -> None:
        """Keep what an archive said; `listed` is None when it did not answer.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        table = schema.archive_list
        key = table.c.series_instance_uid == series_instance_uid
        names = None if listed is None else sorted(listed)
        with self._database.transaction() as (connection, now):
            said = connection.execute(select(table).where(key)).first()
            since = said.since if said is not None and said.instances == names else now
            connection.execute(delete(table).where(key))
            connection.execute(
                insert(table).values(
                    series_instance_uid=series_instance_uid,
                    peer=peer,
                    instances=names,
                    since=since,
                    at=now,
                    ask_at=now + (AGAIN_S if names is None else again_s),
                )
            )

    def announce_retrieval(
        self, study_instance_uid: str, series_instance_uid: str, peer: str
    ) -> tuple[str, ...]:
        """Announce what the archive has twice said to hold and we lack; return what to ask for now.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        table, held = schema.retrieval, schema.instance
        with self._database.transaction() as (connection, now):
            said = archive_list(connection, series_instance_uid)
            if said is None or said.since == said.at:
                return ()
            ours = connection.execute(
                select(held.c.sop_instance_uid).where(
                    held.c.series_instance_uid == series_instance_uid
                )
            ).scalars()
            lacking = said.instances - set(ours)
            asked = {
                row.sop_instance_uid: row
                for row in connection.execute(
                    select(table).where(table.c.series_instance_uid == series_instance_uid)
                )
            }
            due = sorted(uid for uid in lacking if _due(asked.get(uid), now))
            attempts = {uid: asked[uid].attempts + 1 if uid in asked else 1 for uid in due}
            series = Candidate(
                study_instance_uid=study_instance_uid, series_instance_uid=series_instance_uid
            )
            announce(connection, now, peer, series, attempts)
            if due:
                detail = f"series {series_instance_uid}: {len(due)} missing, asked of {peer}"
                tell(connection, now, study_instance_uid, "missing images fetched", detail)
        return tuple(due)

    def retrieval_failed(self, study_instance_uid: str, reason: str) -> None:
        """Tell that the archive did not send what it was asked for.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            tell(connection, now, study_instance_uid, "fetching failed", reason)


def announce(
    connection: Connection, now: float, peer: str, of: Candidate, attempts: Mapping[str, int]
) -> None:
    """Announce, in the caller's transaction, what an archive is about to be asked for.

    Parameters
    ----------
    of
        The series.
    attempts
        SOP Instance UIDs, and the how manieth time each of them is asked for.
    """
    table = schema.retrieval
    connection.execute(delete(table).where(table.c.sop_instance_uid.in_(list(attempts))))
    rows = [
        {
            "sop_instance_uid": uid,
            "series_instance_uid": of.series_instance_uid,
            "study_instance_uid": of.study_instance_uid,
            "peer": peer,
            "state": "ANNOUNCED",
            "attempts": attempt,
            "at": now,
        }
        for uid, attempt in attempts.items()
    ]
    if rows:
        connection.execute(insert(table), rows)


def archive_list(connection: Connection, series_instance_uid: str) -> ArchiveList | None:
    """Return what the archive said last about a series."""
    table = schema.archive_list
    said = connection.execute(
        select(table).where(table.c.series_instance_uid == series_instance_uid)
    ).first()
    if said is None or said.instances is None:
        return None
    return ArchiveList(instances=frozenset(said.instances), since=said.since, at=said.at)


def announced(
    connection: Connection, study_instance_uid: str, series_instance_uid: str
) -> tuple[frozenset[str], bool, int]:
    """Return the instances that are announced for a series, whether in parts perhaps, and how many more may be.

    A Storage Commitment request names neither series nor study: what it names and we hold belongs where we
    hold it. A list of which we lack some may mean any of the series that hold the others, so it vouches for
    none of them yet, and each of them may lack what we do not hold.
    """
    told, held = schema.announcement, schema.instance
    named = connection.execute(
        select(told.c.sop_instance_uid).where(
            told.c.study_instance_uid == study_instance_uid,
            told.c.series_instance_uid == series_instance_uid,
        )
    ).scalars()
    told_whole = frozenset(named)
    committed, unplaced = set(told_whole), 0
    lists = connection.execute(
        select(told.c.peer, told.c.at)
        .join(held, held.c.sop_instance_uid == told.c.sop_instance_uid)
        .where(
            held.c.series_instance_uid == series_instance_uid, told.c.series_instance_uid.is_(None)
        )
        .distinct()
    ).all()
    for peer, at in lists:
        lacking, ours = _of_list(connection, peer, at, series_instance_uid)
        unplaced += lacking
        committed |= ours
    return frozenset(committed), not told_whole, unplaced


def _of_list(
    connection: Connection, peer: str, at: float, series_instance_uid: str
) -> tuple[int, set[str]]:
    """Return how many of one list we do not hold; if none, those that belong to the series."""
    told, held = schema.announcement, schema.instance
    listed = (told.c.at == at, told.c.peer == peer, told.c.series_instance_uid.is_(None))
    lacking = connection.execute(
        select(func.count())
        .select_from(told)
        .outerjoin(held, held.c.sop_instance_uid == told.c.sop_instance_uid)
        .where(*listed, held.c.sop_instance_uid.is_(None))
    ).scalar_one()
    if lacking:
        return int(lacking), set()
    ours = connection.execute(
        select(told.c.sop_instance_uid)
        .join(held, held.c.sop_instance_uid == told.c.sop_instance_uid)
        .where(*listed, held.c.series_instance_uid == series_instance_uid)
    ).scalars()
    return 0, set(ours)


def fetched(connection: Connection, sop_instance_uids: Collection[str]) -> None:
    """Note that instances arrived that we had asked for."""
    table = schema.retrieval
    connection.execute(
        update(table)
        .where(table.c.sop_instance_uid.in_(sorted(sop_instance_uids)))
        .values(state="ARRIVED")
    )


def _due(asked: Any, now: float) -> bool:
    return asked is None or (asked.attempts < ATTEMPTS and asked.at <= now - AGAIN_S)
