"""Objects as files (PS3.10), with UIDs that follow from what the objects say."""

import io
from hashlib import sha256

from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from inference.results.objects import Kind, ResultObject
from inference.uids import derived_uid

UNNAMED = "2.25.0"
"""SOP Instance UID of an object that is not named yet."""


def name(dataset: Dataset, *further: bytes, uid_root: str) -> None:
    """Give an object the SOP Instance UID that follows from its series and its content.

    An archive that holds one UID with two contents is broken, so the UID changes with every byte.

    Parameters
    ----------
    dataset
        The object, named `UNNAMED`.
    further
        Content that is not in `dataset` yet.
    """
    content = sha256(encode(dataset))
    for part in further:
        content.update(sha256(part).digest())
    dataset.SOPInstanceUID = derived_uid(
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, content.hexdigest(), root=uid_root
    )
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


def encode(dataset: Dataset) -> bytes:
    """Return `dataset` as the bytes of a file, Explicit VR Little Endian."""
    meta = dataset.file_meta
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(derived_uid("Overread", "implementation class"))
    meta.ImplementationVersionName = "OVERREAD"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def as_object(kind: Kind, dataset: Dataset) -> ResultObject:
    """Encode a finished dataset, once and for all."""
    return ResultObject(
        kind=kind,
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        dataset=dataset,
        encoded=encode(dataset),
    )
