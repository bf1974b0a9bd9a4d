"""What was received: journal, associations, instances, series, studies."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from node.core.completeness import Evidence
from node.core.study import (
    COUNT_KEYWORDS,
    GEOMETRY_KEYWORDS,
    GROUP_KEYWORDS,
    STUDY_KEYWORDS,
    Header,
    Outcome,
    Received,
    SeriesState,
    StoredSeries,
)
from node.store import schema
from node.store.corrections import correct
from node.store.database import Database
from node.store.events import tell
from node.store.evidence import announced, archive_list, fetched

KEPT_KEYWORDS = (*GEOMETRY_KEYWORDS, *GROUP_KEYWORDS, *COUNT_KEYWORDS, "EchoTime")
"""What is kept of each instance: where it lies, what tells it apart, how many there should be."""


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

    def known(self, sop_instance_uid: str) -> tuple[Outcome, str] | None:
        """Tell what we hold under this UID: (OWN, "") for a result of ours, (STORED, digest) else."""
        with self._database.reading() as (connection, _):
            return _known(connection, sop_instance_uid)

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

    def record(self, received: Received, outcome: Outcome) -> Outcome:
        """Write the journal's line and the records of one instance; durable on return.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            if outcome is Outcome.STORED:
                known = _known(connection, received.header.sop_instance_uid)
                if known is None:
                    _store(connection, now, received)
                    if fetched(connection, received.header.sop_instance_uid):
                        outcome = Outcome.FETCHED
                else:  # another association was faster
                    same = known == (Outcome.STORED, received.digest)
                    outcome = Outcome.DUPLICATE if same else Outcome.CONFLICT
            connection.execute(
                insert(schema.journal).values(
                    at=now,
                    sop_instance_uid=received.header.sop_instance_uid,
                    outcome=outcome,
                    path=received.path,
                    digest=received.digest,
                    peer=received.peer,
                    association_id=received.association_id,
                )
            )
            if outcome is Outcome.CORRECTION:
                correct(connection, now, received)
            if outcome is Outcome.CONFLICT:
                detail = (
                    f"SOP Instance UID {received.header.sop_instance_uid} came with other content"
                )
                tell(connection, now, received.header.study_instance_uid, "conflict", detail)
        return outcome

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
            known = self._open
            self._open = {
                row.series_instance_uid: _again(connection, row, known.get(row.series_instance_uid))
                for row in rows
            }
        return [series for series, _ in self._open.values()]

    def undispatched_series(self) -> list[StoredSeries]:
        """Return every closed series that dispatch has not seen yet."""
        table = schema.series
        with self._database.reading() as (connection, _):
            return _series(
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
                    state=state, evidence=evidence.as_record(), closed_at=now, dispatched_at=None
                )
            ).rowcount
            if closed:
                detail = f"series {series.series_instance_uid}: {evidence}"
                tell(connection, now, series.study_instance_uid, f"series {state.lower()}", detail)
        return bool(closed)


def _known(connection: Connection, sop_instance_uid: str) -> tuple[Outcome, str] | None:
    own, theirs = schema.result_instance, schema.instance
    if connection.execute(
        select(own.c.sop_instance_uid).where(own.c.sop_instance_uid == sop_instance_uid)
    ).first():
        return Outcome.OWN, ""
    row = connection.execute(
        select(theirs.c.digest).where(theirs.c.sop_instance_uid == sop_instance_uid)
    ).first()
    return None if row is None else (Outcome.STORED, row.digest)


def _store(connection: Connection, now: float, received: Received) -> None:
    header = received.header
    of_study = _touch_study(connection, now, header, received.peer)
    of_series = _touch_series(connection, now, header, received.peer)
    _tell_difference(connection, now, header, of_study if of_series is None else of_series)
    connection.execute(
        insert(schema.instance).values(
            sop_instance_uid=header.sop_instance_uid,
            series_instance_uid=header.series_instance_uid,
            study_instance_uid=header.study_instance_uid,
            sop_class_uid=header.sop_class_uid,
            transfer_syntax_uid=header.transfer_syntax_uid,
            association_id=received.association_id,
            path=received.path,
            size=received.size,
            digest=received.digest,
            geometry={key: header.values[key] for key in KEPT_KEYWORDS if key in header.values},
            received_at=now,
        )
    )


def _touch_study(
    connection: Connection, now: float, header: Header, peer: str
) -> Mapping[str, Any]:
    """Note that something of a study arrived; return the identity with which the study began."""
    table = schema.study
    key = table.c.study_instance_uid == header.study_instance_uid
    study = connection.execute(select(table.c.identity).where(key)).first()
    if study is None:
        facts = {word: header.values[word] for word in STUDY_KEYWORDS if word in header.values}
        connection.execute(
            insert(table).values(
                study_instance_uid=header.study_instance_uid,
                peer=peer,
                identity=header.identity,
                facts=facts,
                first_at=now,
                last_at=now,
            )
        )
        tell(connection, now, header.study_instance_uid, "first instance", f"from {peer}")
        return header.identity
    connection.execute(update(table).where(key).values(last_at=now))
    identity: Mapping[str, Any] = study.identity
    return identity


def _touch_series(
    connection: Connection, now: float, header: Header, peer: str
) -> Mapping[str, Any] | None:
    """Open or reopen a series; return the identity with which it began, None when it begins now."""
    table = schema.series
    key = table.c.series_instance_uid == header.series_instance_uid
    series = connection.execute(select(table.c.identity, table.c.state).where(key)).first()
    if series is not None:
        if series.state != SeriesState.OPEN:
            late = f"series {header.series_instance_uid} is open again"
            tell(connection, now, header.study_instance_uid, "late images", late)
        connection.execute(update(table).where(key).values(state=SeriesState.OPEN, last_at=now))
        identity: Mapping[str, Any] = series.identity
        return identity
    connection.execute(
        insert(table).values(
            series_instance_uid=header.series_instance_uid,
            study_instance_uid=header.study_instance_uid,
            peer=peer,
            state=SeriesState.OPEN,
            identity=header.identity,
            facts=_facts(header),
            last_at=now,
        )
    )
    return None


def _tell_difference(
    connection: Connection, now: float, header: Header, expected: Mapping[str, Any]
) -> None:
    if expected != header.identity:
        differing = sorted(
            word
            for word in {*expected, *header.identity}
            if expected.get(word) != header.identity.get(word)
        )
        detail = f"{header.sop_instance_uid} differs in {', '.join(differing)}"
        tell(connection, now, header.study_instance_uid, "identity differs", detail)


def _facts(header: Header) -> dict[str, Any]:
    identity = set(header.identity)
    facts = {
        key: value
        for key, value in header.values.items()
        if key not in identity and key not in GEOMETRY_KEYWORDS[:3]
    }
    return {**facts, "SOPClassUID": header.sop_class_uid}


def _series(connection: Connection, condition: Any) -> list[StoredSeries]:
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
    told = replace(
        series,
        associations_open=outcomes.get("OPEN", 0),
        associations_broken=outcomes.get("BROKEN", 0),
        listed=archive_list(connection, row.series_instance_uid),
        announced=announced(connection, row.study_instance_uid, row.series_instance_uid),
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
