from collections.abc import Sequence
from typing import Any, BinaryIO

import pytest

from node.core.study import Header, Outcome, Promise, Received
from node.errors import NotUnderstood, OutOfResources
from node.pipeline import record as module
from node.pipeline.record import Recorder
from tests.unit.node.doubles import MemoryIntake
from tests.unit.node.samples import MemoryFile, dicom, header_of


class MemoryPromises:
    """Promised files in memory; some cannot be read or named."""

    def __init__(self, count: int) -> None:
        self.files = {f"0/{n}": MemoryFile(dicom(n)) for n in range(1, count + 1)}
        self.bad: dict[str, Exception] = {}
        self.aside: list[str] = []
        self.kept: list[int] = []

    def waiting(self, *, aside: bool = False) -> list[str]:
        return [name for name in self.files if aside or name not in self.aside]

    def reopened(self, name: str) -> tuple[str, MemoryFile] | None:
        if name in self.bad:
            raise self.bad[name]
        file = self.files.get(name)
        if file is None:
            return None
        file.calls = _Settling(self, name)
        return "a1", file

    def keep(self, files: Sequence[tuple[Any, Header, str]]) -> list[str]:
        self.kept.append(len(files))
        return [file.keep(header, digest) for file, header, digest in files]

    def set_aside(self, name: str) -> None:
        self.aside.append(name)


class _Settling(list[tuple[Any, ...]]):
    """Calls of a file: what is settled waits no more."""

    def __init__(self, promises: MemoryPromises, name: str) -> None:
        super().__init__()
        self.promises, self.name = promises, name

    def append(self, call: tuple[Any, ...]) -> None:
        super().append(call)
        if call == ("settle",):
            self.promises.files.pop(self.name, None)


class Intake(MemoryIntake):
    """Records that refuse what they are told to."""

    refused: str = ""
    recorded: list[str]

    def record_all(self, received: Sequence[Received]) -> list[Outcome | None]:
        uids = [one.header.sop_instance_uid for one in received]
        if self.failure is not None:
            raise self.failure
        if self.refused in uids:
            raise OutOfResources("database")
        self.recorded += uids
        return super().record_all(received)


@pytest.fixture
def intake() -> Intake:
    intake = Intake()
    intake.recorded = []
    return intake


def recorder(promises: MemoryPromises, intake: Intake) -> Recorder:
    def read(source: BinaryIO) -> Header:
        return header_of(source.read())

    return Recorder(promises, intake, read, lambda *_: None)


def uids(*numbers: int) -> list[str]:
    return [f"2.25.300{number}" for number in numbers]


def test_what_is_there_is_recorded_together_with_its_peer(intake: Intake) -> None:
    promises = MemoryPromises(3)
    assert recorder(promises, intake).look() == 3
    assert promises.kept == [3]
    assert intake.recorded == uids(1, 2, 3)
    assert promises.files == {}
    (first, *_) = [call[1] for call in intake.calls if call[0] == "record"]
    assert (first.association_id, first.peer) == ("a1", "modality")


def test_what_is_told_needs_no_reading(intake: Intake) -> None:
    promises = MemoryPromises(1)

    def read(_: BinaryIO) -> Header:
        pytest.fail("it was told")

    one = Recorder(promises, intake, read, lambda *_: None)
    told = Promise(name="0/1", header=header_of(dicom(1)), association_id="a1", peer="ct")
    assert one.record([told, told]) == 1
    (received,) = [call[1] for call in intake.calls if call[0] == "record"]
    assert received.peer == "ct"


def test_who_looks_finds_what_nobody_told_of_and_reads_that_alone(intake: Intake) -> None:
    promises = MemoryPromises(3)
    read: list[bytes] = []

    def reading(source: BinaryIO) -> Header:
        read.append(source.read())
        return header_of(read[-1])

    one = Recorder(promises, intake, reading, lambda *_: None)
    told = Promise(name="0/2", header=header_of(dicom(2)), association_id="a1", peer="ct")
    assert one.look([told]) == 3
    assert intake.recorded == uids(1, 2, 3)
    assert read == [dicom(1), dicom(3)]


def test_what_is_recorded_already_is_no_matter(intake: Intake) -> None:
    told = Promise(name="0/9", header=header_of(dicom(9)), association_id="a1", peer="ct")
    assert recorder(MemoryPromises(0), intake).record([told]) == 1
    assert intake.recorded == []


def test_many_are_several_transactions(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    promises = MemoryPromises(5)
    assert recorder(promises, intake).look() == 5
    assert promises.kept == [2, 2, 1]


@pytest.mark.parametrize("failure", [NotUnderstood("bytes"), ZeroDivisionError("a bug")])
def test_one_that_cannot_be_recorded_is_set_aside_and_the_others_are_not(
    intake: Intake, failure: Exception
) -> None:
    promises = MemoryPromises(3)
    promises.bad["0/2"] = failure
    one = recorder(promises, intake)
    one.look()
    assert intake.recorded == uids(1, 3)
    assert promises.aside == ["0/2"]
    assert one.look() == 0
    promises.bad.clear()
    assert one.begin() == 1  # at the next start it is tried again


def test_one_that_the_disk_does_not_give_waits_and_the_others_do_not(intake: Intake) -> None:
    promises = MemoryPromises(3)
    promises.bad["0/1"] = OutOfResources("disk")
    recorder(promises, intake).look()
    assert intake.recorded == uids(2, 3)
    assert promises.waiting() == ["0/1"]
    assert promises.aside == []


def test_a_database_that_refuses_is_not_asked_for_each(intake: Intake) -> None:
    promises = MemoryPromises(70)
    intake.failure = OutOfResources("database")
    assert recorder(promises, intake).look() == 0
    assert promises.kept == [64, 1, 1]
    assert len(promises.waiting()) == 70
    intake.failure = None
    assert recorder(promises, intake).look() == 70


def test_files_are_let_go_of_when_they_are_not_recorded(intake: Intake) -> None:
    promises = MemoryPromises(1)
    intake.failure = OutOfResources("database")
    recorder(promises, intake).look()
    (file,) = promises.files.values()
    assert file.calls[-1] == ("discard",)
