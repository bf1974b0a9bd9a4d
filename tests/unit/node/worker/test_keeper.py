import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from celery import Celery

from node.bootstrap import Keeping, Nights
from node.clock import SetClock
from node.core.completeness import QuietTimes
from node.core.ports import Hold
from node.errors import OutOfResources
from node.pipeline.frames import FrameLook
from node.pipeline.routes import Routes
from node.worker import keeper
from node.worker.keeper import Keeper
from tests.unit.node.doubles import MemoryExpectations, MemoryIntake, MemoryJobs
from tests.unit.node.samples import series
from tests.unit.node.worker.test_night import nights

DEADLINE_S = 20.0


@dataclass
class Lease:
    held: bool = True
    let_go_: bool = False
    failure: Exception | None = None

    def hold(self) -> bool:
        if self.failure is not None:
            raise self.failure
        return self.held

    def let_go(self) -> None:
        self.let_go_ = True


@dataclass
class Outbox:
    rounds: threading.Event = field(default_factory=threading.Event)
    sweeps: threading.Event = field(default_factory=threading.Event)

    def ring_due(self, ring: Callable[[str], bool]) -> int:
        self.rounds.set()
        return 0

    def sweep(self) -> int:
        self.sweeps.set()
        return 0


@dataclass
class Role:
    """A keeper of doubles, running in a thread."""

    intake: Any = field(default_factory=MemoryIntake)
    jobs: Any = field(default_factory=MemoryJobs)
    outbox: Outbox = field(default_factory=Outbox)
    lease: Lease = field(default_factory=Lease)
    nights: Nights = field(default_factory=nights)
    expectations: MemoryExpectations = field(default_factory=MemoryExpectations)
    ended: list[bool] = field(default_factory=list)
    owed_reports: int = 0
    reported: threading.Event = field(default_factory=threading.Event)

    def report(self, _: Hold) -> bool:
        """Answer one transaction; all that are owed are answered in one round."""
        if not self.owed_reports:
            self.reported.set()
            return False
        self.owed_reports -= 1
        return True

    def __post_init__(self) -> None:
        keeping = Keeping(
            intake=self.intake,
            jobs=self.jobs,
            outbox=self.outbox,  # type: ignore[arg-type] # a double of the concrete store
            lease=self.lease,  # type: ignore[arg-type] # likewise
            routes=Routes(rules=(), cards={}, results_to=lambda _: ()),
            quiet_of=lambda _: QuietTimes(short_s=5, long_s=60),
            record_for=lambda _: None,
            source_of=lambda _: pytest.fail("nothing is prepared here"),
            report_commitment=self.report,
            evidences=pytest.fail,  # type: ignore[arg-type] # no archive is asked here
            expectations=self.expectations,  # type: ignore[arg-type] # a double of the concrete store
            merged_to=lambda _: None,
            frames=FrameLook(self.intake, lambda _: pytest.fail("no enhanced object is here")),
            nights=self.nights,
        )
        self.keeper = Keeper(keeping, Celery(), SetClock(1010))
        self.thread = threading.Thread(target=lambda: self.ended.append(self.keeper.run()))

    def start(self) -> "Role":
        self.thread.start()
        return self

    def end(self) -> bool:
        self.thread.join(DEADLINE_S)
        assert not self.thread.is_alive()
        (ended,) = self.ended
        return ended


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROUND_S", "SWEEP_S", "HOLD_S", "REPORT_S", "LOOK_S"):
        monkeypatch.setattr(keeper, name, 0.005)


def test_a_keeper_keeps_until_it_is_stopped_and_lets_the_role_go() -> None:
    role = Role(intake=MemoryIntake(open=[series()])).start()
    assert role.outbox.rounds.wait(DEADLINE_S)
    assert role.outbox.sweeps.wait(DEADLINE_S)
    role.keeper.stop()
    assert role.end()
    assert role.intake.calls
    assert role.lease.let_go_


def test_reports_of_storage_commitment_are_brought_by_the_keeper() -> None:
    role = Role(owed_reports=3).start()
    assert role.reported.wait(DEADLINE_S)
    role.keeper.stop()
    assert role.end()
    assert role.owed_reports == 0


def test_without_the_lease_nothing_is_done() -> None:
    role = Role(intake=MemoryIntake(open=[series()]), lease=Lease(held=False), owed_reports=1)
    role.start()
    role.keeper.stop()
    assert role.end()
    assert role.owed_reports == 1
    assert role.intake.calls == []
    assert not role.lease.let_go_


class Failing(MemoryIntake):
    """Fails in its rounds, `times` times."""

    def __init__(self, failure: Exception, times: int) -> None:
        super().__init__()
        self._left = [failure] * times
        self.rounds = 0

    def open_series(self) -> list[Any]:
        self.rounds += 1
        if self._left:
            raise self._left.pop()
        return []


def test_a_database_that_fails_for_a_while_is_waited_for() -> None:
    role = Role(intake=Failing(OutOfResources("locked"), times=3)).start()
    assert role.outbox.rounds.wait(DEADLINE_S)
    role.keeper.stop()
    assert role.end()
    assert role.intake.rounds >= 4


def test_a_bug_in_the_round_ends_the_whole_role() -> None:
    """Else its other threads would go on holding the lease, and no other keeper could take over."""
    role = Role(intake=Failing(ZeroDivisionError(), times=10_000)).start()
    assert role.end() is False
    assert role.lease.let_go_


def test_a_bug_in_another_thread_ends_the_whole_role() -> None:
    class Jobs(MemoryJobs):
        def unprepared(self) -> list[Any]:
            raise ZeroDivisionError

    role = Role(jobs=Jobs()).start()
    assert role.end() is False
    assert role.lease.let_go_


def test_a_lease_that_cannot_be_prolonged_stops_the_work_and_not_the_keeper() -> None:
    role = Role(lease=Lease(failure=OutOfResources("locked"))).start()
    role.keeper.stop()
    assert role.end()
