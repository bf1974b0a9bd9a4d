from dataclasses import replace
from typing import Any

import pytest

from inference.card import Card
from inference.selection import parse
from node.clock import SetClock
from node.core.choice import Turn
from node.core.completeness import Evidence, Witness
from node.core.job import JobRequest
from node.core.routing import Rule
from node.core.study import SeriesOfStudy, SeriesState, StoredSeries
from node.errors import OutOfResources
from node.pipeline.apart import Apart
from node.pipeline.dispatch import dispatch
from node.pipeline.routes import Routes
from tests.unit.node.doubles import MemoryIntake, MemoryJobs
from tests.unit.node.samples import EVIDENCE, series

T1 = {
    "Modality": "MR",
    "SeriesDescription": "T1 MPRAGE",
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "SliceThickness": 1.0,
    "SeriesInstances": 120,
}


def closed(evidence: Evidence = EVIDENCE, **changes: Any) -> StoredSeries:
    state = SeriesState.INCOMPLETE if evidence.fault else SeriesState.COMPLETE
    return series(**{"state": state, "evidence": evidence.as_record(), "facts": T1, **changes})


def rule(name: str = "heads", **changes: Any) -> Rule:
    return replace(Rule(name=name, model="brain-extraction", select=parse({})), **changes)


def run(card: Card, stored: list[StoredSeries], *rules: Rule) -> MemoryJobs:
    jobs = MemoryJobs()
    routes = Routes(
        rules=rules,
        cards={card.key: card},
        results_to=lambda peer: {"modality": ("pacs", "ehr")}.get(peer, ()),
    )
    dispatch(MemoryIntake(closed=stored), jobs, routes, Apart(SetClock()))
    return jobs


def requested(jobs: MemoryJobs) -> list[JobRequest]:
    ((_, _, requests, _),) = jobs.calls
    found: list[JobRequest] = requests
    return found


def test_a_rule_that_fires_orders_a_job(brain_card: Card) -> None:
    (request,) = requested(run(brain_card, [closed()], rule(priority=3)))
    assert request.model == "brain-extraction"
    assert request.version == brain_card.version
    assert request.rule == "heads"
    assert request.priority == 3
    assert request.request == 0
    assert request.destinations == ("pacs", "ehr")
    assert request.inputs == {"volume": ("2.25.3000", "2.25.3001", "2.25.3002")}
    assert request.canceled is None
    assert Evidence.from_record(request.evidence) == EVIDENCE


def test_a_rules_own_destinations_count_more_than_the_sources(brain_card: Card) -> None:
    (request,) = requested(run(brain_card, [closed()], rule(destinations=("far",))))
    assert request.destinations == ("far",)


def test_a_destination_is_owed_once(brain_card: Card) -> None:
    (request,) = requested(run(brain_card, [closed()], rule(destinations=("far", "pacs", "far"))))
    assert request.destinations == ("far", "pacs")


def test_the_same_images_are_the_same_job_and_more_images_another(brain_card: Card) -> None:
    first, again, more = (
        requested(run(brain_card, [one], rule()))[0].job_id
        for one in (closed(), closed(last_arrival=2000.0), closed(instances=(("1.2", "x"),)))
    )
    assert first == again
    assert more != first


def test_two_rules_of_one_model_make_one_job_for_all_destinations(brain_card: Card) -> None:
    rules = (rule(priority=1), rule("all", priority=5, destinations=("far", "pacs")))
    (request,) = requested(run(brain_card, [closed()], *rules))
    assert request.rule == "heads, all"
    assert request.priority == 5
    assert request.destinations == ("pacs", "ehr", "far")


def test_rules_of_two_models_make_two_jobs(brain_card: Card) -> None:
    other = replace(brain_card, folder=brain_card.folder.with_name("other"))
    jobs = MemoryJobs()
    routes = Routes(
        rules=(rule(), rule("others", model=other.key)),
        cards={brain_card.key: brain_card, other.key: other},
        results_to=lambda _: (),
    )
    dispatch(MemoryIntake(closed=[closed()]), jobs, routes, Apart(SetClock()))
    assert [request.model for request in requested(jobs)] == ["brain-extraction", "other"]


def test_a_gap_still_orders_a_job_that_is_canceled_by_its_name(brain_card: Card) -> None:
    gap = Evidence(
        witness=Witness.LONG_QUIET,
        instances=3,
        end_slice_may_be_missing=True,
        fault="GAP",
        detail="about 1 slice(s) missing",
    )
    (request,) = requested(run(brain_card, [closed(gap)], rule()))
    assert request.canceled == ("GAP", "about 1 slice(s) missing")


def notes(jobs: MemoryJobs) -> list[str]:
    ((_, _, requests, told),) = jobs.calls
    assert requests == []
    found: list[str] = told
    return found


def test_a_series_that_no_rule_wants_is_told_rule_by_rule(brain_card: Card) -> None:
    facts = {**T1, "Modality": "CT", "SeriesDescription": "of Mr Muster"}
    rules = (rule(), rule("legs", select=parse({"BodyPartExamined": "LEG"})))
    told = notes(run(brain_card, [closed(facts=facts)], *rules))
    assert len(told) == 2
    assert all(note.startswith("NO-RULE-MATCHED: series 2.25.200: rule ") for note in told)
    assert "rule heads: card: Modality must be MR" in told[0]
    assert "rule legs: rule: BodyPartExamined must be LEG" in told[1]
    assert "Muster" not in " ".join(told)


def test_a_site_without_rules_is_told(brain_card: Card) -> None:
    assert notes(run(brain_card, [closed()])) == [
        "NO-RULES: series 2.25.200: the configuration has no rule"
    ]


@pytest.mark.parametrize("modality", ["SR", "SEG", "PR", "KO"])
def test_objects_about_images_are_not_expected_to_be_analysed(
    brain_card: Card, modality: str
) -> None:
    assert notes(run(brain_card, [closed(facts={**T1, "Modality": modality})], rule())) == []


def test_a_series_that_meets_a_bug_stops_no_other(brain_card: Card) -> None:
    broken = replace(closed(series_instance_uid="2.25.1"), evidence={"witness": "nobody"})
    jobs = run(brain_card, [broken, closed(series_instance_uid="2.25.2")], rule())
    assert [call[1] for call in jobs.calls] == ["2.25.2"]


def test_a_database_that_fails_ends_the_round(brain_card: Card) -> None:
    jobs = MemoryJobs(failures={"dispatch": OutOfResources("database")})
    routes = Routes(rules=(rule(),), cards={brain_card.key: brain_card}, results_to=lambda _: ())
    with pytest.raises(OutOfResources):
        dispatch(MemoryIntake(closed=[closed()]), jobs, routes, Apart(SetClock()))


def one_of(stored: StoredSeries, **changes: Any) -> SeriesOfStudy:
    values: dict[str, Any] = {
        "series_instance_uid": stored.series_instance_uid,
        "facts": stored.facts,
        "instances": len(stored.instances),
        "closed_at": 1000.0,
        "complete": True,
        "last_arrival": stored.last_arrival,
    }
    return SeriesOfStudy(**{**values, **changes})


def waited(card: Card, stored: StoredSeries, now: float, *rules: Rule) -> MemoryJobs:
    """Dispatch a series of a study that is still going on, with these rules, at this moment."""
    jobs = MemoryJobs(of_study=[one_of(stored), one_of(stored, closed_at=None)])
    jobs.of_study[1] = replace(jobs.of_study[1], series_instance_uid="2.25.9")
    routes = Routes(
        rules=rules,
        cards={card.key: card},
        results_to=lambda _: ("pacs",),
        clock=SetClock(now),
    )
    dispatch(MemoryIntake(closed=[stored]), jobs, routes, Apart(SetClock()))
    return jobs


PATIENT_RULE: dict[str, Any] = {
    "prefer": (parse({"SliceThickness": {"max": 0.9}}),),
    "wait_s": 60.0,
}


def test_a_rule_that_waits_holds_nobody_else_back(brain_card: Card) -> None:
    rules = (rule("patient", **PATIENT_RULE), rule("hasty"))
    jobs = waited(brain_card, closed(), 1001.0, *rules)
    (request,) = requested(jobs)
    assert request.rule == "hasty"
    assert [(one.rule, one.turn) for one in jobs.decisions] == [
        ("patient", Turn.WAITS),
        ("hasty", Turn.FIRES),
    ]


def test_a_rule_that_still_waits_changes_nothing_and_then_fires_alone(brain_card: Card) -> None:
    rules = (rule("patient", destinations=("far",), **PATIENT_RULE), rule("hasty"))
    before = closed(waiting=("patient",))
    assert waited(brain_card, before, 1059.0, *rules).calls == []
    jobs = waited(brain_card, before, 1060.0, *rules)
    (request,) = requested(jobs)
    assert (request.rule, request.destinations) == ("patient", ("far",))
    assert [one.rule for one in jobs.decisions] == ["patient"]


def test_a_rule_that_is_gone_waits_for_nothing(brain_card: Card) -> None:
    jobs = waited(brain_card, closed(waiting=("gone",)), 1001.0, rule("hasty"))
    assert notes(jobs) == []
    assert jobs.decisions == []


def test_every_rule_says_why_it_does_not_match(brain_card: Card) -> None:
    jobs = run(brain_card, [closed()], rule(), rule("legs", select=parse({"Modality": "CT"})))
    told = {one.rule: (one.turn, one.why) for one in jobs.decisions}
    assert told == {
        "heads": (Turn.FIRES, ""),
        "legs": (Turn.UNWANTED, "rule: Modality must be CT"),
    }
