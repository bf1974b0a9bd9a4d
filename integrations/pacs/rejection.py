"""Results taken back by a rejection note (IHE RAD IOCM, RAD-66 Rejection Note Stored).

A note is a Key Object Selection Document (PS3.3 A.35.4, PS3.16 TID 2010) whose title says why. It is stored
like every other object; an archive that knows the profile hides what the note names, others show the note.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ExplicitVRLittleEndian

from integrations.report import Instance, PatientIdentity, Report

KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"
QUALITY = ("113001", "Rejected for Quality Reasons")
PATIENT_SAFETY = ("113037", "Rejected for Patient Safety Reasons")
TITLES = {"SUPERSEDED": QUALITY}
"""Title of a note (PS3.16 CID 7010) by the reason of the withdrawal; every other reason is a danger."""

SERIES_NUMBER = 8999
"""Before the first result's: a note stands for nothing that one would open."""

_NO_IMAGES = (
    "1.2.840.10008.5.1.4.1.1.88.",
    "1.2.840.10008.5.1.4.1.1.11.",
    "1.2.840.10008.5.1.4.1.1.104.",
)
"""Structured documents, presentation states and encapsulated documents: referenced as COMPOSITE."""

_IDENTITY = (
    "SpecificCharacterSet", "TimezoneOffsetFromUTC",
    "PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence",
    "PatientBirthDate", "PatientSex", "OtherPatientIDsSequence",
    "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID",
    "AccessionNumber", "IssuerOfAccessionNumberSequence", "StudyDescription",
)  # fmt: skip
"""Of Patient and General Study (PS3.3 C.7.1.1, C.7.2.1): as they stand in what is rejected."""

_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip

UidOf = Callable[..., str]
"""Returns the UID that belongs to some texts, always the same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """What is rejected, why and since when.

    Parameters
    ----------
    report, instances
        The result, and its objects that the archive has.
    reason
        Reason code of the withdrawal.
    owed_at
        Since when it is to be taken back.
    patient
        Who the study says the patient is by now; None: who the report says.
    """

    report: Report
    instances: Sequence[Instance]
    reason: str
    owed_at: datetime
    patient: PatientIdentity | None = None


def note(rejection: Rejection, uid_of: UidOf) -> Dataset:
    """Return the note that rejects the instances and nothing else.

    The same arguments give the same note, so that one whose answer was lost can be stored again. Patient and
    study are those of the rejected objects; where their files are gone, or name somebody who the patient is
    not any more, those of the report with today's patient.
    """
    report, instances = rejection.report, rejection.instances
    value, meaning = TITLES.get(rejection.reason, PATIENT_SAFETY)
    names = sorted(one.sop_instance_uid for one in instances)
    study = report.study.study_instance_uid
    dataset = _identity(rejection)
    dataset.SOPClassUID = KEY_OBJECT_SELECTION
    dataset.SOPInstanceUID = uid_of("rejection note", study, value, *names)
    dataset.SeriesInstanceUID = uid_of("rejection notes", study, value, *names)
    dataset.SeriesNumber = SERIES_NUMBER
    dataset.InstanceNumber = 1
    dataset.Modality = "KO"
    dataset.Manufacturer = "Overread"
    dataset.SeriesDescription = f"AI results: {meaning}"
    dataset.ReferencedPerformedProcedureStepSequence = []
    _set_moment(dataset, rejection.owed_at)
    evidence = Dataset()
    evidence.StudyInstanceUID = study
    evidence.ReferencedSeriesSequence = list(_by_series(instances))
    dataset.CurrentRequestedProcedureEvidenceSequence = [evidence]
    dataset.ValueType = "CONTAINER"
    dataset.ConceptNameCodeSequence = [_code(value, "DCM", meaning)]
    dataset.ContinuityOfContent = "SEPARATE"
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "2010"
    dataset.ContentTemplateSequence = [template]
    dataset.ContentSequence = [_item(one) for one in instances]
    return dataset


def written(dataset: Dataset, folder: Path) -> Instance:
    """Write a note to `folder`."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = UID(dataset.SOPClassUID)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
    path = folder / "note.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return Instance(
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        path=path,
    )


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for what is on its way."""
    return tempfile.TemporaryDirectory(prefix="overread-sent-")


def _identity(rejection: Rejection) -> Dataset:
    patient = rejection.patient or rejection.report.study.patient
    taken = next((one for one in map(_of_file, rejection.instances) if one is not None), None)
    dataset = (
        _of_report(rejection.report, patient) if taken is None or not _is(taken, patient) else taken
    )
    for keyword in _TYPE_2:
        if keyword not in dataset:
            setattr(dataset, keyword, "")
    return dataset


def _is(dataset: Dataset, patient: PatientIdentity) -> bool:
    named = (str(dataset.get("PatientID") or ""), str(dataset.get("PatientName") or ""))
    return named == (patient.patient_id, patient.patient_name)


def _of_file(instance: Instance) -> Dataset | None:
    try:
        header = dcmread(instance.path, stop_before_pixels=True, specific_tags=list(_IDENTITY))
    except (OSError, InvalidDicomError):
        return None
    taken = Dataset()
    for keyword in _IDENTITY:
        if keyword in header:
            element = header[keyword]
            taken.add(DataElement(element.tag, element.VR, element.value, validation_mode=IGNORE))
    return taken


def _of_report(report: Report, patient: PatientIdentity) -> Dataset:
    study = report.study
    values = {
        "SpecificCharacterSet": "ISO_IR 192",
        "PatientName": patient.patient_name,
        "PatientID": patient.patient_id,
        "IssuerOfPatientID": patient.issuer_of_patient_id,
        "PatientBirthDate": patient.birth_date and patient.birth_date.strftime("%Y%m%d"),
        "PatientSex": patient.sex,
        "StudyInstanceUID": study.study_instance_uid,
        "StudyDate": study.started and study.started.strftime("%Y%m%d"),
        "AccessionNumber": study.accession_number,
    }
    dataset = Dataset()
    for keyword, value in values.items():
        if value:
            setattr(dataset, keyword, value)
    return dataset


def _set_moment(dataset: Dataset, moment: datetime) -> None:
    """Tell when it was made, in the zone that the study names (0008,0201), else in UTC."""
    offset = str(dataset.get("TimezoneOffsetFromUTC") or "")
    local = moment.astimezone(UTC)
    if offset:
        try:
            local = moment.astimezone(datetime.strptime(offset, "%z").tzinfo)
        except ValueError:
            del dataset.TimezoneOffsetFromUTC
    for event in ("Content", "InstanceCreation", "Series"):
        setattr(dataset, f"{event}Date", local.strftime("%Y%m%d"))
        setattr(dataset, f"{event}Time", local.strftime("%H%M%S"))


def _by_series(instances: Sequence[Instance]) -> Iterator[Dataset]:
    for uid in dict.fromkeys(one.series_instance_uid for one in instances):
        series = Dataset()
        series.SeriesInstanceUID = uid
        series.ReferencedSOPSequence = [
            _reference(one) for one in instances if one.series_instance_uid == uid
        ]
        yield series


def _item(instance: Instance) -> Dataset:
    image = not instance.sop_class_uid.startswith(_NO_IMAGES)
    item = Dataset()
    item.RelationshipType = "CONTAINS"
    item.ValueType = "IMAGE" if image else "COMPOSITE"
    item.ReferencedSOPSequence = [_reference(instance)]
    return item


def _reference(instance: Instance) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = instance.sop_class_uid
    reference.ReferencedSOPInstanceUID = instance.sop_instance_uid
    return reference


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code
