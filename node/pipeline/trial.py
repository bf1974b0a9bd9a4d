"""What would dispatch say? The rules asked about a series, with every criterion's verdict, and no effect."""

from dataclasses import dataclass

from inference.selection import Facts
from node.pipeline.routes import Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedRule:
    """One rule's verdict; `checks` are the criteria of the rule, its model's card and its preferences."""

    name: str
    fires: bool
    checks: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One series' verdicts; `excluded` is the site's reason code in words, None when rules are asked."""

    series_instance_uid: str
    excluded: str | None
    rules: tuple[TriedRule, ...]


def try_series(series_instance_uid: str, facts: Facts, routes: Routes) -> Tried:
    """Ask every rule about a series as it stands, complete or not."""
    criteria = routes.criteria
    why = criteria.excluded(facts)
    rules = []
    for rule in routes.rules:
        parts = [("rule", rule.select), ("card", routes.cards[rule.model].inputs[0].select)]
        checks = [
            (f"{who}: {words}", holds) for who, part in parts for words, holds in part.checks(facts)
        ]
        asked = criteria.ask(rule, facts)
        told = {words for words, _ in checks}
        checks += [(words, False) for words in asked.failures if words not in told]
        checks += [
            (f"preference {place}: {words}", holds)
            for place, wish in enumerate(rule.prefer, 1)
            for words, holds in wish.checks(facts)
        ]
        rules.append(
            TriedRule(name=rule.name, fires=why is None and asked.fires, checks=tuple(checks))
        )
    return Tried(
        series_instance_uid=series_instance_uid,
        excluded=": ".join(why) if why else None,
        rules=tuple(rules),
    )
