"""Instances, series and jobs of fictional patients, small enough to read in a test."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any, BinaryIO

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from node.core.completeness import Evidence, Witness
from node.core.identifiers import data_set_digest
from node.core.job import (
    Claim,
    DeliveryClaim,
    InstanceState,
    JobRequest,
    ResultInstance,
    ResultSet,
)
from node.core.study import Arrival, Header, Incoming, Received, SeriesState, StoredSeries
from node.dicom.header import read_header

MR = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
STUDY = "2.25.100"
SERIES = "2.25.200"
PATIENT: Mapping[str, Any] = {
    "PatientID": "OVR-000042",
    "IssuerOfPatientID": "EXAMPLE",
    "PatientName": "Muster^Erika",
    "PatientBirthDate": "19640812",
    "PatientSex": "F",
    "AccessionNumber": "ACC42",
}
SECRETS = ("OVR-000042", "Muster", "Erika", "19640812", "1964-08-12")
"""What must not be seen where no patient may be named."""

EVIDENCE = Evidence(
    witness=Witness.ASSOCIATION_RELEASED, instances=3, end_slice_may_be_missing=True
)


def dicom(number: int = 1, **attributes: Any) -> bytes:
    """One MR image as a Part 10 file; `attributes` replace or join, None takes one away."""
    values: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": MR,
        "SOPInstanceUID": f"2.25.300{number}",
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": SERIES,
        "Modality": "MR",
        "SeriesDescription": "T1 MPRAGE",
        "StudyDate": "20261015",
        "StudyTime": "101500",
        "StudyDescription": "MR Head",
        "InstanceNumber": number,
        "Rows": 4,
        "Columns": 4,
        "PixelSpacing": [1, 1],
        "ImagePositionPatient": [0, 0, number],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "FrameOfReferenceUID": "2.25.400",
        **PATIENT,
        **attributes,
    }
    dataset = Dataset()
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    return encoded(dataset)


def encoded(dataset: Dataset) -> bytes:
    """Write a dataset as the listener does: Explicit VR Little Endian behind its file meta."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = UID(dataset.get("SOPClassUID") or MR)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(dataset.get("SOPInstanceUID") or "2.25.1")
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


@dataclass
class MemoryFile:
    """A file that is being received, in memory, with a note of every call in its order."""

    data: bytes
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    failure: Exception | None = None
    name: str = "0/one"

    @property
    def size(self) -> int:
        return len(self.data)

    def write(self, part: bytes | memoryview) -> None:
        if self.failure is not None:
            raise self.failure
        self.data += bytes(part)

    @contextmanager
    def reading(self) -> Iterator[BinaryIO]:
        yield BytesIO(self.data)

    def seal(self, association_id: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.calls.append(("seal", association_id))

    def close(self) -> None:
        self.calls.append(("close",))

    def keep(self, header: Header, digest: str) -> str:
        if self.failure is not None:
            raise self.failure
        self.calls.append(("keep", header.sop_instance_uid, digest))
        return f"{header.sop_instance_uid}.{digest[:4]}"

    def settle(self) -> None:
        self.calls.append(("settle",))

    def withdraw(self) -> None:
        self.calls.append(("withdraw",))

    def discard(self) -> None:
        self.calls.append(("discard",))


def header_of(data: bytes) -> Header:
    """Return the head of a file."""
    return read_header(BytesIO(data))


def digest_of(data: bytes) -> str:
    """Return the digest of a file's data set."""
    return data_set_digest(BytesIO(data))


def arrival(
    number: int = 1, *, peer: str = "modality", file: Incoming | None = None, **attributes: Any
) -> Arrival:
    """One instance as it came over association ``a1``, in memory or in `file`."""
    data = dicom(number, **attributes)
    lies = file or MemoryFile(b"")
    lies.write(data)
    return Arrival(header=header_of(data), file=lies, association_id="a1", peer=peer)


def received(number: int = 1, *, peer: str = "modality", **attributes: Any) -> Received:
    """One instance as it lies on the disk."""
    one = arrival(number, peer=peer, **attributes)
    with one.file.reading() as source:
        digest = data_set_digest(source)
    header: Header = one.header
    return Received(
        header=header,
        path=f"instances/{header.sop_instance_uid}.{digest[:16]}.dcm",
        size=one.file.size,
        digest=digest,
        association_id=one.association_id,
        peer=peer,
    )


def plane(z_mm: float) -> dict[str, Any]:
    """Geometry of one axial slice."""
    return {
        "ImagePositionPatient": [0.0, 0.0, z_mm],
        "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "PixelSpacing": [1.0, 1.0],
        "Rows": 4,
        "Columns": 4,
    }


def series(positions_mm: Sequence[float] = (0, 1, 2), **changes: Any) -> StoredSeries:
    """One open series with a slice at each position."""
    instances = tuple((f"2.25.300{i}", f"{i:064d}") for i in range(len(positions_mm)))
    stored = StoredSeries(
        series_instance_uid=SERIES,
        study_instance_uid=STUDY,
        peer="modality",
        state=SeriesState.OPEN,
        facts={"Modality": "MR", "SOPClassUID": MR, "SeriesInstances": len(instances)},
        instances=instances,
        planes=tuple(plane(z) for z in positions_mm),
        evidence=None,
        last_arrival=1000.0,
        associations_open=0,
        associations_broken=0,
    )
    return replace(stored, **changes)


def job_request(job_id: str = "job-1", **changes: Any) -> JobRequest:
    """One job as dispatch orders it."""
    request = JobRequest(
        job_id=job_id,
        study_instance_uid=STUDY,
        series_instance_uid=SERIES,
        model="brain-extraction",
        version="1.0.2",
        rule="heads",
        inputs={"volume": ("2.25.3001",)},
        digest=f"digest of {job_id}",
        request=0,
        priority=0,
        destinations=("pacs", "ehr"),
        evidence=EVIDENCE.as_record(),
    )
    return replace(request, **changes)


def claim(**changes: Any) -> Claim:
    """One claimed job."""
    identity = {**PATIENT, "StudyDate": "20261015", "StudyTime": "101500"}
    held = Claim(
        job_id="job-1",
        transaction_uid="2.25.900",
        study_instance_uid=STUDY,
        series_instance_uid=SERIES,
        peer="modality",
        model="brain-extraction",
        version="1.0.2",
        request=0,
        revision=0,
        attempt=1,
        lost_leases=0,
        files={"volume": ()},
        context={},
        identity=identity,
        evidence=EVIDENCE.as_record(),
        destinations=("pacs", "ehr"),
    )
    return replace(held, **changes)


def result_instance(kind: str, number: int = 1) -> ResultInstance:
    """One object of a result set: ``SEG`` or ``SR``."""
    sop_class = {"SEG": "1.2.840.10008.5.1.4.1.1.66.4", "SR": "1.2.840.10008.5.1.4.1.1.88.34"}[kind]
    uid = f"2.25.{number}{'1' if kind == 'SEG' else '2'}"
    return ResultInstance(
        sop_instance_uid=uid,
        sop_class_uid=sop_class,
        series_instance_uid=f"{uid}.7",
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        kind=kind,
        path=f"results/2.25.900/{uid}.dcm",
        digest="0" * 64,
    )


def result_set(number: int = 1, *, report: Mapping[str, Any] | None = None) -> ResultSet:
    """Give a SEG and its SR."""
    return ResultSet(
        result_set_id=f"2.25.{number}2",
        profile="generic",
        instances=(result_instance("SEG", number), result_instance("SR", number)),
        report=report or {"result_set_uid": f"2.25.{number}2"},
        picture=None,
        seconds={"read": 0.5},
        server="a double",
    )


def delivery_claim(report: Mapping[str, Any], **changes: Any) -> DeliveryClaim:
    """One claimed delivery of a SEG and an SR of which nothing has left yet."""
    objects = result_set().instances
    held = DeliveryClaim(
        delivery_id="delivery-1",
        transaction_uid="2.25.901",
        result_set_id="2.25.12",
        job_id="job-1",
        profile="generic",
        study_instance_uid=STUDY,
        destination="pacs",
        attempt=1,
        lost_leases=0,
        report=report,
        instances=tuple((one, InstanceState.OWED) for one in objects),
    )
    return replace(held, **changes)
