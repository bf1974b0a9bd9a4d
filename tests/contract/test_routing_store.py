"""What the store keeps of routing: order of claims, deadlines, exclusions, the series of a study."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.core.job import Readiness
from node.store import schema
from node.store.overview import Overview
from tests.contract.stores import ENGINES, Store, opened
from tests.unit.node.samples import SERIES, STUDY


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


def test_a_job_that_misses_its_deadline_is_told_once_with_the_reason(store: Store) -> None:
    ready(store, 1, deadline_s=600.0)
    assert store.jobs.missed() == 0
    store.write("UPDATE job SET deadline_at = 1")
    assert store.jobs.missed() == 1
    assert store.jobs.missed() == 0
    (told,) = [row.detail for row in store.rows(schema.event) if row.what == "AI did not run"]
    assert told.startswith("DEADLINE-MISSED: ")
    assert told.endswith("because no worker was free")
    assert sum(Overview(store.database).counts()["missed"].values()) == 1


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
    (routed,) = [] if Overview(store.database).routed(60) else [None]
    assert routed is None
