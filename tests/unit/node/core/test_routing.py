from inference.selection import parse
from node.core.routing import Rule, ask

CARDS = {"brain": parse({"Modality": "MR"}), "lung": parse({"Modality": "CT"})}


def rule(name: str, model: str = "brain", **select: object) -> Rule:
    return Rule(name=name, model=model, select=parse(select))


def test_a_rule_fires_when_it_and_the_card_want_the_series() -> None:
    asked = ask([rule("heads", BodyPartExamined="HEAD")], CARDS, {
        "Modality": "MR",
        "BodyPartExamined": "head",
    })  # fmt: skip
    assert [answer.fires for answer in asked] == [True]
    assert asked[0].failures == ()


def test_a_rule_that_does_not_fire_says_whether_it_or_the_card_refused() -> None:
    (asked,) = ask([rule("heads", BodyPartExamined="HEAD")], CARDS, {"Modality": "CT"})
    assert not asked.fires
    assert asked.failures == ("rule: BodyPartExamined must be HEAD", "card: Modality must be MR")


def test_a_refusal_tells_what_was_wanted_and_never_what_stands_there() -> None:
    facts = {"Modality": "MR", "SeriesDescription": "of Mr Muster"}
    (asked,) = ask([rule("heads", SeriesDescription="T1")], CARDS, facts)
    assert "Muster" not in " ".join(asked.failures)


def test_rules_are_asked_in_their_order_each_on_its_own() -> None:
    rules = [rule("lungs", "lung"), rule("heads"), rule("all")]
    asked = ask(rules, CARDS, {"Modality": "MR"})
    assert [answer.rule.name for answer in asked] == ["lungs", "heads", "all"]
    assert [answer.fires for answer in asked] == [False, True, True]


def test_without_rules_nothing_is_asked() -> None:
    assert ask([], CARDS, {"Modality": "MR"}) == []
