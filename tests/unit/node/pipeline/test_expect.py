"""The steps that note what is expected, and judge it when its time is over."""

from dataclasses import replace

import pytest

from inference.card import Card
from inference.selection import Facts, parse
from node.clock import SetClock
from node.core.expectation import Due, Expected, Judgement, Missed, Newcomer
from node.core.routing import Rule
from node.pipeline.apart import Apart
from node.pipeline.expect import expect, judge_due
from node.pipeline.routes import Routes
from tests.unit.node.doubles import MemoryExpectations
from tests.unit.node.samples import STUDY, series

MR: Facts = {
    "Modality": "MR",
    "SeriesDescription": "T1 MPRAGE",
    "SliceThickness": 1.0,
    "SeriesInstances": 1,
}


@pytest.fixture
def routes(brain_card: Card) -> Routes:
    rule = Rule(name="heads", model=brain_card.key, select=parse({}), deadline_s=600.0)
    return Routes(
        rules=(rule, replace(rule, name="whenever", deadline_s=None)),
        cards={brain_card.key: brain_card},
        results_to=lambda _: (),
    )


def test_every_newcomer_is_settled_expected_or_not(routes: Routes) -> None:
    new = [
        Newcomer(series_instance_uid="1", study_instance_uid=STUDY, facts=MR),
        Newcomer(series_instance_uid="2", study_instance_uid=STUDY, facts={"Modality": "CT"}),
    ]
    store = MemoryExpectations(new=new)
    expect(store, routes, Apart(SetClock()))
    heads = Expected(rule="heads", model="brain-extraction", deadline_s=600.0)
    assert store.calls == [("expect", "1", [heads]), ("expect", "2", [])]


def test_what_is_over_is_judged_and_what_meets_a_bug_stops_no_other(routes: Routes) -> None:
    due = Due(
        study_instance_uid=STUDY,
        rule="heads",
        model="brain-extraction",
        deadline_at=1600.0,
        series=[series(facts=MR)],
        jobs=[],
    )
    bug = replace(due.series[0], facts=None)  # type: ignore[arg-type] # the bug itself
    broken = replace(due, study_instance_uid="2.25.101", series=[bug])
    store = MemoryExpectations(over=[broken, due])
    judge_due(store, routes, Apart(SetClock()))
    detail = "series 2.25.200: 3 instances so far"
    missed = Judgement(state="MISSED", reason=Missed.STILL_RECEIVING, detail=detail)
    assert store.calls == [("judge", "heads", missed)]
