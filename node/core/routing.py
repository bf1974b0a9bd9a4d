"""The site's rules, and how urgent what they ask for is."""

from collections.abc import Mapping
from dataclasses import dataclass

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
        Seconds from the reception of the study's first instance in which the study should be analysed; None:
        whenever it is its turn.
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


RESULT_KEYS: Mapping[str, str] = {
    "Model": "name of the model",
    "Version": "its version",
    "ContentQualification": "its Content Qualification (0018,9004): PRODUCT, RESEARCH or SERVICE",
    "Present": "labels of the findings that are there",
    "Absent": "labels of the findings that are not",
    "Undecided": "labels of the findings that the model could not decide",
}
"""What criteria may ask of a result, besides ``LABEL/QUANTITY``: what was measured of a finding."""

ORDERED: Mapping[str, int] = {"STAT": 100, "HIGH": 50}
"""What an order's words are worth; others are worth nothing, so that an order may only raise."""


def priority(rule: Rule, of_source: int, facts: Facts) -> int:
    """Return how urgent a job is: the highest of rule, source and order.

    The order speaks by Requested Procedure Priority (0040,1003) or Study Priority ID (0032,000C).
    """
    words = (str(facts.get(word)) for word in ("RequestedProcedurePriority", "StudyPriorityID"))
    ordered = (ORDERED[word.upper()] for word in words if word.upper() in ORDERED)
    return max(rule.priority, of_source, *ordered)
