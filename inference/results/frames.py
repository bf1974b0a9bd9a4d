"""Which frames a Segmentation has, and what it says of each (PS3.3 A.51.5, multi-frame functional groups)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference.codes import Code
from inference.results import explicit
from inference.results.concepts import SEGMENTATION, SOURCE_IMAGE
from inference.volume import Series

Extents = Mapping[int, tuple[int, int]]
"""For each value that a slice holds, its first row and the row behind its last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame of a Segmentation.

    Parameters
    ----------
    number
        The segment that it shows; None for a frame of a label map, which shows all.
    index
        Its slice.
    rows
        The first row that holds something, and the row behind the last: equal where the frame is empty.
    """

    number: int | None
    index: int
    rows: tuple[int, int]


def survey(mask: NDArray[np.unsignedinteger[Any]]) -> list[Extents]:
    """Find the values of each slice, and the rows in which they are: one pass over the mask."""
    return [_extents(plane) for plane in mask]


def by_segment(
    slices: Sequence[Extents], numbers: Sequence[int], *, every_frame: bool
) -> list[Frame]:
    """Return the frames of a BINARY Segmentation: segment after segment, each ascending along the normal."""
    nowhere = (0, 0)
    return [
        Frame(number=number, index=index, rows=extents.get(number, nowhere))
        for number in numbers
        for index, extents in enumerate(slices)
        if every_frame or number in extents
    ]


def by_slice(
    slices: Sequence[Extents], numbers: Collection[int], *, every_frame: bool
) -> list[Frame]:
    """Return the frames of a LABELMAP Segmentation, ascending along the normal."""
    frames = []
    for index, extents in enumerate(slices):
        held = [rows for number, rows in extents.items() if number in numbers]
        if held or every_frame:
            first = min((first for first, _ in held), default=0)
            behind = max((behind for _, behind in held), default=0)
            frames.append(Frame(number=None, index=index, rows=(first, behind)))
    return frames


def functional_groups(series: Series, frames: Sequence[Frame]) -> bytes:
    """Return the value of Per-frame Functional Groups Sequence (5200,9230), encoded.

    Frames of one slice share what is said of its place and its source, which is encoded once.
    """
    indices = sorted({frame.index for frame in frames})
    purpose = explicit.sequence("PurposeOfReferenceCodeSequence", _coded(SOURCE_IMAGE))
    derivation = explicit.sequence("DerivationCodeSequence", _coded(SEGMENTATION))
    places = {
        index: (rank, _derived(series, index, purpose, derivation), _placed(series, index))
        for rank, index in enumerate(indices, start=1)
    }
    return explicit.items_of(*(_item(frame, *places[frame.index]) for frame in frames))


def _extents(plane: NDArray[np.unsignedinteger[Any]]) -> Extents:
    columns, flat = plane.shape[1], plane.reshape(-1)
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    values = flat[starts]
    order = np.argsort(values, kind="stable")  # runs of one value together, in their order
    values = values[order]
    firsts = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    lasts = np.append(firsts[1:], values.size) - 1
    ends = np.append(starts[1:], flat.size)
    first_rows = starts[order[firsts]] // columns
    rows_behind = (ends[order[lasts]] - 1) // columns + 1
    return {
        value: (first, behind)
        for value, first, behind in zip(
            values[firsts].tolist(), first_rows.tolist(), rows_behind.tolist(), strict=True
        )
        if value
    }


def _item(frame: Frame, rank: int, derived: bytes, placed: bytes) -> bytes:
    if frame.number is None:
        content = explicit.integers("DimensionIndexValues", rank)
        return derived + explicit.sequence("FrameContentSequence", content) + placed
    content = explicit.integers("DimensionIndexValues", frame.number, rank)
    segment = explicit.integers("ReferencedSegmentNumber", frame.number)
    return (
        derived
        + explicit.sequence("FrameContentSequence", content)
        + placed
        + explicit.sequence("SegmentIdentificationSequence", segment)
    )


def _derived(series: Series, index: int, purpose: bytes, derivation: bytes) -> bytes:
    where, frame_number = series.frames[index]
    header = series.headers[where]
    source = reference(header)
    if "NumberOfFrames" in header:
        source += explicit.text("ReferencedFrameNumber", str(frame_number))
    source += explicit.text("SpatialLocationsPreserved", "YES") + purpose
    return explicit.sequence(
        "DerivationImageSequence", explicit.sequence("SourceImageSequence", source) + derivation
    )


def reference(header: Dataset) -> bytes:
    """Return the elements that reference an instance (PS3.3 Table 10-11)."""
    return explicit.text("ReferencedSOPClassUID", str(header.SOPClassUID)) + explicit.text(
        "ReferencedSOPInstanceUID", str(header.SOPInstanceUID)
    )


def _placed(series: Series, index: int) -> bytes:
    position = map(explicit.decimal, series.planes[index].position_mm)
    return explicit.sequence(
        "PlanePositionSequence", explicit.text("ImagePositionPatient", *position)
    )


def _coded(code: Code) -> bytes:
    return (
        explicit.text("CodeValue", code.value)
        + explicit.text("CodingSchemeDesignator", code.scheme)
        + explicit.text("CodeMeaning", code.meaning)
    )
