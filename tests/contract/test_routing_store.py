"""What the store keeps of routing: order of claims, deadlines, exclusions, the series of a study."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.core.choice import Decision, Turn
from node.core.expectation import MET, Judgement, Missed
from node.core.expectation import Expected as ExpectedStudy
from node.core.job import JobState, Readiness
from node.core.study import Outcome, StoredSeries
from node.store import schema
from node.store.arrivals import write
from node.store.expectations import ExpectationStore
from node.store.overview import Overview
from node.store.past import past_studies
from tests.contract.stores import ENGINES, Store, opened
from tests.unit.node.samples import EVIDENCE, SERIES, STUDY, received, result_set


@pytest.fixture(params=sorted(ENGINES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened(request.param, tmp_path) as empty:
        yield empty


def ready(store: Store, number: int, **changes: object) -> str:
    store.receive(number, SeriesInstanceUID=f"2.25.7{number}")
    (request,) = store.dispatch(**changes)
    store.jobs.prepared(request.job_id, Readiness.READY, {})
    return request.job_id


def test_the_most_urgent_is_claimed_then_the_nearest_deadline_then_the_oldest(store: Store) -> None:
    old = ready(store, 1)
    late = ready(store, 2, deadline_s=900.0)
    soon = ready(store, 3, deadline_s=60.0)
    stat = ready(store, 4, priority=100)
    claimed = [store.claimed().job_id for _ in range(4)]
    assert claimed == [stat, soon, late, old]


def test_an_exclusion_is_kept_told_and_counted(store: Store) -> None:
    store.receive(1)
    (series,) = store.close_all()
    store.jobs.dispatch(series, (), ("EXCLUDED-LOCALISER: series",), "EXCLUDED-LOCALISER")
    assert store.one(schema.series).excluded == "EXCLUDED-LOCALISER"
    assert "excluded" in store.story()
    assert Overview(store.database).counts()["excluded"] == {"EXCLUDED-LOCALISER": 1}


def test_the_series_of_a_study_are_told_with_their_state(store: Store) -> None:
    store.receive(1, 2)
    store.close_all()
    store.receive(3, SeriesInstanceUID="2.25.299")
    found = {one.series_instance_uid: one for one in store.jobs.siblings(STUDY)}
    assert found[SERIES].complete
    assert found[SERIES].facts["SeriesInstances"] == 2
    assert found["2.25.299"].closed_at is None
    assert past_studies(store.database, 0) == []


HEADS = ExpectedStudy(rule="heads", model="brain-extraction", deadline_s=600.0)


def test_a_deadline_runs_from_the_first_instance_of_the_study(store: Store) -> None:
    store.receive(1)
    store.write("UPDATE study SET first_at = 1000")
    store.receive(2)
    store.dispatch(deadline_s=60.0)
    assert store.one(schema.job).deadline_at == 1060.0


def expected(store: Store, over: bool = True) -> ExpectationStore:
    """Receive a series and expect its study; its deadline is over."""
    store.receive(1)
    expectations = ExpectationStore(store.database)
    for newcomer in expectations.newcomers():
        assert newcomer.series_instance_uid == SERIES
        assert newcomer.facts["Modality"] == "MR"
        expectations.expect(newcomer, [HEADS])
    assert expectations.due() == []
    if over:
        store.write("UPDATE expectation SET deadline_at = 1")
    return expectations


def test_a_study_is_expected_once_by_a_rule_and_a_series_asked_about_once(store: Store) -> None:
    expectations = expected(store, over=False)
    first = store.one(schema.study).first_at
    assert store.one(schema.expectation).deadline_at == first + 600.0
    assert expectations.newcomers() == []
    store.receive(2, SeriesInstanceUID="2.25.299")
    (newcomer,) = expectations.newcomers()
    expectations.expect(newcomer, [replace(HEADS, deadline_s=1.0)])
    assert store.one(schema.expectation).deadline_at == first + 600.0


def test_a_missed_deadline_is_told_once_with_its_reason_and_counted(store: Store) -> None:
    expectations = expected(store)
    (due,) = expectations.due()
    assert (due.rule, due.model, due.jobs) == ("heads", "brain-extraction", [])
    assert due.series[0].series_instance_uid == SERIES
    missed = Judgement(state="MISSED", reason=Missed.STILL_RECEIVING, detail="1 instances so far")
    for _ in range(2):
        expectations.judge(due, missed)
    assert expectations.due() == []
    (told,) = [row.detail for row in store.rows(schema.event) if row.what == "AI did not run"]
    assert told == (
        "DEADLINE-MISSED: brain-extraction by rule heads, because STILL-RECEIVING: 1 instances so far"
    )
    assert Overview(store.database).counts()["missed"] == {"STILL-RECEIVING": 1}


def test_a_deadline_that_was_met_is_told_to_nobody(store: Store) -> None:
    expectations = expected(store)
    expectations.judge(expectations.due()[0], MET)
    assert expectations.due() == []
    assert "AI did not run" not in store.story()
    assert Overview(store.database).counts()["missed"] == {}


def test_the_jobs_of_an_expectation_are_told_without_those_that_were_overtaken(
    store: Store,
) -> None:
    expectations = expected(store)
    store.dispatch()
    store.receive(2)
    store.dispatch()
    (due,) = expectations.due()
    (job,) = due.jobs
    assert (job.state, job.readiness, job.faulty) == (
        JobState.SCHEDULED,
        Readiness.INCOMPLETE,
        False,
    )
    store.receive(3)
    store.dispatch(canceled=("GAP", "about 1"), evidence={**EVIDENCE.as_record(), "fault": "GAP"})
    assert expectations.due()[0].jobs[0].faulty


def decisions(*waits: str) -> list[Decision]:
    return [
        Decision(rule="hasty", turn=Turn.FIRES),
        Decision(rule="legs", turn=Turn.UNWANTED, why="rule: Modality must be CT"),
        *(Decision(rule=name, turn=Turn.WAITS, why="for a better series") for name in waits),
    ]


def test_a_series_is_asked_about_until_no_rule_waits(store: Store) -> None:
    store.receive(1)
    (series,) = store.close_all()
    request = store.request(series, rule="hasty")
    for _ in range(
        2
    ):  # the second is another keeper's, which read the series before the first wrote
        store.jobs.dispatch(series, [request], ("NO-RULE-MATCHED",), None, decisions("patient"))
    (again,) = store.intake.undispatched_series()
    assert (series.waiting, again.waiting, again.dispatched) == (None, ("patient",), False)
    assert (store.story().count("job scheduled"), store.story().count("not routed")) == (1, 1)
    fires = [Decision(rule="patient", turn=Turn.FIRES)]
    store.jobs.dispatch(again, [store.request(series, rule="patient")], (), None, fires)
    assert store.intake.undispatched_series() == []
    kept = store.one(schema.series).routing["rules"]
    assert {name: turn for name, (turn, _) in kept.items()} == {
        "hasty": "fires",
        "legs": "does not match",
        "patient": "fires",
    }


def joined(store: Store, series: StoredSeries) -> None:
    """Let a rule fire that waited, for what another rule has ordered."""
    (again,) = store.intake.undispatched_series()
    request = store.request(series, rule="patient", destinations=("ehr", "far"), priority=7)
    fires = [Decision(rule="patient", turn=Turn.FIRES)]
    store.jobs.dispatch(again, [request], (), None, fires)


@pytest.mark.parametrize("when", ["scheduled", "running", "done"])
def test_a_rule_that_waited_joins_the_job_of_another(store: Store, when: str) -> None:
    store.receive(1, 2, 3)
    (series,) = store.close_all()
    request = store.request(series, rule="hasty", destinations=("pacs", "ehr"))
    store.jobs.dispatch(series, [request], (), None, decisions("patient"))
    store.jobs.prepared(request.job_id, Readiness.READY, {})
    if when == "scheduled":
        joined(store, series)
    claim = store.claimed()
    if when == "running":
        joined(store, series)
    store.jobs.publish(claim, result_set())
    if when == "done":
        joined(store, series)
    job = store.one(schema.job)
    assert (job.rule, job.priority) == ("hasty, patient", 7)
    owed = [row.destination for row in store.rows(schema.delivery)]
    assert sorted(owed) == ["ehr", "far", "pacs"]
    assert store.story().count("job joined") == 1


def test_a_series_that_opens_again_is_asked_about_afresh(store: Store) -> None:
    store.receive(1)
    (series,) = store.close_all()
    store.jobs.dispatch(series, (), (), None, decisions("patient"))
    store.receive(2)
    joined_late = store.close_all()
    assert [one.waiting for one in joined_late] == [None]


def test_instances_that_come_late_are_counted_by_peer(store: Store) -> None:
    store.receive(1, 2)
    store.dispatch()
    store.receive(3)
    with store.database.transaction() as (connection, now):  # two associations in one group commit
        write(connection, now, [received(4), received(5)])
    store.receive(6, SeriesInstanceUID="2.25.299")
    assert {row.late for row in store.rows(schema.series)} == {3, 0}
    assert Overview(store.database).counts()["late"] == {"modality": 3}


def test_corrections_and_conflicts_are_counted_by_peer(store: Store) -> None:
    store.receive(1, 2)
    store.take(received(1, PatientName="Neu^Anna"), Outcome.CORRECTION)
    store.take(received(2, SeriesDescription="other"), Outcome.CONFLICT)
    counts = Overview(store.database).counts()
    assert (counts["corrections"], counts["conflicts"]) == ({"modality": 1}, {"modality": 1})
    assert counts["instances"] == {"stored": 2, "correction": 1, "conflict": 1}
