"""Which of a study's series a rule reads: at once, later, or never because a better one is there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from node.core.routing import Rule


class Turn(StrEnum):
    """What a rule does about a series now."""

    FIRES = "fires"
    WAITS = "waits"
    PASSED_OVER = "passed over"
    UNWANTED = "does not match"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of one rule's question about one series.

    Parameters
    ----------
    rule
        Its name.
    why
        In words, without a value of the series; empty where nothing needs to be said.
    """

    rule: str
    turn: Turn
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A complete series of a study that a rule and its model's card want.

    Parameters
    ----------
    rank
        See `Rule.rank`.
    instances
        How many; of two candidates of one rank the larger is better.
    closed_at
        When it was complete, seconds since 1970.
    """

    series_instance_uid: str
    rank: int
    instances: int
    closed_at: float


def turn(
    rule: Rule, candidate: Candidate, others: Iterable[Candidate], *, quiet: bool, now: float
) -> Turn:
    """Say whether a rule reads a candidate, waits for a better one, or has a better one.

    Parameters
    ----------
    others
        The study's other complete candidates for this rule.
    quiet
        Whether nothing more of the study is expected.
    now
        Seconds since 1970.
    """
    if not rule.prefer or candidate.rank == 0:
        return Turn.FIRES
    if any(_goodness(other) < _goodness(candidate) for other in others):
        return Turn.PASSED_OVER
    waited = rule.wait_s is not None and now >= candidate.closed_at + rule.wait_s
    return Turn.FIRES if quiet or waited else Turn.WAITS


def settled(
    rule: Rule, candidate: Candidate, others: Sequence[Candidate], quiet_at: float | None
) -> Turn:
    """Say what `turn` comes to say in the end, when it is asked again and again.

    Parameters
    ----------
    others
        The study's other complete candidates for this rule.
    quiet_at
        When nothing more of the study was expected, seconds since 1970; None while more is.
    """
    waited = None if rule.wait_s is None else candidate.closed_at + rule.wait_s
    ends = [max(at, candidate.closed_at) for at in (quiet_at, waited) if at is not None]
    known = [one for one in others if one.closed_at <= min(ends, default=float("inf"))]
    return turn(rule, candidate, known, quiet=bool(ends), now=candidate.closed_at)


def _goodness(candidate: Candidate) -> tuple[int, int, str]:
    return candidate.rank, -candidate.instances, candidate.series_instance_uid
