"""What rules would have done about studies that were dispatched, as dispatch would have done it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from node.core.choice import Candidate, Turn, settled
from node.core.criteria import Criteria
from node.core.routing import Rule
from node.core.study import NOT_IMAGES, SeriesOfStudy


@dataclass(frozen=True, slots=True, kw_only=True)
class PastSeries:
    """A series as it was when it was dispatched.

    Parameters
    ----------
    excluded
        Reason code of what excluded it, None when nothing did.
    models
        Those that it was given to.
    dispatched_at
        Seconds since 1970; None when it was not dispatched.
    """

    series: SeriesOfStudy
    excluded: str | None
    models: frozenset[str]
    dispatched_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastStudy:
    """A study with all its series, those that were never closed too."""

    study_instance_uid: str
    peer: str
    series: Sequence[PastSeries]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One series, and what the rules of then and those of now make of it.

    Parameters
    ----------
    model
        The job's model; None where neither had nor would have one.
    change
        ``same``, ``new job`` or ``no job any more``.
    was, would
        In a word or two: the rule that fires, the reason of an exclusion, or why there is no job.
    """

    study_instance_uid: str
    series_instance_uid: str
    model: str | None
    change: str
    was: str
    would: str


def replay(study: PastStudy, criteria: Criteria, long_s: float, since: float) -> Iterator[Replayed]:
    """Ask the rules about every series of a study that was dispatched since then.

    Parameters
    ----------
    long_s
        Silence after which nothing more of the study was expected.
    since
        Seconds since 1970.
    """
    everything = [past.series for past in study.series]
    for past in study.series:
        if past.dispatched_at is None or past.dispatched_at < since:
            continue
        fired, otherwise = _asked(past.series, everything, criteria, long_s)
        was = past.excluded or ("job" if past.models else "no job")
        models: list[str | None] = [*sorted(past.models | set(fired))]
        for model in models or [None]:
            names = fired.get(model or "")
            yield Replayed(
                study_instance_uid=study.study_instance_uid,
                series_instance_uid=past.series.series_instance_uid,
                model=model,
                change=_change(model in past.models, names is not None),
                was="job" if model in past.models else was,
                would=", ".join(names) if names else otherwise,
            )


def _change(was: bool, would: bool) -> str:
    if was == would:
        return "same"
    return "new job" if would else "no job any more"


def _asked(
    one: SeriesOfStudy, everything: Sequence[SeriesOfStudy], criteria: Criteria, long_s: float
) -> tuple[dict[str, list[str]], str]:
    """Return the names of the rules that fire, by model, and why others do not."""
    why = criteria.excluded(one.facts)
    if why is not None:
        return {}, why[0]
    fired: dict[str, list[str]] = {}
    turns = set()
    for rule in criteria.rules:
        if criteria.ask(rule, one.facts).fires:
            turn = _turn(rule, one, everything, criteria, long_s)
            turns.add(turn)
            if turn is Turn.FIRES:
                fired.setdefault(rule.model, []).append(rule.name)
    if one.facts.get("Modality") in NOT_IMAGES and not fired:
        return {}, "no image"
    for turn in (Turn.PASSED_OVER, Turn.WAITS):
        if turn in turns:
            return fired, str(turn)
    return fired, "no rule matches"


def _turn(
    rule: Rule,
    one: SeriesOfStudy,
    everything: Sequence[SeriesOfStudy],
    criteria: Criteria,
    long_s: float,
) -> Turn:
    if not rule.prefer:
        return Turn.FIRES
    found = [criteria.candidate(rule, other) for other in everything]
    others = [c for c in found if c and c.series_instance_uid != one.series_instance_uid]
    mine = criteria.candidate(rule, one)
    if mine is None:  # something is missing of it
        return Turn.PASSED_OVER if _earlier(others, one) else Turn.FIRES
    return settled(rule, mine, others, _quiet_at(everything, long_s))


def _earlier(others: Sequence[Candidate], one: SeriesOfStudy) -> bool:
    return any(one.closed_at is None or other.closed_at <= one.closed_at for other in others)


def _quiet_at(everything: Sequence[SeriesOfStudy], long_s: float) -> float | None:
    """Return when nothing more of a study was expected: it was silent, and every series closed."""
    closed = [one.closed_at for one in everything if one.closed_at is not None]
    if len(closed) < len(everything):
        return None
    return max(max(one.last_arrival for one in everything) + long_s, *closed)
