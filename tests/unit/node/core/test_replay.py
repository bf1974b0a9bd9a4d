"""The rules asked again about studies that were dispatched, as dispatch asks them."""

from dataclasses import replace
from typing import Any

from inference.selection import parse
from node.core.criteria import Criteria
from node.core.exclusion import EVERY_KIND
from node.core.replay import PastSeries, PastStudy, Replayed, replay
from node.core.routing import Rule
from node.core.study import SeriesOfStudy

LONG_S = 60.0


def rule(name: str = "heads", model: str = "brain", **changes: Any) -> Rule:
    return replace(Rule(name=name, model=model, select=parse({})), **changes)


THINNEST = rule(prefer=(parse({"SliceThickness": {"max": 1}}),), wait_s=30.0)


def past(
    uid: str,
    *models: str,
    closed_at: float = 1000.0,
    complete: bool = True,
    excluded: str | None = None,
    **facts: Any,
) -> PastSeries:
    return PastSeries(
        series=SeriesOfStudy(
            series_instance_uid=uid,
            facts={"Modality": "MR", **facts},
            instances=100,
            closed_at=closed_at,
            complete=complete,
            last_arrival=closed_at - 5,
        ),
        excluded=excluded,
        models=frozenset(models),
        dispatched_at=closed_at + 1,
    )


def replayed(*series: PastSeries, by: tuple[Rule, ...], since: float = 0.0) -> list[Replayed]:
    study = PastStudy(study_instance_uid="9", peer="modality", series=series)
    inputs = {"brain": parse({"Modality": "MR"}), "lung": parse({"Modality": "CT"})}
    criteria = Criteria(rules=by, inputs=inputs, exclusions=EVERY_KIND)
    return list(replay(study, criteria, LONG_S, since))


def changes(found: list[Replayed]) -> dict[tuple[str, str | None], str]:
    return {(one.series_instance_uid, one.model): one.change for one in found}


def test_what_was_read_by_the_same_rules_is_the_same() -> None:
    (one,) = replayed(past("1", "brain"), by=(rule(),))
    assert (one.change, one.was, one.would) == ("same", "job", "heads")


def test_what_no_rule_wanted_and_none_wants_is_the_same() -> None:
    (one,) = replayed(past("1", Modality="US"), by=(rule(),))
    assert (one.model, one.change, one.was, one.would) == (
        None,
        "same",
        "no job",
        "no rule matches",
    )


def test_another_rule_orders_a_new_job_and_a_stricter_one_none_any_more() -> None:
    strict = rule(select=parse({"SliceThickness": {"max": 1}}))
    lungs = rule("lungs", "lung")
    found = replayed(
        past("1", "brain", SliceThickness=3), past("2", Modality="CT"), by=(strict, lungs)
    )
    assert changes(found) == {("1", "brain"): "no job any more", ("2", "lung"): "new job"}


def test_an_exclusion_is_told_on_both_sides() -> None:
    was_excluded = past("1", excluded="EXCLUDED-PHANTOM")
    now_excluded = past("2", "brain", BurnedInAnnotation="YES")
    one, other = replayed(was_excluded, now_excluded, by=(rule(),))
    assert (one.change, one.was, one.would) == ("new job", "EXCLUDED-PHANTOM", "heads")
    assert (other.change, other.would) == ("no job any more", "EXCLUDED-BURNED-IN")


def test_the_choice_among_series_is_that_of_the_study() -> None:
    thick = past("1", closed_at=1000.0, SliceThickness=3)
    thin = past("2", "brain", closed_at=1020.0, SliceThickness=1)
    found = replayed(thick, thin, by=(THINNEST,))
    assert changes(found) == {("1", None): "same", ("2", "brain"): "same"}
    assert found[0].would == "passed over"


def test_a_lesser_series_whose_wait_ended_before_the_better_came_was_read_too() -> None:
    thick = past("1", "brain", closed_at=1000.0, SliceThickness=3)
    thin = past("2", "brain", closed_at=1031.0, SliceThickness=1)
    assert set(changes(replayed(thick, thin, by=(THINNEST,))).values()) == {"same"}


def test_a_study_that_is_not_quiet_still_waits() -> None:
    patient = replace(THINNEST, wait_s=None)
    still = replace(past("2"), dispatched_at=None)
    still = replace(still, series=replace(still.series, closed_at=None))
    (one,) = replayed(past("1", SliceThickness=3), still, by=(patient,))
    assert (one.change, one.would) == ("same", "waits")


def test_a_series_with_a_gap_makes_room_for_a_better_one_that_was_there() -> None:
    gap = past("1", closed_at=1050.0, complete=False, SliceThickness=1)
    whole = past("2", "brain", closed_at=1000.0, SliceThickness=3)
    assert changes(replayed(gap, whole, by=(THINNEST,))) == {
        ("1", None): "same",
        ("2", "brain"): "same",
    }
    assert changes(replayed(gap, by=(THINNEST,))) == {("1", "brain"): "new job"}


def test_what_was_dispatched_before_is_not_asked_about_but_is_chosen_from() -> None:
    thin = past("1", "brain", closed_at=100.0, SliceThickness=1)
    thick = past("2", closed_at=1000.0, SliceThickness=3)
    (one,) = replayed(thin, thick, by=(THINNEST,), since=500.0)
    assert (one.series_instance_uid, one.would) == ("2", "passed over")


def test_rules_of_one_model_are_one_job() -> None:
    (one,) = replayed(past("1", "brain"), by=(rule(), rule("all")))
    assert (one.change, one.would) == ("same", "heads, all")
