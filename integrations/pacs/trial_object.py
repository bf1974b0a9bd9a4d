"""An object of nobody: an archive is given it, and has it taken back, to see that both work."""

import uuid
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from integrations.destination import Destination
from integrations.report import (
    Coding,
    Instance,
    Model,
    PatientIdentity,
    Report,
    ReportedSeries,
    StudyIdentity,
)

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
NOBODY = "OVERREAD-CHECK"
"""Patient ID, and family name, of the object."""

_SIDE = 8


def write_and_withdraw(destination: Destination, folder: Path, now: datetime) -> str:
    """Deliver an object to an archive and take it back; return what came of it, in words.

    Parameters
    ----------
    folder
        Where the object is written, to be removed by the caller.

    Raises
    ------
    Unavailable
        The archive cannot be reached, or cannot do it now.
    Refused
        It does not take the object, or not back.
    """
    study = _new()
    instance = _instance(study, folder, now)
    report = _report(study, instance, now)
    receipt = destination.deliver(
        report, [instance], in_doubt=frozenset(), progress=lambda uid, state: None
    )
    destination.withdraw(report, receipt, "RETRACTED", instances=[instance], owed_at=now)
    confirmed = "confirmed" if receipt.confirmed else "not confirmed"
    return f"stored ({confirmed}) and taken back: study {study}"


def _instance(study_instance_uid: str, folder: Path, now: datetime) -> Instance:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = UID(SECONDARY_CAPTURE), UID(_new())
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = UID(study_instance_uid), UID(_new())
    dataset.PatientName, dataset.PatientID = f"{NOBODY}^Nobody", NOBODY
    dataset.PatientBirthDate, dataset.PatientSex = "", ""
    dataset.StudyDate, dataset.StudyTime = f"{now:%Y%m%d}", f"{now:%H%M%S}"
    dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = "", "", ""
    dataset.StudyDescription = "Overread check: of nobody, may be deleted"
    dataset.Modality, dataset.ConversionType = "OT", "SYN"
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.PatientOrientation = 1, 1, ""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = _SIDE, _SIDE
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation, dataset.PixelData = 0, bytes(_SIDE * _SIDE)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    path = folder / "check.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return Instance(
        sop_class_uid=SECONDARY_CAPTURE,
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        path=path,
    )


def _report(study_instance_uid: str, instance: Instance, now: datetime) -> Report:
    series = ReportedSeries(
        series_instance_uid=instance.series_instance_uid,
        modality="OT",
        description="",
        sop_classes={instance.sop_instance_uid: instance.sop_class_uid},
    )
    return Report(
        result_set_uid=instance.sop_instance_uid,
        study=StudyIdentity(
            study_instance_uid=study_instance_uid,
            patient=PatientIdentity(
                patient_id=NOBODY,
                issuer_of_patient_id=None,
                patient_name=f"{NOBODY}^Nobody",
                birth_date=None,
                sex=None,
            ),
            accession_number=None,
            started=now.date(),
            description=None,
            modalities=("OT",),
        ),
        source_series=(),
        result_series=(series,),
        model=Model(
            name="check",
            version="0",
            manufacturer="Overread",
            device_uid="2.25.0",
            content_qualification="RESEARCH",
            weights_digest="",
        ),
        procedure=Coding("113014", "DCM", "Study"),
        findings=(),
        issued=now,
        conclusion="",
    )


def _new() -> str:
    return f"2.25.{uuid.uuid4().int}"
