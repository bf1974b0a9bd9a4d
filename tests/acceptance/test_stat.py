"""A STAT study does not wait behind routine ones, whatever carries the bells."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.site import ANALYSE, SMALL_MODELS, Plan, Site, peer_source, running_site
from tests.acceptance.studies import small_study
from tests.peers.dcmtk import storescu
from tests.peers.redis import redis

pytestmark = [pytest.mark.slow, pytest.mark.peers, pytest.mark.long]

ROUTINE = 50


@pytest.fixture(params=["folder", "redis"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        queue = {"broker": stack.enter_context(redis(tmp_path))} if request.param == "redis" else {}
        plan = Plan(
            peers=[peer_source(results_to=[])],
            rules=[{"name": "all", "model": "threshold-brain"}],
            tables={
                "inference": {"server": "in-process", "models": str(SMALL_MODELS)},
                "queue": queue,
            },
        )
        yield stack.enter_context(running_site(tmp_path / "site", plan))


def waiting(site: Site) -> int:
    question = "select count(*) from job join outbox on subject = job_id where rung_at is not null"
    return int((site.rows(question) or [(0,)])[0][0])


def test_one_stat_among_fifty_routine_jobs_is_the_next_to_start(site: Site, tmp_path: Path) -> None:
    site.start("listener")
    site.start("keeper")
    site.wait_listening()
    for number in range(ROUTINE + 1):
        small_study(tmp_path / "routine" / str(number), 2000 + number)
    assert storescu(tmp_path / "routine", port=site.port).returncode == 0
    # one job is held in the middle, fifty wait with their bells rung
    site.wait(lambda: waiting(site) == ROUTINE + 1, "the routine jobs' bells", 120)
    site.close_gate()
    worker = site.start(*ANALYSE)
    site.wait_at_gate(worker)
    stat = small_study(tmp_path / "stat", 2999, header={"RequestedProcedurePriority": "STAT"})
    assert storescu(stat.folder, port=site.port).returncode == 0
    site.wait(lambda: waiting(site) == ROUTINE + 1, "the STAT job's bell")
    site.open_gate()
    started = "select study_instance_uid from job where claimed_at is not null order by claimed_at"
    site.wait(lambda: len(site.rows(started)) >= 2, "the next job")
    assert site.rows(started)[1][0] == stat.uid
