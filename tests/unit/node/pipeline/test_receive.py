from pathlib import Path

import pytest

from node.core.identifiers import data_set_digest
from node.core.study import Outcome
from node.errors import OutOfResources
from node.pipeline.receive import receive
from tests.unit.node.doubles import Call, MemoryFiles, MemoryIntake
from tests.unit.node.samples import arrival

UID = "2.25.3001"
DIGEST = data_set_digest(arrival().data)


@pytest.fixture
def calls() -> list[Call]:
    return []


@pytest.fixture
def files(tmp_path: Path, calls: list[Call]) -> MemoryFiles:
    return MemoryFiles(root=tmp_path, calls=calls)


@pytest.fixture
def intake(calls: list[Call]) -> MemoryIntake:
    return MemoryIntake(calls=calls)


def test_the_file_is_durable_before_the_record(
    files: MemoryFiles, intake: MemoryIntake, calls: list[Call]
) -> None:
    one = arrival()
    assert receive(one, files, intake) is Outcome.STORED
    assert [call[0] for call in calls] == ["keep", "record"]
    _, received, outcome = calls[1]
    assert outcome is Outcome.STORED
    assert received.path == f"{UID}.{DIGEST[:4]}"
    assert received.digest == DIGEST
    assert received.size == len(one.data)
    assert (received.association_id, received.peer) == ("a1", "modality")


def test_a_disk_that_refuses_leaves_no_record(files: MemoryFiles, intake: MemoryIntake) -> None:
    files.failure = OutOfResources("disk")
    with pytest.raises(OutOfResources):
        receive(arrival(), files, intake)
    assert intake.calls == []


def test_a_database_that_refuses_is_not_success(files: MemoryFiles, intake: MemoryIntake) -> None:
    intake.failure = OutOfResources("database")
    with pytest.raises(OutOfResources):
        receive(arrival(), files, intake)


@pytest.mark.parametrize(
    ("held", "outcome", "kept"),
    [
        ((Outcome.OWN, ""), Outcome.OWN, False),
        ((Outcome.STORED, DIGEST), Outcome.DUPLICATE, False),
        ((Outcome.STORED, "0" * 64), Outcome.CONFLICT, True),
    ],
)
def test_a_uid_that_is_known(
    files: MemoryFiles,
    intake: MemoryIntake,
    held: tuple[Outcome, str],
    outcome: Outcome,
    kept: bool,
) -> None:
    intake.held[UID] = held
    assert receive(arrival(), files, intake) is outcome
    assert [call[0] for call in intake.calls] == (["keep"] if kept else []) + ["record"]
    received = intake.calls[-1][1]
    assert bool(received.path) is kept


def test_an_association_that_was_faster_is_believed(
    files: MemoryFiles, intake: MemoryIntake
) -> None:
    intake.recorded = Outcome.DUPLICATE
    assert receive(arrival(), files, intake) is Outcome.DUPLICATE


def test_the_same_object_with_another_file_meta_is_the_same_object(
    files: MemoryFiles, intake: MemoryIntake
) -> None:
    one = arrival()
    digests = {data_set_digest(data) for data in (one.data, b"\1" * 128 + one.data[128:])}
    assert digests == {DIGEST}


@pytest.mark.parametrize(
    ("patient", "same_pixels", "outcome", "kept"),
    [
        ("OVR-7", True, Outcome.CORRECTION, True),
        ("OVR-7", False, Outcome.CONFLICT, True),
        ("OVR-000042", True, Outcome.DUPLICATE, False),
    ],
)
def test_the_same_image_again_with_another_head(
    files: MemoryFiles,
    intake: MemoryIntake,
    patient: str,
    same_pixels: bool,
    outcome: Outcome,
    kept: bool,
) -> None:
    intake.held[UID] = (Outcome.STORED, "0" * 64)
    held = arrival().header
    again = arrival(PatientID=patient, StudyDescription="Mended")
    assert receive(again, files, intake, lambda *_: (held, same_pixels)) is outcome
    assert bool(intake.calls[-1][1].path) is kept
