"""What is written of instances that arrive, in one transaction.

The statements are built once: building them, and the key of their compiled form, costs more than running
them does.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    case,
    exists,
    insert,
    literal,
    select,
    union_all,
    update,
)

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
from node.store import schema
from node.store.corrections import correct
from node.store.events import tell
from node.store.evidence import fetched
from node.store.subjects import NEW_SUBJECT, subject_of

KEPT_KEYWORDS = (*GEOMETRY_KEYWORDS, *GROUP_KEYWORDS, *COUNT_KEYWORDS, "EchoTime")
"""What is kept of each instance: where it lies, what tells it apart, how many there should be."""

ASKED_S = 3600.0
"""What was announced longer ago and comes now was not sent because we asked: somebody sends a study."""

SETTLED_S = 600.0
"""What an archive was asked for may come twice within this time; later, somebody sends it."""

_OWN, _THEIRS, _ASKED = schema.result_instance.c, schema.instance.c, schema.retrieval.c
_KNOWN = union_all(
    select(_THEIRS.sop_instance_uid, _THEIRS.digest, literal("theirs")).where(
        _THEIRS.sop_instance_uid.in_(bindparam("uids", expanding=True))
    ),
    select(_OWN.sop_instance_uid, literal(""), literal("own")).where(
        _OWN.sop_instance_uid.in_(bindparam("uids", expanding=True))
    ),
    select(_ASKED.sop_instance_uid, literal(""), literal("asked")).where(
        _ASKED.sop_instance_uid.in_(bindparam("uids", expanding=True)),
        _ASKED.state == "ANNOUNCED",
        _ASKED.at >= bindparam("asked_since"),
    ),
)
"""What we hold under UIDs, and which of them an archive was asked for: one question."""

_STUDY, _SERIES = schema.study.c, schema.series.c
_LATE = _SERIES.late + case((_SERIES.closed_at.is_(None), 0), else_=bindparam("arrived"))
_PRIOR = _SERIES.prior * bindparam("all_asked")
_TOUCH_STUDY = (
    update(schema.study)
    .where(_STUDY.study_instance_uid == bindparam("uid"))
    .values(last_at=bindparam("now"))
)
_TOUCH_SERIES = (
    update(schema.series)
    .where(_SERIES.series_instance_uid == bindparam("uid"), _SERIES.state == SeriesState.OPEN)
    .values(
        last_at=bindparam("now"),
        late=_LATE,
        prior=_PRIOR,
    )
    .returning(_SERIES.identity)
)
_REOPEN_SERIES = (
    update(schema.series)
    .where(_SERIES.series_instance_uid == bindparam("uid"))
    .values(
        state=SeriesState.OPEN,
        last_at=bindparam("now"),
        late=_LATE,
        prior=_PRIOR,
    )
    .returning(_SERIES.identity)
)
_SEND_AFTER_ALL = (
    update(schema.series)
    .where(
        _SERIES.series_instance_uid == bindparam("uid"),
        _SERIES.prior == 1,
        exists().where(
            _ASKED.sop_instance_uid == bindparam("instance"), _ASKED.at <= bindparam("settled")
        ),
    )
    .values(prior=0, state=SeriesState.OPEN, last_at=bindparam("now"))
)
_NEW_STUDY, _NEW_SERIES = insert(schema.study), insert(schema.series)
_NEW_INSTANCE, _NEW_LINE = insert(schema.instance), insert(schema.journal)


def known(connection: Connection, uids: Iterable[str]) -> dict[str, Known]:
    """Tell what we hold under each UID; those that we do not know are absent."""
    return _known_and_asked(connection, uids, 0.0)[0]


def _known_and_asked(
    connection: Connection, uids: Iterable[str], asked_since: float
) -> tuple[dict[str, Known], set[str]]:
    rows = connection.execute(_KNOWN, {"uids": list(uids), "asked_since": asked_since}).all()
    found = {uid: (Outcome.STORED, digest) for uid, digest, whose in rows if whose == "theirs"}
    found |= {uid: (Outcome.OWN, "") for uid, _, whose in rows if whose == "own"}
    return found, {uid for uid, _, whose in rows if whose == "asked"}


def write(connection: Connection, now: float, arrived: Sequence[Received]) -> list[Outcome | None]:
    """Write what arrived, in one transaction; return what each of it is, None for what was not written."""
    uids = {one.header.sop_instance_uid for one in arrived}
    held, asked = _known_and_asked(connection, uids, now - ASKED_S)
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
        _touch_series(connection, now, fresh, asked)
        connection.execute(_NEW_INSTANCE, [_instance(now, one) for one in fresh])
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
        connection.execute(_NEW_LINE, rows)
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
    elif outcome is Outcome.DUPLICATE:
        _sent_after_all(connection, now, one)
    elif outcome is Outcome.CONFLICT:
        detail = f"SOP Instance UID {one.header.sop_instance_uid} came with other content"
        tell(connection, now, one.header.study_instance_uid, "conflict", detail)


def _sent_after_all(connection: Connection, now: float, one: Received) -> None:
    """Open a series that was fetched to compare with, and that somebody sends now: its study is to be read."""
    uids = {"uid": one.header.series_instance_uid, "instance": one.header.sop_instance_uid}
    sent = {**uids, "now": now, "settled": now - SETTLED_S}
    if connection.execute(_SEND_AFTER_ALL, sent).rowcount:
        detail = f"series {one.header.series_instance_uid} was fetched, and {one.peer} sends it"
        tell(connection, now, one.header.study_instance_uid, "prior sent", detail)


def _touch_studies(connection: Connection, now: float, fresh: Sequence[Received]) -> None:
    """Open the studies that begin, and note that something of the others arrived."""
    first = _first(fresh, lambda header: header.study_instance_uid)
    opened = [
        one
        for uid, one in first.items()
        if not connection.execute(_TOUCH_STUDY, {"uid": uid, "now": now}).rowcount
    ]
    if opened:
        connection.execute(_NEW_STUDY, [_study(now, one) for one in opened])
        connection.execute(NEW_SUBJECT, [subject_of(one) for one in opened])
        for one in opened:
            uid = one.header.study_instance_uid
            tell(connection, now, uid, "first instance", f"from {one.peer}")


def _touch_series(
    connection: Connection, now: float, fresh: Sequence[Received], asked: Collection[str]
) -> None:
    """Open and reopen series; tell of instances that name another patient than their series.

    A series that begins with what an archive was asked for is one to compare with: what is missing of a series
    that somebody sent is asked for after that one has begun.
    """
    first = _first(fresh, lambda header: header.series_instance_uid)
    counted = Counter(one.header.series_instance_uid for one in fresh)
    sent = {
        one.header.series_instance_uid for one in fresh if one.header.sop_instance_uid not in asked
    }
    identities = {
        uid: _touched(connection, now, one.header, counted[uid], asked=uid not in sent)
        for uid, one in first.items()
    }
    opened = [one for uid, one in first.items() if identities[uid] is None]
    if opened:
        rows = [
            _series(now, one, prior=one.header.series_instance_uid not in sent) for one in opened
        ]
        connection.execute(_NEW_SERIES, rows)
        studies = _study_identities(connection, opened)
        for one in opened:
            _tell_difference(connection, now, one.header, studies[one.header.study_instance_uid])
            identities[one.header.series_instance_uid] = one.header.identity
    for one in fresh:
        expected = identities[one.header.series_instance_uid] or {}
        _tell_difference(connection, now, one.header, expected)


def _touched(
    connection: Connection, now: float, header: Header, count: int, *, asked: bool
) -> Mapping[str, Any] | None:
    """Note that instances of a series arrived; return its identity, None for a series that begins."""
    uid = header.series_instance_uid
    values = {"uid": uid, "now": now, "arrived": count, "all_asked": int(asked)}
    row = connection.execute(_TOUCH_SERIES, values).one_or_none()
    if row is None:
        row = connection.execute(_REOPEN_SERIES, values).one_or_none()
        if row is not None:
            late = f"series {header.series_instance_uid} is open again"
            tell(connection, now, header.study_instance_uid, "late images", late)
    return None if row is None else row.identity


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


def _series(now: float, one: Received, *, prior: bool) -> dict[str, Any]:
    header = one.header
    return {
        "series_instance_uid": header.series_instance_uid,
        "study_instance_uid": header.study_instance_uid,
        "peer": one.peer,
        "state": SeriesState.OPEN,
        "identity": header.identity,
        "facts": _facts(header),
        "last_at": now,
        "prior": int(prior),
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
