from dataclasses import replace
from typing import Any

import pytest

from inference.selection import parse
from node.core.choice import Candidate, Turn, settled, turn
from node.core.exclusion import EVERY_KIND, excluded
from node.core.routing import Rule, priority

THIN = parse({"SliceThickness": {"max": 1.5}})
SOFT = parse({"SliceThickness": {"max": 1.5}, "ConvolutionKernel": "B30f"})


def rule(**changes: Any) -> Rule:
    values: dict[str, Any] = {"name": "thorax", "model": "lung", "select": parse({})}
    return Rule(**{**values, "prefer": (SOFT, THIN), "wait_s": 60.0, **changes})


def candidate(uid: str = "1", rank: int = 1, instances: int = 100) -> Candidate:
    return Candidate(series_instance_uid=uid, rank=rank, instances=instances, closed_at=1000.0)


def asked(one: Candidate, *others: Candidate, now: float = 1001.0, quiet: bool = False) -> Turn:
    return turn(rule(), one, others, quiet=quiet, now=now)


def test_the_best_kind_fires_as_soon_as_it_is_complete() -> None:
    assert asked(candidate(rank=0)) is Turn.FIRES


def test_a_lesser_one_waits_until_its_wait_ends_or_the_study_is_quiet() -> None:
    assert asked(candidate(), now=1059.9) is Turn.WAITS
    assert asked(candidate(), now=1060.0) is Turn.FIRES
    assert asked(candidate(), quiet=True) is Turn.FIRES


def test_without_a_wait_only_quiet_ends_the_waiting() -> None:
    endless = rule(wait_s=None)
    assert turn(endless, candidate(), (), quiet=False, now=1e9) is Turn.WAITS
    assert turn(endless, candidate(), (), quiet=True, now=1001) is Turn.FIRES


@pytest.mark.parametrize(
    ("wait_s", "quiet_at", "better_at", "expected"),
    [
        (60.0, None, None, Turn.FIRES),
        (60.0, None, 1060.0, Turn.PASSED_OVER),
        (60.0, None, 1060.1, Turn.FIRES),  # it came when the lesser one was read already
        (60.0, 1030.0, 1040.0, Turn.FIRES),  # the study was quiet before the wait ended
        (None, 1030.0, 1020.0, Turn.PASSED_OVER),
        (None, 1030.0, None, Turn.FIRES),
        (None, 900.0, 950.0, Turn.PASSED_OVER),
        (None, 900.0, None, Turn.FIRES),  # quiet before it was closed: it is read as it is closed
        (None, None, None, Turn.WAITS),
    ],
)
def test_how_it_ends(
    wait_s: float | None, quiet_at: float | None, better_at: float | None, expected: Turn
) -> None:
    asker = rule(wait_s=wait_s)
    better = [replace(candidate("2", 0), closed_at=better_at)] if better_at else []
    assert settled(asker, candidate(), better, quiet_at) is expected
    assert settled(asker, candidate(rank=0), better, quiet_at) is Turn.FIRES


def test_of_two_the_lesser_is_passed_over() -> None:
    assert asked(candidate("1", 2), candidate("2", 1)) is Turn.PASSED_OVER
    assert asked(candidate("1", 1, 50), candidate("2", 1, 60)) is Turn.PASSED_OVER
    assert asked(candidate("1", 1, 60), candidate("2", 1, 50), quiet=True) is Turn.FIRES


def test_a_rule_without_preference_reads_every_series() -> None:
    plain = rule(prefer=())
    assert turn(plain, candidate(), [candidate("0", 0)], quiet=False, now=0) is Turn.FIRES


def test_the_earliest_preference_that_holds_is_the_rank() -> None:
    thin: dict[str, Any] = {"SliceThickness": 1.0, "ConvolutionKernel": "B70f"}
    assert rule().rank({**thin, "ConvolutionKernel": "B30f"}) == 0
    assert rule().rank(thin) == 1
    assert rule().rank({"SliceThickness": 5.0}) == 2


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, 5),
        ({"RequestedProcedurePriority": "STAT"}, 100),
        ({"StudyPriorityID": "HIGH"}, 50),
        ({"StudyPriorityID": "LOW"}, 5),
    ],
)
def test_the_highest_of_rule_source_and_order_counts(facts: dict[str, Any], expected: int) -> None:
    assert priority(rule(priority=3), 5, facts) == expected


def test_an_order_without_priority_leaves_a_rule_that_can_wait() -> None:
    assert priority(rule(priority=-5), -9, {"StudyPriorityID": "LOW"}) == -5


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"SeriesDescription": "Daily QA"}, "EXCLUDED-PHANTOM"),
        ({"QualityControlImage": "YES"}, "EXCLUDED-PHANTOM"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "EXCLUDED-LOCALISER"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.67"}, "EXCLUDED-DOSE-REPORT"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "EXCLUDED-SECONDARY-CAPTURE"),
        ({"BurnedInAnnotation": "YES"}, "EXCLUDED-BURNED-IN"),
        ({"SeriesDescription": "aqua T1", "BurnedInAnnotation": "NO"}, None),
    ],
)
def test_what_no_rule_is_asked_about(facts: dict[str, Any], reason: str | None) -> None:
    found = excluded(EVERY_KIND, facts)
    assert (found[0] if found else None) == reason
