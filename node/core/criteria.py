"""What rules, cards and exclusions together say of a series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inference.selection import Facts, OneOf, Selection
from node.core.choice import Candidate
from node.core.exclusion import Exclusion, excluded
from node.core.routing import Rule
from node.core.study import SeriesOfStudy

DICOMS_OWN = "1.2.840.10008."
"""Root of the SOP classes that the standard defines (PS3.5 9.2.1); others are private."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A rule's answer about one series: it fires when there are no `failures`."""

    rule: Rule
    failures: tuple[str, ...]

    @property
    def fires(self) -> bool:
        """Whether the series is what the rule and the model's card want."""
        return not self.failures


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Everything that decides what is read of a study.

    Parameters
    ----------
    rules
        In the order of the configuration.
    inputs
        What each model's card wants of its series, by model name.
    exclusions
        What no rule is asked about.
    """

    rules: Sequence[Rule]
    inputs: Mapping[str, Selection]
    exclusions: Sequence[Exclusion]

    def excluded(self, facts: Facts) -> tuple[str, str] | None:
        """Return the reason code, and in words what excludes a series; None when nothing does."""
        return excluded(self.exclusions, facts)

    def ask(self, rule: Rule, facts: Facts) -> Asked:
        """Ask a rule about one series."""
        return Asked(
            rule=rule,
            failures=(
                *(f"rule: {failure}" for failure in rule.select.failures(facts)),
                *(f"card: {failure}" for failure in self.inputs[rule.model].failures(facts)),
                *_unnamed(rule, facts),
            ),
        )

    def may_match(self, rule: Rule, facts: Facts) -> bool:
        """Whether a series, of which more may arrive, could become what a rule wants.

        An attribute is what it is in the first instance; how many instances there are is not known yet.
        """
        selections = (rule.select.fixed, self.inputs[rule.model].fixed)
        sure = [one for one in self.exclusions if one.select.fixed == one.select]
        return not (
            excluded(sure, facts)
            or any(selection.failures(facts) for selection in selections)
            or _unnamed(rule, facts)
        )

    def candidate(self, rule: Rule, one: SeriesOfStudy) -> Candidate | None:
        """Return a series as a candidate for a rule; None when it is not complete, or not wanted."""
        if one.closed_at is None or not one.complete or self.excluded(one.facts):
            return None
        if not self.ask(rule, one.facts).fires:
            return None
        return Candidate(
            series_instance_uid=one.series_instance_uid,
            rank=rule.rank(one.facts),
            instances=one.instances,
            closed_at=one.closed_at,
        )


def _unnamed(rule: Rule, facts: Facts) -> tuple[str, ...]:
    """Refuse private objects to rules that do not name their class: few models know what they are."""
    sop_class = str(facts.get("SOPClassUID", DICOMS_OWN))
    named = any(
        key == "SOPClassUID" and isinstance(criterion, OneOf) and sop_class in criterion.allowed
        for key, criterion in rule.select.criteria
    )
    if sop_class.startswith(DICOMS_OWN) or named:
        return ()
    return ("rule: SOPClassUID must be named, because it is private",)
