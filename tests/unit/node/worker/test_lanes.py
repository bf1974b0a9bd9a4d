import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from node.core.ports import Hold
from node.worker import lanes as module
from node.worker.hold import holding
from node.worker.lanes import Lanes

DEADLINE_S = 20.0


class Work:
    """Owed pieces by destination; a destination may hang, or be met by a bug."""

    def __init__(self, **owed: int) -> None:
        self.owed = dict(owed)
        self.done: list[str | None] = []
        self.hanging: dict[str, threading.Event] = {}
        self.begun = threading.Semaphore(0)
        self.changed = threading.Condition()
        self.looks: dict[str | None, int] = {}
        self.bugs = 0

    def step(self, destination: str | None, _: Hold) -> bool:
        with self.changed:
            self.looks[destination] = self.looks.get(destination, 0) + 1
            if not self.owed.get(destination or "", 0):
                self.changed.notify_all()
                return False
            self.owed[destination or ""] -= 1
            if self.bugs:
                self.bugs -= 1
                raise ZeroDivisionError
        self.begun.release()
        if destination in self.hanging:
            self.hanging[destination].wait(DEADLINE_S)
        with self.changed:
            self.done.append(destination)
            self.changed.notify_all()
        return True

    def wait(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.done) >= count, DEADLINE_S), self.done

    def wait_looks(self, destination: str, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(
                lambda: self.looks.get(destination, 0) >= count, DEADLINE_S
            ), self.looks


@contextmanager
def running(work: Work, **threads: int) -> Iterator[Lanes]:
    counts: dict[str | None, int] = {None: 1}
    counts.update(threads)
    lanes = Lanes(counts, work.step, holding(60))
    lanes.start()
    try:
        yield lanes
    finally:
        for gate in work.hanging.values():
            gate.set()
        lanes.stop()


def test_a_destination_that_hangs_delays_no_other() -> None:
    work = Work(sick=3, pacs=5)
    work.hanging["sick"] = threading.Event()
    with running(work, sick=1, pacs=1):
        work.wait(5)
        assert work.done == ["pacs"] * 5


def test_a_destination_may_have_several_at_a_time() -> None:
    work = Work(pacs=3)
    work.hanging["pacs"] = threading.Event()
    with running(work, pacs=2):
        assert work.begun.acquire(timeout=DEADLINE_S)
        assert work.begun.acquire(timeout=DEADLINE_S)
        assert not work.begun.acquire(blocking=False)
        work.hanging["pacs"].set()
        work.wait(3)


def test_a_bell_wakes_every_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 3600.0)
    work = Work()
    with running(work, pacs=1, ehr=1) as lanes:
        work.wait_looks("pacs", 1)
        work.wait_looks("ehr", 1)
        work.owed = {"pacs": 1, "ehr": 1}
        lanes.wake()
        work.wait(2)


def test_a_lane_looks_without_a_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    work = Work()
    with running(work, pacs=1):
        work.wait_looks("pacs", 3)
        work.owed = {"pacs": 1}
        work.wait(1)


def test_a_bug_is_told_and_ends_no_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    work = Work(pacs=2)
    work.bugs = 1
    with structlog.testing.capture_logs() as told, running(work, pacs=1):
        work.wait(1)
    failures = [record for record in told if record["event"] == "task failed"]
    assert [record["destination"] for record in failures] == ["pacs"]


def test_what_is_under_way_is_finished_at_the_end() -> None:
    work = Work(pacs=5)
    work.hanging["pacs"] = threading.Event()
    with running(work, pacs=1) as lanes:
        assert work.begun.acquire(timeout=DEADLINE_S)
        ending = threading.Thread(target=lanes.stop)
        ending.start()
        work.hanging["pacs"].set()
        ending.join(DEADLINE_S)
        assert work.done == ["pacs"]
