from dataclasses import replace
from typing import Any

import pytest

from inference.selection import Facts, parse
from node.core.criteria import Asked, Criteria
from node.core.exclusion import EVERY_KIND, Exclusion
from node.core.routing import Rule
from node.core.study import SeriesOfStudy

CARDS = {"brain": parse({"Modality": "MR"}), "lung": parse({"Modality": "CT"})}
CSA = "1.3.12.2.1107.5.9.1"


def rule(name: str = "heads", model: str = "brain", **select: object) -> Rule:
    return Rule(name=name, model=model, select=parse(select))


def criteria(*rules: Rule, exclusions: Any = EVERY_KIND) -> Criteria:
    return Criteria(rules=rules, inputs=CARDS, exclusions=exclusions)


def ask(one: Rule, facts: Facts) -> Asked:
    return criteria(one).ask(one, facts)


def test_a_rule_fires_when_it_and_the_card_want_the_series() -> None:
    asked = ask(rule(BodyPartExamined="HEAD"), {"Modality": "MR", "BodyPartExamined": "head"})
    assert asked.fires
    assert asked.failures == ()


def test_a_rule_that_does_not_fire_says_whether_it_or_the_card_refused() -> None:
    asked = ask(rule(BodyPartExamined="HEAD"), {"Modality": "CT"})
    assert not asked.fires
    assert asked.failures == ("rule: BodyPartExamined must be HEAD", "card: Modality must be MR")


def test_a_refusal_tells_what_was_wanted_and_never_what_stands_there() -> None:
    facts = {"Modality": "MR", "SeriesDescription": "of Mr Muster"}
    assert "Muster" not in " ".join(ask(rule(SeriesDescription="T1"), facts).failures)


@pytest.mark.parametrize(
    ("select", "fires"),
    [
        ({}, False),
        ({"SOPClassUID": CSA}, True),
        ({"SOPClassUID": ["1.2.840.10008.5.1.4.1.1.4", CSA]}, True),
        ({"SOPClassUID": {"none_of": ["1.2.840.10008.5.1.4.1.1.7"]}}, False),
        ({"SOPClassUID": {"regex": "^1"}}, False),
    ],
)
def test_a_private_class_is_read_only_by_a_rule_that_names_it(
    select: dict[str, Any], fires: bool
) -> None:
    facts = {"Modality": "MR", "SOPClassUID": CSA}
    assert ask(rule(**select), facts).fires is fires
    assert ask(rule(), {**facts, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}).fires


@pytest.mark.parametrize(
    ("facts", "may"),
    [
        ({"Modality": "MR", "SeriesInstances": 1}, True),
        ({"Modality": "CT", "SeriesInstances": 200}, False),
        ({"Modality": "MR", "SeriesInstances": 200, "BurnedInAnnotation": "YES"}, False),
        ({"Modality": "MR", "SeriesInstances": 200, "SOPClassUID": CSA}, False),
    ],
)
def test_a_series_may_still_become_what_a_rule_wants(facts: Facts, may: bool) -> None:
    wants = rule(SeriesInstances={"min": 100})
    assert criteria(wants).may_match(wants, facts) is may


def test_an_exclusion_of_short_series_is_not_sure_while_one_arrives() -> None:
    short = Exclusion(reason="EXCLUDED-BY-SITE", select=parse({"SeriesInstances": {"max": 3}}))
    wants = rule()
    judged = criteria(wants, exclusions=(short,))
    facts: Facts = {"Modality": "MR", "SeriesInstances": 1}
    assert judged.excluded(facts)
    assert judged.may_match(wants, facts)


def test_a_candidate_is_closed_complete_wanted_and_not_excluded() -> None:
    wants = rule()
    one = SeriesOfStudy(
        series_instance_uid="1",
        facts={"Modality": "MR"},
        instances=3,
        closed_at=1000.0,
        complete=True,
        last_arrival=990.0,
    )
    judged = criteria(wants)
    assert judged.candidate(wants, one)
    for other in (
        replace(one, closed_at=None),
        replace(one, complete=False),
        replace(one, facts={"Modality": "CT"}),
        replace(one, facts={"Modality": "MR", "ImageType": "LOCALIZER"}),
    ):
        assert judged.candidate(wants, other) is None
