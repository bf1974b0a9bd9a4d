"""What was received: journal, associations, instances, series, studies."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from node.core.completeness import Evidence
from node.core.reception import Known
from node.core.study import Outcome, Received, SeriesState, StoredSeries
from node.store import schema
from node.store.arrivals import known, write
from node.store.database import Database
from node.store.decisions import waiting
from node.store.events import tell
from node.store.evidence import announced, archive_list


class IntakeStore:
    """The records of everything that was answered Success.

    Parameters
    ----------
    database
        Where they are kept.
    owner
        Name of this process, so that a restart can tell its own broken associations from others'.
    """

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._owner = owner
        self._open: dict[str, tuple[StoredSeries, frozenset[str]]] = {}

    def known(self, sop_instance_uid: str) -> Known | None:
        """Tell what we hold under this UID: (OWN, "") for a result of ours, (STORED, digest) else."""
        with self._database.reading() as (connection, _):
            return known(connection, [sop_instance_uid]).get(sop_instance_uid)

    def kept(self, sop_instance_uid: str) -> tuple[str, str]:
        """Return path and digest of the instance that is on record under this UID."""
        table = schema.instance
        with self._database.reading() as (connection, _):
            row = connection.execute(
                select(table.c.path, table.c.digest).where(
                    table.c.sop_instance_uid == sop_instance_uid
                )
            ).one()
        return str(row.path), str(row.digest)

    def record(self, received: Received) -> Outcome | None:
        """Write the journal's line and the records of one instance; durable on return.

        Returns
        -------
        Outcome | None
            None, and nothing is written, when another content is on record under its UID and its verdict
            is not about that.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        return self.record_all([received])[0]

    def record_all(self, received: Sequence[Received]) -> list[Outcome | None]:
        """Do what `record` does for several instances, in one transaction.

        Raises
        ------
        OutOfResources
            The database could not be written; nothing of them is.
        """
        with self._database.transaction() as (connection, now):
            return write(connection, now, received)

    def association_opened(self, association_id: str, peer: str) -> None:
        """Note that an association brings instances now.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            connection.execute(
                insert(schema.association).values(
                    association_id=association_id,
                    peer=peer,
                    owner=self._owner,
                    opened_at=now,
                    outcome="OPEN",
                )
            )

    def peer_of(self, association_id: str) -> str:
        """Return the name of the peer that opened an association; empty when it is not on record."""
        table = schema.association
        with self._database.reading() as (connection, _):
            return str(
                connection.execute(
                    select(table.c.peer).where(table.c.association_id == association_id)
                ).scalar()
                or ""
            )

    def association_ended(self, association_id: str, *, released: bool) -> None:
        """Note how it ended: by release, or broken.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            connection.execute(
                update(schema.association)
                .where(schema.association.c.association_id == association_id)
                .values(ended_at=now, outcome="RELEASED" if released else "BROKEN")
            )

    def break_open_associations(self) -> int:
        """Mark every association that an earlier life of this process left open; return how many.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        table = schema.association
        with self._database.transaction() as (connection, now):
            return connection.execute(
                update(table)
                .where(table.c.outcome == "OPEN", table.c.owner == self._owner)
                .values(ended_at=now, outcome="BROKEN")
            ).rowcount

    def open_series(self) -> list[StoredSeries]:
        """Return every series that is still open.

        Asked ten times a second: the instances of a series to which nothing came are not read again, only
        what others say of it.
        """
        table = schema.series
        with self._database.reading() as (connection, _):
            rows = connection.execute(select(table).where(table.c.state == SeriesState.OPEN)).all()
            before = self._open
            self._open = {
                row.series_instance_uid: _again(
                    connection, row, before.get(row.series_instance_uid)
                )
                for row in rows
            }
        return [series for series, _ in self._open.values()]

    def undispatched_series(self) -> list[StoredSeries]:
        """Return every closed series about which a rule has not decided yet."""
        table = schema.series
        with self._database.reading() as (connection, _):
            return stored_series(
                connection, (table.c.state != SeriesState.OPEN) & table.c.dispatched_at.is_(None)
            )

    def close_series(self, series: StoredSeries, evidence: Evidence) -> bool:
        """Close a series, unless something of it arrived since it was read; tell whether it was closed.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        table = schema.series
        state = SeriesState.INCOMPLETE if evidence.fault else SeriesState.COMPLETE
        with self._database.transaction() as (connection, now):
            closed = connection.execute(
                update(table)
                .where(
                    table.c.series_instance_uid == series.series_instance_uid,
                    table.c.state == SeriesState.OPEN,
                    table.c.last_at == series.last_arrival,
                )
                .values(
                    state=state,
                    evidence=evidence.as_record(),
                    closed_at=now,
                    dispatched_at=None,
                    routing=None,
                )
            ).rowcount
            if closed:
                detail = f"series {series.series_instance_uid}: {evidence}"
                tell(connection, now, series.study_instance_uid, f"series {state.lower()}", detail)
        return bool(closed)


def stored_series(connection: Connection, condition: Any) -> list[StoredSeries]:
    """Return the series for which a condition holds, with their instances."""
    rows = connection.execute(select(schema.series).where(condition)).all()
    return [_again(connection, row, None)[0] for row in rows]


def _again(
    connection: Connection, row: Row[Any], known: tuple[StoredSeries, frozenset[str]] | None
) -> tuple[StoredSeries, frozenset[str]]:
    """Return a series and its associations, its instances as they are known if nothing came since."""
    if known is None or known[0].last_arrival != row.last_at:
        known = _stored_series(connection, row)
    series, associations = known
    outcomes = _association_outcomes(connection, set(associations))
    named, in_parts, unplaced = announced(
        connection, row.study_instance_uid, row.series_instance_uid
    )
    told = replace(
        series,
        associations_open=outcomes.get("OPEN", 0),
        associations_broken=outcomes.get("BROKEN", 0),
        listed=archive_list(connection, row.series_instance_uid),
        announced=named,
        perhaps_in_parts=in_parts,
        unplaced=unplaced,
        closed_at=row.closed_at,
    )
    return told, associations


def _stored_series(connection: Connection, row: Row[Any]) -> tuple[StoredSeries, frozenset[str]]:
    table = schema.instance
    instances = connection.execute(
        select(table.c.sop_instance_uid, table.c.digest, table.c.geometry, table.c.association_id)
        .where(table.c.series_instance_uid == row.series_instance_uid)
        .order_by(table.c.sop_instance_uid)
    ).all()
    facts: Mapping[str, Any] = {**row.facts, "SeriesInstances": len(instances)}
    series = StoredSeries(
        series_instance_uid=row.series_instance_uid,
        study_instance_uid=row.study_instance_uid,
        peer=row.peer,
        state=SeriesState(row.state),
        facts=facts,
        instances=tuple((item.sop_instance_uid, item.digest) for item in instances),
        planes=tuple(item.geometry for item in instances),
        evidence=row.evidence,
        last_arrival=row.last_at,
        associations_open=0,
        associations_broken=0,
        waiting=waiting(row.routing),
        dispatched=row.dispatched_at is not None,
        prior=bool(row.prior),
    )
    return series, frozenset(item.association_id for item in instances)


def _association_outcomes(connection: Connection, ids: set[str]) -> dict[str, int]:
    table = schema.association
    rows = connection.execute(
        select(table.c.outcome, func.count())
        .where(table.c.association_id.in_(ids))
        .group_by(table.c.outcome)
    ).all()
    return {str(outcome): int(count) for outcome, count in rows}
