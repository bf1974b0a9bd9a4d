"""What a rejection note says, and of whom (IHE RAD IOCM)."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from inference.uids import derived_uid
from integrations.pacs.rejection import Rejection, note, written
from integrations.report import Instance
from tests.unit.integrations.samples import IDENTITY, report, write_instances

OF = report(5)
OWED_AT = datetime(2026, 11, 25, 20, 15, 30, tzinfo=UTC)


@pytest.fixture
def instances(tmp_path: Path) -> list[Instance]:
    objects = write_instances(tmp_path, OF, uids=("1", "2", "3"))
    for one in objects:
        dataset = dcmread(one.path)
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.IssuerOfPatientID = ""
        dataset.StudyDate, dataset.StudyID = "20260601", "7"
        dataset.save_as(one.path)
    return objects


def made(instances: list[Instance], **changes: Any) -> Dataset:
    values: dict[str, Any] = {
        "report": OF,
        "instances": instances,
        "reason": "SUPERSEDED",
        "owed_at": OWED_AT,
        **changes,
    }
    return note(Rejection(**values), derived_uid)


@pytest.mark.parametrize(
    ("reason", "title"),
    [
        ("SUPERSEDED", ("113001", "DCM", "Rejected for Quality Reasons")),
        ("RETRACTED", ("113037", "DCM", "Rejected for Patient Safety Reasons")),
        ("IDENTITY-CORRECTED", ("113037", "DCM", "Rejected for Patient Safety Reasons")),
    ],
)
def test_the_title_says_why(
    instances: list[Instance], reason: str, title: tuple[str, str, str]
) -> None:
    (code,) = made(instances, reason=reason).ConceptNameCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == title


def test_it_names_each_object_twice_and_nothing_else(instances: list[Instance]) -> None:
    dataset = made(instances)
    uids = [one.sop_instance_uid for one in instances]
    items = [
        (item.ValueType, item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in dataset.ContentSequence
    ]
    assert items == list(zip(["IMAGE", "COMPOSITE", "COMPOSITE"], uids, strict=True))
    (study,) = dataset.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == OF.study.study_instance_uid
    series = {
        one.SeriesInstanceUID: [item.ReferencedSOPInstanceUID for item in one.ReferencedSOPSequence]
        for one in study.ReferencedSeriesSequence
    }
    assert series == {
        instances[0].series_instance_uid: uids[:1],
        instances[1].series_instance_uid: uids[1:],
    }


def test_the_same_withdrawal_gives_the_same_note(instances: list[Instance], tmp_path: Path) -> None:
    files = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        files.append(written(made(instances), folder).path.read_bytes())
    assert files[0] == files[1]
    other = made(instances, reason="RETRACTED")
    fewer = made(instances[:2])
    uids = {one.SOPInstanceUID for one in (made(instances), other, fewer)}
    assert len(uids) == 3


def test_patient_and_study_are_those_of_the_objects_as_they_stand_there(
    instances: list[Instance],
) -> None:
    dataset = made(instances)
    assert dataset.IssuerOfPatientID == ""  # the report completes it, the objects do not
    assert (dataset.PatientID, str(dataset.PatientName)) == ("MRN-4711", "Doe^Colin")
    assert (dataset.StudyDate, dataset.StudyID) == ("20260601", "7")
    assert (dataset.ContentDate, dataset.ContentTime) == ("20261125", "201530")


def test_times_are_in_the_zone_that_the_study_names(instances: list[Instance]) -> None:
    dataset = dcmread(instances[0].path)
    dataset.TimezoneOffsetFromUTC = "+0530"
    dataset.save_as(instances[0].path)
    made_of = made(instances)
    assert (made_of.ContentDate, made_of.ContentTime) == ("20261126", "014530")


def test_without_the_files_the_report_says_who_it_is(instances: list[Instance]) -> None:
    for one in instances:
        one.path.unlink()
    dataset = made(instances)
    assert (dataset.PatientID, dataset.PatientBirthDate) == ("MRN-4711", "19690517")
    assert dataset.StudyInstanceUID == OF.study.study_instance_uid


def test_the_note_goes_to_who_the_patient_is_by_now(instances: list[Instance]) -> None:
    corrected = replace(IDENTITY, patient_id="MRN-4712", birth_date=date(1970, 1, 2))
    dataset = made(instances, patient=corrected)
    assert (dataset.PatientID, dataset.PatientBirthDate) == ("MRN-4712", "19700102")
    same = made(instances, patient=IDENTITY)
    assert same.IssuerOfPatientID == ""
