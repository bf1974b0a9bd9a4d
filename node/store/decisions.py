"""What became of every rule's question about a series, kept with the series until it is closed again.

::

    {"excluded": "ImageType is LOCALIZER", "rules": {"heads": ["waits", "for a better series"]}}

`excluded` is there when an exclusion was; then no rule was asked.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from node.core.choice import Decision, Turn
from node.core.study import StoredSeries
from node.store import schema

SERIES = schema.series


def waiting(routing: Mapping[str, Any] | None) -> tuple[str, ...] | None:
    """Return the names of the rules that wait; None when no rule was asked since the series was closed."""
    if routing is None:
        return None
    return tuple(name for name, (turn, _) in routing["rules"].items() if turn == Turn.WAITS)


def decide(
    connection: Connection,
    now: float,
    series: StoredSeries,
    decisions: Sequence[Decision],
    excluded: tuple[str, str] | None,
) -> bool:
    """Keep what was decided; False when the series is not as it was when it was read.

    The series is dispatched when no rule waits any more.

    Parameters
    ----------
    excluded
        Reason code, and in words what excludes it.
    """
    key = SERIES.c.series_instance_uid == series.series_instance_uid
    before = connection.execute(select(SERIES.c.routing).where(key)).scalar()
    if waiting(before) != series.waiting:
        return False
    rules = dict(before["rules"]) if before else {}
    # a rule that waited and is no longer in the configuration waits for nothing
    rules = {name: told for name, told in rules.items() if told[0] != Turn.WAITS}
    rules |= {one.rule: [str(one.turn), one.why] for one in decisions}
    routing: dict[str, Any] = {"rules": rules}
    if excluded is not None:
        routing["excluded"] = excluded[1]
    changed = connection.execute(
        update(SERIES)
        .where(
            key,
            SERIES.c.state == series.state,
            SERIES.c.last_at == series.last_arrival,
            SERIES.c.dispatched_at.is_(None),
        )
        .values(
            dispatched_at=None if waiting(routing) else now,
            excluded=excluded and excluded[0],
            routing=routing,
        )
    )
    return bool(changed.rowcount)
