"""The records of what arrives, written together: one transaction for all instances that wait for one.

Whoever comes while a transaction is being committed waits, and the first of the waiting writes for all of
them. One association alone waits for nobody; eight share the cost of a commit.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, literal, select, union_all, update

from node.core.reception import Known
from node.core.study import (
    COUNT_KEYWORDS,
    GEOMETRY_KEYWORDS,
    GROUP_KEYWORDS,
    STUDY_KEYWORDS,
    Header,
    Outcome,
    Received,
    SeriesState,
)
from node.errors import NodeError, OutOfResources
from node.store import schema
from node.store.corrections import correct
from node.store.database import Database
from node.store.events import tell
from node.store.evidence import fetched

KEPT_KEYWORDS = (*GEOMETRY_KEYWORDS, *GROUP_KEYWORDS, *COUNT_KEYWORDS, "EchoTime")
"""What is kept of each instance: where it lies, what tells it apart, how many there should be."""

MOST = 64
"""Instances of one transaction."""


class _Waiting:
    """One instance that waits for its transaction."""

    __slots__ = ("done", "failure", "outcome", "received")

    def __init__(self, received: Received) -> None:
        self.received = received
        self.done = False
        self.failure: NodeError | None = None
        self.outcome: Outcome | None = None


class Recorder:
    """Writes the journal's line and the records of instances.

    Parameters
    ----------
    database
        Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._committing = threading.Lock()
        self._waiting: list[_Waiting] = []

    def record(self, received: Received) -> Outcome | None:
        """Write one instance's; durable on return.

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
        mine = _Waiting(received)
        with self._lock:
            self._waiting.append(mine)
        with self._committing:
            if not mine.done:
                self._commit()
        if mine.failure is not None:
            raise OutOfResources(str(mine.failure)) from mine.failure
        return mine.outcome

    def _commit(self) -> None:
        while True:
            with self._lock:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            if not batch:
                return
            try:
                with self._database.transaction() as (connection, now):
                    outcomes = write(connection, now, [one.received for one in batch])
            except NodeError as error:
                self._fail(batch, error)
            except BaseException:
                self._fail(batch, OutOfResources("the records of this instance were not written"))
                raise
            else:
                for one, outcome in zip(batch, outcomes, strict=True):
                    one.outcome = outcome
                    one.done = True

    def _fail(self, batch: Sequence[_Waiting], error: NodeError) -> None:
        for one in batch:
            one.failure = error
            one.done = True


def known(connection: Connection, uids: Iterable[str]) -> dict[str, Known]:
    """Tell what we hold under each UID; those that we do not know are absent."""
    return _known_and_asked(connection, uids)[0]


def _known_and_asked(
    connection: Connection, uids: Iterable[str]
) -> tuple[dict[str, Known], set[str]]:
    """Return what we hold under each UID, and which of them an archive was asked for: one question."""
    wanted = list(uids)
    own, theirs, asked = schema.result_instance.c, schema.instance.c, schema.retrieval.c
    rows = connection.execute(
        union_all(
            select(theirs.sop_instance_uid, theirs.digest, literal("theirs")).where(
                theirs.sop_instance_uid.in_(wanted)
            ),
            select(own.sop_instance_uid, literal(""), literal("own")).where(
                own.sop_instance_uid.in_(wanted)
            ),
            select(asked.sop_instance_uid, literal(""), literal("asked")).where(
                asked.sop_instance_uid.in_(wanted), asked.state == "ANNOUNCED"
            ),
        )
    ).all()
    found = {uid: (Outcome.STORED, digest) for uid, digest, whose in rows if whose == "theirs"}
    found |= {uid: (Outcome.OWN, "") for uid, _, whose in rows if whose == "own"}
    return found, {uid for uid, _, whose in rows if whose == "asked"}


def write(connection: Connection, now: float, arrived: Sequence[Received]) -> list[Outcome | None]:
    """Write what arrived, in one transaction; return what each of it is, None for what was not written."""
    held, asked = _known_and_asked(connection, {one.header.sop_instance_uid for one in arrived})
    outcomes: list[Outcome | None] = []
    for one in arrived:
        uid = one.header.sop_instance_uid
        outcome = _outcome(held.get(uid), one)
        if outcome in {Outcome.STORED, Outcome.CORRECTION}:
            held[uid] = (Outcome.STORED, one.digest)
        outcomes.append(outcome)
    fresh = [one for one, what in zip(arrived, outcomes, strict=True) if what is Outcome.STORED]
    if fresh:
        _touch_studies(connection, now, fresh)
        _touch_series(connection, now, fresh)
        connection.execute(insert(schema.instance), [_instance(now, one) for one in fresh])
        arrived_at_last = asked & {one.header.sop_instance_uid for one in fresh}
        if arrived_at_last:
            fetched(connection, arrived_at_last)
        outcomes = [
            Outcome.FETCHED
            if what is Outcome.STORED and one.header.sop_instance_uid in arrived_at_last
            else what
            for one, what in zip(arrived, outcomes, strict=True)
        ]
    lines = [(one, what) for one, what in zip(arrived, outcomes, strict=True) if what is not None]
    if lines:
        rows = [_line(now, one, what) for one, what in lines]
        connection.execute(insert(schema.journal), rows)
    for one, what in lines:
        _also(connection, now, one, what)
    return outcomes


def _outcome(held: Known | None, one: Received) -> Outcome | None:
    if held is None:
        return Outcome.STORED
    if held[0] is Outcome.OWN:
        return Outcome.OWN
    if held[1] == one.digest:
        return Outcome.DUPLICATE
    return one.verdict[1] if one.verdict is not None and one.verdict[0] == held[1] else None


def _also(connection: Connection, now: float, one: Received, outcome: Outcome) -> None:
    if outcome is Outcome.CORRECTION:
        correct(connection, now, one)
    elif outcome is Outcome.CONFLICT:
        detail = f"SOP Instance UID {one.header.sop_instance_uid} came with other content"
        tell(connection, now, one.header.study_instance_uid, "conflict", detail)


def _touch_studies(connection: Connection, now: float, fresh: Sequence[Received]) -> None:
    """Open the studies that begin, and note that something of the others arrived."""
    table = schema.study
    first = _first(fresh, lambda header: header.study_instance_uid)
    opened = [
        one
        for uid, one in first.items()
        if not connection.execute(
            update(table).where(table.c.study_instance_uid == uid).values(last_at=now)
        ).rowcount
    ]
    if opened:
        connection.execute(insert(table), [_study(now, one) for one in opened])
        for one in opened:
            uid = one.header.study_instance_uid
            tell(connection, now, uid, "first instance", f"from {one.peer}")


def _touch_series(connection: Connection, now: float, fresh: Sequence[Received]) -> None:
    """Open and reopen series; tell of instances that name another patient than their series."""
    table = schema.series
    first = _first(fresh, lambda header: header.series_instance_uid)
    known_series = connection.execute(
        select(table.c.series_instance_uid, table.c.identity, table.c.state).where(
            table.c.series_instance_uid.in_(list(first))
        )
    ).all()
    identities: dict[str, Mapping[str, Any]] = {
        row.series_instance_uid: row.identity for row in known_series
    }
    for row in known_series:
        if row.state != SeriesState.OPEN:
            late = f"series {row.series_instance_uid} is open again"
            study_uid = first[row.series_instance_uid].header.study_instance_uid
            tell(connection, now, study_uid, "late images", late)
    there = sorted(identities)
    opened = [one for uid, one in first.items() if uid not in identities]
    if opened:
        connection.execute(insert(table), [_series(now, one) for one in opened])
        studies = _study_identities(connection, opened)
        for one in opened:
            _tell_difference(connection, now, one.header, studies[one.header.study_instance_uid])
            identities[one.header.series_instance_uid] = one.header.identity
    if there:
        connection.execute(
            update(table)
            .where(table.c.series_instance_uid == bindparam("uid"))
            .values(state=SeriesState.OPEN, last_at=bindparam("now")),
            [{"uid": uid, "now": now} for uid in there],
        )
    for one in fresh:
        _tell_difference(connection, now, one.header, identities[one.header.series_instance_uid])


def _study_identities(
    connection: Connection, opened: Sequence[Received]
) -> dict[str, Mapping[str, Any]]:
    table = schema.study
    uids = {one.header.study_instance_uid for one in opened}
    rows = connection.execute(
        select(table.c.study_instance_uid, table.c.identity).where(
            table.c.study_instance_uid.in_(list(uids))
        )
    ).tuples()
    return dict(rows.all())


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


def _first(fresh: Sequence[Received], key: Any) -> dict[str, Received]:
    first: dict[str, Received] = {}
    for one in fresh:
        first.setdefault(key(one.header), one)
    return first


def _study(now: float, one: Received) -> dict[str, Any]:
    header = one.header
    return {
        "study_instance_uid": header.study_instance_uid,
        "peer": one.peer,
        "identity": header.identity,
        "facts": {word: header.values[word] for word in STUDY_KEYWORDS if word in header.values},
        "first_at": now,
        "last_at": now,
    }


def _series(now: float, one: Received) -> dict[str, Any]:
    header = one.header
    return {
        "series_instance_uid": header.series_instance_uid,
        "study_instance_uid": header.study_instance_uid,
        "peer": one.peer,
        "state": SeriesState.OPEN,
        "identity": header.identity,
        "facts": _facts(header),
        "last_at": now,
    }


def _facts(header: Header) -> dict[str, Any]:
    identity = set(header.identity)
    facts = {
        key: value
        for key, value in header.values.items()
        if key not in identity and key not in GEOMETRY_KEYWORDS[:3]
    }
    return {**facts, "SOPClassUID": header.sop_class_uid}


def _instance(now: float, one: Received) -> dict[str, Any]:
    header = one.header
    return {
        "sop_instance_uid": header.sop_instance_uid,
        "series_instance_uid": header.series_instance_uid,
        "study_instance_uid": header.study_instance_uid,
        "sop_class_uid": header.sop_class_uid,
        "transfer_syntax_uid": header.transfer_syntax_uid,
        "association_id": one.association_id,
        "path": one.path,
        "size": one.size,
        "digest": one.digest,
        "geometry": {
            **{key: header.values[key] for key in KEPT_KEYWORDS if key in header.values},
            **header.counts,
        },
        "received_at": now,
    }


def _line(now: float, one: Received, outcome: Outcome) -> dict[str, Any]:
    return {
        "at": now,
        "sop_instance_uid": one.header.sop_instance_uid,
        "outcome": outcome,
        "path": "" if outcome in {Outcome.OWN, Outcome.DUPLICATE} else one.path,
        "digest": one.digest,
        "peer": one.peer,
        "association_id": one.association_id,
    }
