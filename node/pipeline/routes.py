"""What decides which model reads a series, and who gets the result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from inference.card import Card
from node.clock import Clock, SystemClock
from node.core.completeness import QuietTimes
from node.core.criteria import Criteria
from node.core.exclusion import EVERY_KIND, Exclusion
from node.core.routing import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """The site's rules, its models, and what its peers are to it.

    Parameters
    ----------
    rules
        In the order of the configuration.
    cards
        The installed models, by name; each rule's is among them.
    results_to
        Where the results of a peer's studies go, by the peer's name.
    exclusions
        What no rule is asked about.
    priority_of
        How urgent a peer's studies are, by the peer's name.
    quiet_of
        After which silence nothing more of a peer's study is expected.
    clock
        Against which waiting is measured.
    """

    rules: Sequence[Rule]
    cards: Mapping[str, Card]
    results_to: Callable[[str], tuple[str, ...]]
    exclusions: Sequence[Exclusion] = EVERY_KIND
    priority_of: Callable[[str], int] = lambda _: 0
    quiet_of: Callable[[str], QuietTimes] = lambda _: QuietTimes(short_s=5.0, long_s=120.0)
    clock: Clock = field(default_factory=SystemClock)

    @property
    def criteria(self) -> Criteria:
        """What decides, without the world around it."""
        inputs = {name: card.inputs[0].select for name, card in self.cards.items()}
        return Criteria(rules=self.rules, inputs=inputs, exclusions=self.exclusions)

    @property
    def keys(self) -> frozenset[str]:
        """Everything that rules, cards and exclusions ask of a series."""
        selections = [
            *(selection for rule in self.rules for selection in (rule.select, *rule.prefer)),
            *(one.select for card in self.cards.values() for one in card.inputs),
            *(one.select for card in self.cards.values() for one in card.priors),
            *(exclusion.select for exclusion in self.exclusions),
        ]
        return frozenset(key for selection in selections for key in selection.keys)
