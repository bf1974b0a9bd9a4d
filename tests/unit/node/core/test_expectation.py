"""Which studies are expected, and the reason that is told when one was not analysed in time."""

from dataclasses import replace
from typing import Any

import pytest

from inference.selection import parse
from node.core.completeness import QuietTimes
from node.core.criteria import Criteria
from node.core.exclusion import EVERY_KIND, Exclusion
from node.core.expectation import (
    DROPPED,
    MET,
    Due,
    Expected,
    JobStanding,
    Judgement,
    Missed,
    Newcomer,
    expectations,
    judge,
)
from node.core.job import JobState, Readiness
from node.core.routing import Rule
from node.core.study import SeriesState, StoredSeries
from tests.unit.node.samples import series

QUIET = QuietTimes(short_s=5, long_s=60)
SHORT = Exclusion(reason="EXCLUDED-BY-SITE", select=parse({"SeriesInstances": {"max": 3}}))


def criteria(*exclusions: Exclusion, **changes: Any) -> Criteria:
    rule = Rule(
        name="heads",
        model="brain",
        select=parse({"SeriesInstances": {"min": 3}}),
        deadline_s=600.0,
    )
    return Criteria(
        rules=(replace(rule, **changes),),
        inputs={"brain": parse({"Modality": "MR"})},
        exclusions=(*EVERY_KIND, *exclusions),
    )


def newcomer(**facts: Any) -> Newcomer:
    first = {"Modality": "MR", **facts}
    return Newcomer(series_instance_uid="2.25.200", study_instance_uid="2.25.100", facts=first)


def test_a_study_is_expected_as_soon_as_a_series_could_become_what_the_rule_wants() -> None:
    assert expectations(criteria(), newcomer()) == [
        Expected(rule="heads", model="brain", deadline_s=600.0)
    ]


@pytest.mark.parametrize("facts", [{"Modality": "CT"}, {"ImageType": "LOCALIZER"}])
def test_a_study_of_which_nothing_could_is_not(facts: dict[str, Any]) -> None:
    assert expectations(criteria(), newcomer(**facts)) == []


def test_a_rule_without_deadline_expects_nothing() -> None:
    assert expectations(criteria(deadline_s=None), newcomer()) == []


def job(state: JobState = JobState.SCHEDULED, **changes: Any) -> JobStanding:
    values: dict[str, Any] = {
        "readiness": Readiness.READY,
        "reason": None,
        "detail": None,
        "faulty": False,
        "ended_at": None,
    }
    return JobStanding(state=state, **{**values, **changes})


def judged(
    *jobs: JobStanding, of: list[StoredSeries] | None = None, by: Criteria | None = None
) -> Judgement:
    due = Due(
        study_instance_uid="2.25.100",
        rule="heads",
        model="brain",
        deadline_at=1600.0,
        series=of or [series()],
        jobs=jobs,
    )
    return judge(due, by or criteria(), QUIET)


CLOSED: dict[str, Any] = {"state": SeriesState.COMPLETE, "closed_at": 1005.0, "dispatched": True}


def test_a_result_in_time_meets_it_and_one_afterwards_does_not() -> None:
    done = job(JobState.COMPLETED, ended_at=1600.0)
    assert judged(done) is MET
    assert judged(job(), done) is MET  # a revision may go on
    late = judged(replace(done, ended_at=1600.1))
    assert late.reason is Missed.RUNNING


@pytest.mark.parametrize(
    ("standing", "reason", "words"),
    [
        (job(), Missed.QUEUED, "no worker has claimed the job"),
        (job(readiness=Readiness.INCOMPLETE), Missed.CONTEXT, "context is still being fetched"),
        (job(JobState.IN_PROGRESS), Missed.RUNNING, "not done by then"),
        (
            job(reason="MODEL-SERVER-UNAVAILABLE"),
            Missed.QUEUED,
            "MODEL-SERVER-UNAVAILABLE",
        ),
        (
            job(JobState.CANCELED, reason="MODEL-FAILED", detail="NaN"),
            Missed.CANCELED,
            "MODEL-FAILED: NaN",
        ),
        (
            job(JobState.CANCELED, reason="GAP", detail="about 1 slice", faulty=True),
            Missed.SERIES_INCOMPLETE,
            "GAP: about 1 slice",
        ),
    ],
)
def test_a_job_that_is_not_done_says_how_far_it_is(
    standing: JobStanding, reason: Missed, words: str
) -> None:
    found = judged(standing)
    assert (found.state, found.reason) == ("MISSED", reason)
    assert words in found.detail


@pytest.mark.parametrize(
    ("one", "reason", "words"),
    [
        (series(), Missed.STILL_RECEIVING, "3 instances so far"),
        (series((0, 1, 2, 4, 5)), Missed.SERIES_INCOMPLETE, "5 instances; GAP: "),
        (
            series(announced=frozenset({"2.25.3000", "2.25.9"})),
            Missed.SERIES_INCOMPLETE,
            "IMAGES-MISSING: 1 of 4 did not come",
        ),
        (
            series((0, 1), **CLOSED),
            Missed.NO_CANDIDATE,
            "rule: SeriesInstances must be at least 3",
        ),
        (
            series(**{**CLOSED, "waiting": ("heads",), "dispatched": False}),
            Missed.WAITING,
            "a better one may come",
        ),
        (
            series(**{**CLOSED, "dispatched": False}),
            Missed.NOT_ROUTED,
            "is closed, and not dispatched",
        ),
    ],
)
def test_a_series_without_a_job_says_how_far_it_is(
    one: StoredSeries, reason: Missed, words: str
) -> None:
    found = judged(of=[one])
    assert (found.state, found.reason) == ("MISSED", reason)
    assert words in found.detail


def test_of_several_series_the_one_counts_that_came_nearest() -> None:
    short = series((0, 1), series_instance_uid="2.25.1", **CLOSED)
    assert judged(of=[short, series()]).reason is Missed.STILL_RECEIVING
    other = series(series_instance_uid="2.25.2", facts={"Modality": "CT"})
    assert judged(of=[short, other]).reason is Missed.NO_CANDIDATE


def test_what_turned_out_to_be_excluded_is_expected_by_nobody() -> None:
    one = series(**CLOSED)
    assert judged(of=[one], by=criteria(SHORT)) is DROPPED
    still = judged(of=[series()], by=criteria(SHORT))
    assert still.reason is Missed.STILL_RECEIVING


def test_a_rule_that_is_gone_expects_nothing() -> None:
    assert judged(by=criteria(name="other")) is DROPPED
