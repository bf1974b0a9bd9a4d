from dataclasses import replace

import pytest

from node.clock import SetClock
from node.core.completeness import QuietTimes, Witness
from node.core.frames import Frame
from node.errors import OutOfResources
from node.pipeline.apart import Apart
from node.pipeline.assemble import assemble
from node.pipeline.frames import FrameLook
from tests.unit.node.doubles import MemoryIntake
from tests.unit.node.samples import series

QUIET = QuietTimes(short_s=5, long_s=60)


def no_frames(path: str) -> list[Frame]:
    raise AssertionError(f"{path} was read")


def run(intake: MemoryIntake, now: float) -> None:
    clock = SetClock(now)
    assemble(intake, lambda _: QUIET, clock, Apart(clock), FrameLook(intake, no_frames))


def test_only_what_is_complete_is_closed() -> None:
    done = series(series_instance_uid="2.25.1")
    fresh = series(series_instance_uid="2.25.2", last_arrival=1009.0)
    intake = MemoryIntake(open=[done, fresh])
    run(intake, 1010)
    ((name, uid, evidence),) = intake.calls
    assert (name, uid) == ("close", "2.25.1")
    assert evidence.witness is Witness.ASSOCIATION_RELEASED


def test_the_quiet_times_are_those_of_the_sender() -> None:
    intake = MemoryIntake(open=[series(peer="slow"), series(peer="quick")])
    clock = SetClock(1010)
    asked: list[str] = []

    def quiet_of(peer: str) -> QuietTimes:
        asked.append(peer)
        return replace(QUIET, short_s=100, long_s=100) if peer == "slow" else QUIET

    assemble(intake, quiet_of, clock, Apart(clock), FrameLook(intake, no_frames))
    assert asked == ["slow", "quick"]
    assert len(intake.calls) == 1


def test_a_series_that_meets_a_bug_stops_no_other() -> None:
    broken = series(series_instance_uid="2.25.1", peer="nobody foresaw this")
    intake = MemoryIntake(open=[broken, series(series_instance_uid="2.25.2")])
    clock = SetClock(1010)
    assemble(
        intake, {"modality": QUIET}.__getitem__, clock, Apart(clock), FrameLook(intake, no_frames)
    )
    assert [uid for _, uid, _ in intake.calls] == ["2.25.2"]


def test_a_database_that_fails_ends_the_round(monkeypatch: pytest.MonkeyPatch) -> None:
    intake = MemoryIntake(open=[series()])

    def fail(*_: object) -> bool:
        raise OutOfResources("database")

    monkeypatch.setattr(intake, "close_series", fail)
    with pytest.raises(OutOfResources):
        run(intake, 1010)
