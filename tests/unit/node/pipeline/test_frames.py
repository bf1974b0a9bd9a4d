from dataclasses import replace
from typing import Any

from node.clock import SetClock
from node.core.completeness import QuietTimes, Witness
from node.core.frames import Frame, Inside
from node.core.study import Outcome, StoredSeries
from node.errors import NotUnderstood
from node.pipeline.apart import Apart
from node.pipeline.assemble import assemble
from node.pipeline.frames import FrameLook
from tests.unit.node.doubles import MemoryIntake
from tests.unit.node.enhanced import AXIAL, frames
from tests.unit.node.samples import ENHANCED_MR, series

QUIET = QuietTimes(short_s=5, long_s=60)


def placed(*skip: int) -> list[Frame]:
    matrix = {"Rows": 4, "Columns": 4}
    return [{**matrix, **AXIAL, **frame} for frame in frames(10, skip=skip)]


class Disk:
    def __init__(self, holds: list[Frame], failure: Exception | None = None) -> None:
        self.holds, self.failure, self.reads = holds, failure, 0

    def read(self, path: str) -> list[Frame]:
        assert path == "held"
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        return self.holds


def enhanced_series(count: int = 1, **changes: Any) -> StoredSeries:
    one = series([0] * count, facts={"SOPClassUID": ENHANCED_MR}, **changes)
    return replace(one, planes=({},) * count)


def held(*stored: StoredSeries) -> MemoryIntake:
    known = {uid: (Outcome.STORED, digest) for one in stored for uid, digest in one.instances}
    return MemoryIntake(open=list(stored), held=known)


def run(intake: MemoryIntake, look: FrameLook, now: float) -> list[Any]:
    clock = SetClock(now)
    assemble(intake, lambda _: QUIET, clock, Apart(clock), look)
    return [evidence for _, _, evidence in intake.calls]


def test_a_gap_in_one_object_waits_and_is_read_once() -> None:
    intake = held(enhanced_series())
    disk = Disk(placed(4))
    look = FrameLook(intake, disk.read)
    for now in (1000.0, 1030.0, 1059.0):
        assert run(intake, look, now) == []
    (evidence,) = run(intake, look, 1060.0)
    assert disk.reads == 1
    assert evidence.witness is Witness.ENHANCED_OBJECT
    assert evidence.detail.startswith("about 1 slice(s) missing")


def test_an_object_without_a_gap_is_complete_at_once() -> None:
    intake = held(enhanced_series(associations_open=1))
    (evidence,) = run(intake, FrameLook(intake, Disk(placed()).read), 1000.0)
    assert str(evidence) == "1 instances; one enhanced object; no gap"


def test_another_instance_is_another_look() -> None:
    one = enhanced_series()
    disk = Disk(placed(4))
    look = FrameLook(held(enhanced_series(2)), disk.read)
    assert look.inside(one).veto is not None
    look.inside(enhanced_series(2))
    assert disk.reads == 3


def test_a_series_that_is_closed_is_forgotten() -> None:
    disk = Disk(placed())
    look = FrameLook(held(enhanced_series()), disk.read)
    look.inside(enhanced_series())
    look.forget_others({"2.25.7"})
    look.inside(enhanced_series())
    assert disk.reads == 2


def test_an_object_that_cannot_be_read_vetoes_nothing_and_stops_nobody() -> None:
    intake = held(enhanced_series())
    look = FrameLook(intake, Disk([], NotUnderstood("deflated")).read)
    (evidence,) = run(intake, look, 1000.0)
    assert evidence.remark == "functional groups not readable; frames not looked at"
    assert look.inside(enhanced_series()) == Inside(remark=evidence.remark)


def test_classic_instances_are_not_read_again() -> None:
    intake = held(series())
    disk = Disk([])
    assert len(run(intake, FrameLook(intake, disk.read), 1010.0)) == 1
    assert disk.reads == 0
