"""A fictional report, and DICOM files small enough to make in a test."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from integrations.report import (
    Coding,
    Instance,
    Model,
    PatientIdentity,
    Quantity,
    Report,
    ReportedFinding,
    ReportedSeries,
    Score,
    StudyIdentity,
    UsedValue,
)

ISSUER = "EXAMPLE HOSPITAL"
STUDY_UID = "2.25.1001"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
STRUCTURED_REPORT = "1.2.840.10008.5.1.4.1.1.88.34"

MILLILITRE = Coding("ml", "UCUM", "ml")
BRAIN = Coding("12738006", "SCT", "Brain")

VOLUME = Quantity(concept=Coding("118565006", "SCT", "Volume"), value="1502.30", unit=MILLILITRE)
AREA = Quantity(
    concept=Coding("42798000", "SCT", "Area"), value="14200", unit=Coding("mm2", "UCUM", "mm2")
)
BRAIN_FINDING = ReportedFinding(
    tracking_uid="2.25.1201",
    label="Brain",
    type=BRAIN,
    site=None,
    present=True,
    quantities=(VOLUME, AREA),
)
NO_LESION = ReportedFinding(
    tracking_uid="2.25.1202",
    label="Lesion",
    type=Coding("52988006", "SCT", "Lesion"),
    site=BRAIN,
    present=False,
    quantities=(),
)

LEFT = Coding("7771000", "SCT", "Left")
SCORE = Score(
    concept=Coding("lesion-score", "99EXAMPLE", "Lesion score"),
    value="0.310",
    threshold="0.5",
    calibrated=False,
)

IDENTITY = PatientIdentity(
    patient_id="MRN-4711",
    issuer_of_patient_id=ISSUER,
    patient_name="Doe^Colin",
    birth_date=date(1969, 5, 17),
    sex="M",
)

AGE = UsedValue(
    feature="age",
    concept=Coding("121033", "DCM", "Subject Age"),
    value="57",
    unit=Coding("a", "UCUM", "year"),
    source="Patient/colin/_history/3",
    effective="2026-06-01",
)

REPORT = Report(
    result_set_uid="2.25.1300",
    study=StudyIdentity(
        study_instance_uid=STUDY_UID,
        patient=IDENTITY,
        accession_number="ACC-1",
        started=date(2026, 6, 1),
        description="MR Head",
        modalities=("MR",),
    ),
    source_series=(
        ReportedSeries(
            series_instance_uid="2.25.1002",
            modality="MR",
            description="T1 sagittal",
            sop_classes={f"2.25.1002{number}": "1.2.840.10008.5.1.4.1.1.4" for number in range(3)},
        ),
    ),
    result_series=(
        ReportedSeries(
            series_instance_uid="2.25.1003",
            modality="SEG",
            description="AI brain",
            sop_classes={"2.25.10031": SEGMENTATION},
        ),
        ReportedSeries(
            series_instance_uid="2.25.1004",
            modality="SR",
            description="AI brain report",
            sop_classes={"2.25.10041": STRUCTURED_REPORT},
        ),
    ),
    model=Model(
        name="Brain extraction",
        version="1.0.2",
        manufacturer="Example",
        device_uid="2.25.1400",
        content_qualification="RESEARCH",
        weights_digest="sha256:00ff",
    ),
    procedure=Coding("24590-2", "LN", "MR Brain"),
    findings=(BRAIN_FINDING, NO_LESION),
    context=(AGE,),
    record_patient="Patient/colin",
    issued=datetime(2026, 6, 1, 12, 30, 15, 250000, tzinfo=UTC),
    conclusion="The brain measures 1502.30 mL.",
)


def colin() -> dict[str, object]:
    """Give the record's Patient resource of the report's patient."""
    return {
        "resourceType": "Patient",
        "id": "colin",
        "identifier": [{"system": "urn:oid:2.16.840.1.113883.19.5", "value": "MRN-4711"}],
        "name": [{"family": "Doe", "given": ["Colin"]}],
        "gender": "male",
        "birthDate": "1969-05-17",
    }


def report(number: int = 0) -> Report:
    """Give the report a result set UID and a study UID of its own."""
    study = replace(REPORT.study, study_instance_uid=f"{STUDY_UID}.{number}")
    return replace(REPORT, result_set_uid=f"{REPORT.result_set_uid}.{number}", study=study)


def write_instances(
    folder: Path, of: Report, *, uids: Sequence[str] = ("1", "2")
) -> list[Instance]:
    """Write a small Segmentation and SR, and further SRs, of the report's study."""
    classes = [SEGMENTATION, *[STRUCTURED_REPORT] * (len(uids) - 1)]
    return [
        _write(folder, of, sop_class, f"{of.result_set_uid}.{uid}")
        for sop_class, uid in zip(classes, uids, strict=True)
    ]


def _write(folder: Path, of: Report, sop_class: str, uid: str) -> Instance:
    series = f"{of.result_set_uid}.{'9' if sop_class == SEGMENTATION else '8'}"
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = uid
    dataset.StudyInstanceUID = of.study.study_instance_uid
    dataset.SeriesInstanceUID = series
    dataset.Modality = "SEG" if sop_class == SEGMENTATION else "SR"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientID = of.study.patient.patient_id
    dataset.PatientName = of.study.patient.patient_name
    if of.study.started is not None:
        dataset.StudyDate = f"{of.study.started:%Y%m%d}"
    path = folder / f"{uid}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return Instance(
        sop_class_uid=sop_class,
        sop_instance_uid=uid,
        series_instance_uid=series,
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        path=path,
    )
