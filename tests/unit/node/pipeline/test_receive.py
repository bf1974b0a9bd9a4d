from typing import BinaryIO

import pytest

from node.core.study import Header, Outcome
from node.errors import OutOfResources
from node.pipeline.receive import receive, recover
from tests.unit.node.doubles import Call, MemoryIntake
from tests.unit.node.samples import MemoryFile, arrival, dicom, digest_of, header_of

UID = "2.25.3001"
DIGEST = digest_of(dicom())


def nothing(_: str, __: BinaryIO) -> tuple[Header, bool | None] | None:
    """Compare with a file that is gone."""
    return None


@pytest.fixture
def calls() -> list[Call]:
    return []


@pytest.fixture
def file(calls: list[Call]) -> MemoryFile:
    return MemoryFile(b"", calls)


@pytest.fixture
def intake(calls: list[Call]) -> MemoryIntake:
    return MemoryIntake(calls=calls)


def test_the_file_is_durable_before_the_record(
    file: MemoryFile, intake: MemoryIntake, calls: list[Call]
) -> None:
    assert receive(arrival(file=file), intake, nothing) is Outcome.STORED
    assert [call[0] for call in calls] == ["keep", "record", "settle"]
    _, received = calls[1]
    assert received.path == f"{UID}.{DIGEST[:4]}"
    assert received.digest == DIGEST
    assert received.size == len(file.data)
    assert (received.association_id, received.peer) == ("a1", "modality")


def test_a_disk_that_refuses_leaves_no_record(
    file: MemoryFile, intake: MemoryIntake, calls: list[Call]
) -> None:
    one = arrival(file=file)
    file.failure = OutOfResources("disk")
    with pytest.raises(OutOfResources):
        receive(one, intake, nothing)
    assert calls == []


def test_a_database_that_refuses_is_not_success_and_keeps_the_first_name_of_the_file(
    file: MemoryFile, intake: MemoryIntake, calls: list[Call]
) -> None:
    intake.failure = OutOfResources("database")
    with pytest.raises(OutOfResources):
        receive(arrival(file=file), intake, nothing)
    assert [call[0] for call in calls] == ["keep"]  # what a start-up then finds


@pytest.mark.parametrize(
    ("held", "outcome", "end"),
    [
        ((Outcome.OWN, ""), Outcome.OWN, "withdraw"),
        ((Outcome.STORED, DIGEST), Outcome.DUPLICATE, "settle"),
        ((Outcome.STORED, "0" * 64), Outcome.CONFLICT, "settle"),
    ],
)
def test_a_uid_that_is_known(
    file: MemoryFile,
    intake: MemoryIntake,
    calls: list[Call],
    held: tuple[Outcome, str],
    outcome: Outcome,
    end: str,
) -> None:
    intake.held[UID] = held
    assert receive(arrival(file=file), intake, nothing) is outcome
    assert calls[-1] == (end,)


def test_the_same_object_with_another_file_meta_is_the_same_object() -> None:
    file = MemoryFile(b"")
    arrival(file=file)
    assert digest_of(b"\1" * 128 + file.data[128:]) == digest_of(file.data) == DIGEST


def test_a_start_up_records_what_was_durable_and_not_recorded(
    intake: MemoryIntake, calls: list[Call]
) -> None:
    files = [MemoryFile(b"", calls), MemoryFile(b"", calls)]
    for number, file in enumerate(files, 1):
        arrival(number, file=file)

    class Left:
        def left_over(self) -> list[tuple[str, MemoryFile]]:
            return [("a1", files[0]), ("nobody knows it", files[1])]

    def read(source: object) -> object:
        return header_of(source.read())  # type: ignore[attr-defined]

    assert recover(Left(), intake, read, nothing) == 2  # type: ignore[arg-type]
    recorded = [call[1] for call in calls if call[0] == "record"]
    assert [(one.digest, one.peer) for one in recorded] == [
        (digest_of(files[0].data), "modality"),
        (digest_of(files[1].data), ""),
    ]


@pytest.mark.parametrize(
    ("patient", "same_pixels", "outcome", "end"),
    [
        ("OVR-7", True, Outcome.CORRECTION, "settle"),
        ("OVR-7", False, Outcome.CONFLICT, "settle"),
        ("OVR-000042", True, Outcome.DUPLICATE, "withdraw"),
    ],
)
def test_the_same_image_again_with_another_head(
    file: MemoryFile,
    intake: MemoryIntake,
    calls: list[Call],
    patient: str,
    same_pixels: bool,
    outcome: Outcome,
    end: str,
) -> None:
    intake.held[UID] = (Outcome.STORED, "0" * 64)
    held = arrival().header
    again = arrival(file=file, PatientID=patient, StudyDescription="Mended")
    assert receive(again, intake, lambda *_: (held, same_pixels)) is outcome
    assert calls[-1] == (end,)


def test_a_record_that_changes_all_the_time_is_no_success(
    file: MemoryFile, intake: MemoryIntake
) -> None:
    intake.held[UID] = (Outcome.STORED, "0" * 64)

    def another(*_: object) -> None:
        digest = intake.held[UID][1]
        intake.held[UID] = (Outcome.STORED, digest[1:] + "f")

    with pytest.raises(OutOfResources, match="all the time"):
        receive(arrival(file=file), intake, another)
