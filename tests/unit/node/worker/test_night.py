from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import pytest
import structlog

from node.bootstrap import Nights
from node.clock import SetClock
from node.core.ledger import Balance, Difference
from node.core.retention import Holding, Policy
from node.core.schedule import Daily
from node.errors import OutOfResources
from node.store.housekeeping import LEDGER, RETENTION, Done
from node.telemetry import set_up
from node.worker.night import Night

NOON = 1_792_065_600.0  # 2026-10-15T12:00:00Z
HOUR = 3600.0
GONE = Difference(code="FILE-GONE", where="journal line 1, 2.25.1", what="gone", remedy="restore")


@dataclass
class Diary:
    """Keeps what was done in memory."""

    clock: SetClock
    done: list[tuple[str, int]] = field(default_factory=list)
    last_: dict[str, Done] = field(default_factory=dict)

    def note(self, work: str, begun_at: float, faults: int, body: Mapping[str, Any]) -> None:
        self.done.append((work, faults))
        self.last_[work] = Done(ended_at=self.clock.now(), faults=faults, body=body)

    def last(self, work: str) -> Done | None:
        return self.last_.get(work)


class Empty:
    """Holds nothing that could be deleted."""

    recovered = 0

    def holdings(self) -> Iterator[tuple[Holding, float]]:
        return iter(())

    def expire(self, holding: Holding, reason: str) -> bool:
        raise AssertionError

    def recover(self) -> int:
        self.recovered += 1
        return 0

    def remove_lost_claims(self) -> int:
        return 0

    def remove_empty_folders(self) -> int:
        return 0


def balanced(*differences: Difference) -> Balance:
    return Balance(
        at=0.0,
        acknowledged=3,
        accounted=3 - len(differences),
        journal={"stored": 3},
        instances={"waiting": 3},
        jobs={"ordered": 0},
        deliveries={"ordered": 0},
        withdrawals={"ordered": 0},
        found=len(differences),
        differences=differences,
    )


def nights(
    clock: SetClock | None = None,
    balance: Callable[[Callable[[int], None]], Balance] = lambda _: balanced(),
) -> Nights:
    return Nights(
        diary=Diary(clock or SetClock(NOON)),  # type: ignore[arg-type] # a double of the store
        balance=balance,
        expirable=Empty(),
        policy=Policy(rules={}),
        prune=lambda: 7,
        ledger_at=Daily(at="03:00", zone="UTC"),
        retention_at=Daily(at="02:00", zone="UTC"),
    )


def done(night: Nights) -> list[tuple[str, int]]:
    diary: Any = night.diary
    return list(diary.done)


def test_each_work_is_done_once_when_its_time_has_come() -> None:
    clock = SetClock(NOON)
    one = nights(clock)
    night = Night(one, clock, lambda: False)
    night.look()
    assert done(one) == []
    clock.advance(14.5 * HOUR)
    night.look()
    night.look()
    assert done(one) == [(RETENTION, 0)]
    pruned = one.diary.last(RETENTION)
    assert pruned is not None
    assert pruned.body["announcements"] == 7
    clock.advance(HOUR)
    night.look()
    night.look()
    assert done(one) == [(RETENTION, 0), (LEDGER, 0)]
    clock.advance(24 * HOUR)
    night.look()
    assert done(one)[2:] == [(RETENTION, 0), (LEDGER, 0)]


def test_a_night_that_was_slept_through_is_made_up_for() -> None:
    clock = SetClock(NOON)
    one = nights(clock)
    one.diary.note(LEDGER, 0, 0, {})
    clock.advance(40 * HOUR)
    Night(one, clock, lambda: False).look()
    assert done(one) == [(LEDGER, 0), (LEDGER, 0)]


def test_what_was_cut_off_is_recovered_once_at_the_start() -> None:
    clock = SetClock(NOON)
    one = nights(clock)
    night = Night(one, clock, lambda: False)
    night.look()
    night.look()
    assert isinstance(one.expirable, Empty)
    assert one.expirable.recovered == 1


def test_a_difference_is_an_error_in_the_log() -> None:
    stream = StringIO()
    set_up("keeper", stream)
    clock = SetClock(NOON)
    one = nights(clock, lambda _: balanced(GONE))
    night = Night(one, clock, lambda: False)
    clock.advance(16 * HOUR)
    night.look()
    structlog.reset_defaults()
    assert done(one)[-1] == (LEDGER, 1)
    last = one.diary.last(LEDGER)
    assert last is not None
    assert last.body["differences"] == [str(GONE)]
    (line,) = [line for line in stream.getvalue().splitlines() if "ledger differs" in line]
    assert '"level": "error"' in line
    assert '"reason": "FILE-GONE"' in line
    assert "dropped_fields" not in line


def test_a_keeper_that_is_to_stop_leaves_the_ledger_and_does_it_the_next_time() -> None:
    clock = SetClock(NOON)
    stopping: list[bool] = []

    def draw_up(watch: Callable[[int], None]) -> Balance:
        stopping.append(True)
        watch(1000)
        raise AssertionError

    one = nights(clock, draw_up)
    night = Night(one, clock, lambda: bool(stopping))
    clock.advance(16 * HOUR)
    night.look()
    assert done(one) == [(RETENTION, 0)]


def test_a_database_that_refuses_is_asked_again() -> None:
    clock = SetClock(NOON)
    failures: list[Exception] = [OutOfResources("locked")]

    def draw_up(watch: Callable[[int], None]) -> Balance:
        if failures:
            raise failures.pop()
        return balanced()

    one = nights(clock, draw_up)
    night = Night(one, clock, lambda: False)
    clock.advance(16 * HOUR)
    with pytest.raises(OutOfResources):
        night.look()
    night.look()
    assert done(one) == [(RETENTION, 0), (LEDGER, 0)]
