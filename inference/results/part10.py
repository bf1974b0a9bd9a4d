"""Objects as files (PS3.10), with UIDs that follow from what the objects say."""

import io
from collections.abc import Mapping
from hashlib import sha256
from typing import Protocol

from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian

from inference.results import explicit
from inference.results.objects import Kind, ResultObject
from inference.uids import derived_uid

UNNAMED = "2.25.0"
"""SOP Instance UID of an object that is not named yet."""

_BEHIND_NAME = 0x00080019
"""The first tag behind SOP Instance UID (0008,0018)."""

_NO_SEQUENCES: Mapping[str, bytes] = {}


class PixelData(Protocol):
    """Pixels that are written into a file and stand nowhere else."""

    def digest(self) -> bytes:
        """Return a digest of what they show: other pixels, other digest."""

    def write(self, buffer: io.BytesIO) -> None:
        """Append the element that holds them, the last one of its file."""


def unnamed(sop_class_uid: str) -> Dataset:
    """Return a data set of a class that has no name yet, and nothing else."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = UNNAMED
    return dataset


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
    _name(dataset, (encode(dataset), *further), uid_root)


def encode(dataset: Dataset) -> bytes:
    """Return `dataset` as the bytes of a file, Explicit VR Little Endian unless its pixels are compressed."""
    buffer = io.BytesIO()
    _described(dataset).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def finished(kind: Kind, dataset: Dataset, *, uid_root: str, tail: bytes = b"") -> ResultObject:
    """Give a complete object its name as `name` does, and encode it, but for that name only once.

    Parameters
    ----------
    tail
        Elements behind all of `dataset`'s that are encoded already (Explicit VR Little Endian, UTF-8).
    """
    behind = _behind_name(dataset) + tail
    _name(dataset, (_as_far_as_name(dataset) + behind,), uid_root)
    encoded = _as_far_as_name(dataset) + behind
    return _object(kind, dcmread(io.BytesIO(encoded)) if tail else dataset, encoded)


def finished_with_pixels(
    kind: Kind,
    dataset: Dataset,
    pixels: PixelData,
    *,
    uid_root: str,
    sequences: Mapping[str, bytes] = _NO_SEQUENCES,
) -> ResultObject:
    """Give a complete object its name, and encode it with its pixels, which are held once: in the file.

    Parameters
    ----------
    dataset
        Everything else, in the transfer syntax in which the pixels are written. It is given `sequences` too;
        pydicom parses them when somebody asks.
    sequences
        By keyword, the items of sequences that are encoded already, Explicit VR Little Endian.
    """
    behind = _behind_name(dataset, sequences)
    for keyword, items in sequences.items():
        tag = Tag(keyword)
        dataset[tag] = RawDataElement(tag, "SQ", len(items), items, 0, False, True)
    _name(dataset, (_as_far_as_name(dataset) + behind, pixels.digest()), uid_root)
    buffer = io.BytesIO()
    buffer.write(_as_far_as_name(dataset))
    buffer.write(behind)
    pixels.write(buffer)
    return _object(kind, dataset, buffer.getvalue())


def as_object(kind: Kind, dataset: Dataset) -> ResultObject:
    """Encode a finished dataset, once and for all."""
    return _object(kind, dataset, encode(dataset))


def _name(dataset: Dataset, contents: tuple[bytes, ...], uid_root: str) -> None:
    first, *further = contents
    content = sha256(first)
    for part in further:
        content.update(sha256(part).digest())
    dataset.SOPInstanceUID = derived_uid(
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, content.hexdigest(), root=uid_root
    )
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


def _as_far_as_name(dataset: Dataset) -> bytes:
    """Preamble, File Meta Information and the elements up to SOP Instance UID."""
    first = dataset[:_BEHIND_NAME]
    first.file_meta = dataset.file_meta
    return encode(first)


def _described(dataset: Dataset) -> Dataset:
    """Say in the File Meta Information how and by whom the file is written."""
    meta = dataset.file_meta
    if not UID(meta.get("TransferSyntaxUID", ExplicitVRLittleEndian)).is_compressed:
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(derived_uid("Overread", "implementation class"))
    meta.ImplementationVersionName = "OVERREAD"
    return dataset


def _behind_name(dataset: Dataset, sequences: Mapping[str, bytes] = _NO_SEQUENCES) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    # The character set is told before the name, and holds behind it as well.
    character_set = str(dataset.get("SpecificCharacterSet", ""))
    begin = _BEHIND_NAME
    for keyword in sorted(sequences, key=Tag):
        write_dataset(buffer, dataset[begin : Tag(keyword)], character_set)
        buffer.write(explicit.encoded_sequence(keyword, sequences[keyword]))
        begin = Tag(keyword) + 1
    write_dataset(buffer, dataset[begin:], character_set)
    return buffer.getvalue()


def _object(kind: Kind, dataset: Dataset, encoded: bytes) -> ResultObject:
    return ResultObject(
        kind=kind,
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
        dataset=dataset,
        encoded=encoded,
    )
