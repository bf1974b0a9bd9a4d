"""Rules for a segmentation: it lies on its source's grid, and a viewer finds every frame."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference.geometry import DIRECTION_TOLERANCE, POSITION_TOLERANCE_MM, dot
from inference.results.examined import Source
from inference.results.pixel_rules import BACKGROUND, is_label_map, pixel_faults

SPACING_TOLERANCE_MM = 1e-4


def grid_faults(dataset: Dataset, source: Source) -> Iterator[str]:
    """Say where a Segmentation is not on the grid of its source, or not complete."""
    yield from place_faults(dataset, source)
    yield from _segment_faults(dataset)
    yield from pixel_faults(dataset, source)


def place_faults(dataset: Dataset, source: Source) -> Iterator[str]:
    """Say where the frames of a Segmentation or Parametric Map do not lie on planes of its source."""
    if dataset.get("FrameOfReferenceUID") != source.header.FrameOfReferenceUID:
        yield "the Frame of Reference is not the source's"
    listed = [str(item.SeriesInstanceUID) for item in dataset.get("ReferencedSeriesSequence") or []]
    if listed != [str(source.header.SeriesInstanceUID)]:
        yield "Referenced Series Sequence does not name the source series alone"
    yield from _plane_faults(dataset, source)
    yield from _frame_faults(dataset, source)


def _plane_faults(dataset: Dataset, source: Source) -> Iterator[str]:
    plane = source.series.planes[0]
    if (dataset.Rows, dataset.Columns) != (plane.rows, plane.columns):
        yield "Rows and Columns are not the source's"
    shared = dataset.SharedFunctionalGroupsSequence[0]
    cosines = _numbers(shared.PlaneOrientationSequence[0].ImageOrientationPatient)
    expected = (*plane.row_direction, *plane.column_direction)
    if not np.allclose(cosines, expected, rtol=0, atol=DIRECTION_TOLERANCE):
        yield "the orientation is not the source's"
    measures = shared.PixelMeasuresSequence[0]
    steps = [measures.get("SpacingBetweenSlices"), measures.get("SliceThickness")]
    through = source.series.stack.slice_spacing_mm
    if not np.allclose(_numbers(steps), through, rtol=0, atol=SPACING_TOLERANCE_MM):
        yield "the distance of the slices is not the source's"
    spacing = _numbers(measures.PixelSpacing)
    distances = (plane.row_spacing_mm, plane.column_spacing_mm)
    if not np.allclose(spacing, distances, rtol=0, atol=SPACING_TOLERANCE_MM):
        yield "the pixel spacing is not the source's"


def _segment_faults(dataset: Dataset) -> Iterator[str]:
    items = list(dataset.SegmentSequence)
    if is_label_map(dataset):
        yield from _background_faults(dataset)
        items = [item for item in items if item.SegmentNumber != BACKGROUND]
    numbers = [item.SegmentNumber for item in items]
    if numbers != list(range(1, len(numbers) + 1)):
        yield "segments are not numbered from 1 by 1"
    for keyword, reason in (
        ("SegmentationAlgorithmIdentificationSequence", "say which algorithm made them"),
        ("RecommendedDisplayCIELabValue", "have a colour: every viewer picks its own"),
        ("TrackingUID", "have a Tracking UID"),
    ):
        if not all(item.get(keyword) for item in items):
            yield f"not all segments {reason}"
    of_frames = {None} if is_label_map(dataset) else set(numbers)
    if not {_segment_number(item) for item in _frames(dataset)} <= of_frames:
        yield "a frame belongs to a segment that is not described"


def _background_faults(dataset: Dataset) -> Iterator[str]:
    """PS3.3 C.8.20.2: readers tell background from segments by the padding value and its item."""
    if dataset.get("PixelPaddingValue") != BACKGROUND:
        yield f"Pixel Padding Value is not {BACKGROUND}, the background"
    first = dataset.SegmentSequence[0]
    if first.SegmentNumber != BACKGROUND or "TrackingUID" in first:
        yield "the first item of the Segment Sequence is not the background"


def _frame_faults(dataset: Dataset, source: Source) -> Iterator[str]:
    frames = _frames(dataset)
    displaced = sum(not _on_its_plane(item, source) for item in frames)
    if displaced:
        yield f"{displaced} frames do not lie on the plane of the source frame that they name"
    normal = source.series.stack.normal
    heights: dict[int | None, list[float]] = {}
    for item in frames:
        x, y, z = _numbers(item.PlanePositionSequence[0].ImagePositionPatient)
        heights.setdefault(_segment_number(item), []).append(dot((x, y, z), normal))
    if any(low >= high for own in heights.values() for low, high in pairwise(own)):
        yield "frames do not ascend along the normal: some viewers show them upside down"


def _on_its_plane(item: Dataset, source: Source) -> bool:
    named = item.DerivationImageSequence[0].SourceImageSequence[0]
    number = int(named.get("ReferencedFrameNumber", 1))
    plane = source.planes.get((str(named.ReferencedSOPInstanceUID), number))
    position = _numbers(item.PlanePositionSequence[0].ImagePositionPatient)
    return plane is not None and bool(
        np.allclose(position, plane.position_mm, rtol=0, atol=POSITION_TOLERANCE_MM)
    )


def _frames(dataset: Dataset) -> list[Dataset]:
    return list(dataset.PerFrameFunctionalGroupsSequence)


def _segment_number(item: Dataset) -> int | None:
    """Return the segment of a frame; None of a frame that shows no single one."""
    identification = item.get("SegmentIdentificationSequence")
    return int(identification[0].ReferencedSegmentNumber) if identification else None


def _numbers(values: object) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)
