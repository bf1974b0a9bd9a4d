"""One file of a series: its header, parsed once, and the pixels that lie behind it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLSTransferSyntaxes

from inference.errors import SeriesUnusable


class Unusable(StrEnum):
    """Why files are no volume, beside the faults of geometry; the values are reason codes."""

    NO_INSTANCES = "NO-INSTANCES"
    UNREADABLE = "UNREADABLE"
    MIXED_SERIES = "MIXED-SERIES"
    NO_FRAME_OF_REFERENCE = "NO-FRAME-OF-REFERENCE"
    NO_PIXELS = "NO-PIXELS"
    NOT_ONE_SAMPLE = "NOT-ONE-SAMPLE"
    UNDECODABLE = "UNDECODABLE"


_IMAGE_PIXEL = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)
"""What stands before Pixel Data and a decoder asks for (PS3.3 C.7.6.3)."""

_SYNTAXES_BY_CHARLS = frozenset(JPEGLSTransferSyntaxes)
"""Syntaxes that pyjpegls decodes twice as fast as pydicom's first choice, GDCM."""


Headers = Sequence[Dataset]
"""Attributes of instances, without their pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One file whose header was read.

    Parameters
    ----------
    path
        The file.
    header
        Its data elements before the pixels.
    pixels_at
        Where in the file the elements of the pixels begin; at its end when there are none.
    """

    path: Path
    header: Dataset
    pixels_at: int


def read_instance(path: Path) -> Instance:
    """Read a file as far as its pixels.

    Raises
    ------
    SeriesUnusable
        It is no DICOM file, or not there; the job is parked with the reason code.
    """
    with _opened(path) as file:
        header = dcmread(file, stop_before_pixels=True)
        return Instance(path=path, header=header, pixels_at=file.tell())


def stored_values(instance: Instance) -> NDArray[Any]:
    """Decode the pixels of an instance; the header in front of them is not parsed again.

    Returns
    -------
    ndarray
        Stored values, shape ``(frames, rows, columns)``.

    Raises
    ------
    SeriesUnusable
        Pixels are absent, cannot be decoded, or are not of one sample each.
    """
    dataset = _with_pixels(instance)
    if "PixelData" not in dataset:
        raise SeriesUnusable(Unusable.NO_PIXELS, "an instance carries no Pixel Data")
    samples = dataset.get("SamplesPerPixel")
    if samples != 1:
        raise SeriesUnusable(Unusable.NOT_ONE_SAMPLE, f"{samples} samples per pixel instead of 1")
    syntax = instance.header.file_meta.TransferSyntaxUID
    plugin = "pyjpegls" if syntax in _SYNTAXES_BY_CHARLS else ""
    try:
        stored, _ = get_decoder(syntax).as_array(dataset, raw=True, decoding_plugin=plugin)
        return stored.reshape(frame_count(dataset), dataset.Rows, dataset.Columns)
    except (
        AttributeError,
        BytesLengthException,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise SeriesUnusable(
            Unusable.UNDECODABLE,
            f"pixels in {syntax.name} cannot be decoded: {type(error).__name__}",
        ) from error


def frame_count(header: Dataset) -> int:
    """Return Number of Frames (0028,0008), one where it is absent or empty."""
    return int(header.get("NumberOfFrames") or 1)


def _with_pixels(instance: Instance) -> Dataset:
    """Return the Image Pixel module alone, with the pixels."""
    with _opened(instance.path) as file:
        dataset = _behind_header(instance, file)
    for keyword in _IMAGE_PIXEL:
        if keyword in instance.header:
            # Not converted yet: a value that is nonsense is the decoder's to refuse.
            dataset[keyword] = instance.header.get_item(keyword)
    return dataset


def _behind_header(instance: Instance, file: BinaryIO) -> Dataset:
    if instance.header.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        return dcmread(file)  # a place in what was inflated is no place in the file
    file.seek(instance.pixels_at)
    implicit, little_endian = instance.header.original_encoding
    return read_dataset(file, bool(implicit), bool(little_endian))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except (InvalidDicomError, OSError, EOFError, ValueError) as error:
        raise SeriesUnusable(
            Unusable.UNREADABLE, f"a file of the series cannot be read: {type(error).__name__}"
        ) from error
