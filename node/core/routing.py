"""Which models read a series, decided by the site's rules and the models' own cards."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from inference.selection import Facts, Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One of the site's rules.

    Parameters
    ----------
    name
        For people; it stands in every job that the rule makes.
    model
        Name of the model's folder in the repository.
    select
        Which series it wants.
    destinations
        Names of the peers that get the results; empty for those that the source's `results_to` names.
    priority
        Higher is more urgent.
    prefer
        When any are given, the rule reads one series of a study: the candidate for which the earliest of them
        holds. None given: it reads every series that it wants.
    wait_s
        How long a complete candidate waits for a better one, in seconds; None: until the study is quiet.
    deadline_s
        Seconds after dispatch in which the study should be analysed; None: whenever it is its turn.
    """

    name: str
    model: str
    select: Selection
    destinations: tuple[str, ...] = ()
    priority: int = 0
    prefer: tuple[Selection, ...] = ()
    wait_s: float | None = None
    deadline_s: float | None = None

    def rank(self, facts: Facts) -> int:
        """How many preferences a candidate fails before one holds; 0 is the best."""
        holding = (i for i, wish in enumerate(self.prefer) if not wish.failures(facts))
        return next(holding, len(self.prefer))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A rule's answer about one series: it fires when there are no `failures`."""

    rule: Rule
    failures: tuple[str, ...]

    @property
    def fires(self) -> bool:
        """Whether the series is what the rule and the model's card want."""
        return not self.failures


def ask(rules: Sequence[Rule], inputs: Mapping[str, Selection], facts: Facts) -> list[Asked]:
    """Ask every rule about one series.

    Parameters
    ----------
    rules
        In the order of the configuration.
    inputs
        What each model's card wants of its series, by model name.
    facts
        The series' attributes by keyword.
    """
    return [
        Asked(
            rule=rule,
            failures=(
                *(f"rule: {failure}" for failure in rule.select.failures(facts)),
                *(f"card: {failure}" for failure in inputs[rule.model].failures(facts)),
            ),
        )
        for rule in rules
    ]


class Turn(StrEnum):
    """What a rule does about a candidate now."""

    FIRES = "fires"
    WAITS = "waits"
    PASSED_OVER = "passed over"


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


def _goodness(candidate: Candidate) -> tuple[int, int, str]:
    return candidate.rank, -candidate.instances, candidate.series_instance_uid


ORDERED: Mapping[str, int] = {"STAT": 100, "HIGH": 50}
"""What an order's words are worth; others are worth nothing, so that an order may only raise."""


def priority(rule: Rule, of_source: int, facts: Facts) -> int:
    """Return how urgent a job is: the highest of rule, source and order.

    The order speaks by Requested Procedure Priority (0040,1003) or Study Priority ID (0032,000C).
    """
    words = (str(facts.get(word)) for word in ("RequestedProcedurePriority", "StudyPriorityID"))
    ordered = (ORDERED[word.upper()] for word in words if word.upper() in ORDERED)
    return max(rule.priority, of_source, *ordered)
