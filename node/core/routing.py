"""Which models read a series, decided by the site's rules and the models' own cards."""

from collections.abc import Mapping, Sequence
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
    """

    name: str
    model: str
    select: Selection
    destinations: tuple[str, ...] = ()
    priority: int = 0


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
