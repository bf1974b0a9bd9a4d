"""Rules for what is drawn: it lies on a slice of the source, and what is a region is closed."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference.geometry import dot
from inference.results.examined import Source
from inference.results.tree import children, graphics

ON_PLANE_MM = 0.01
"""How far a point may stray from its slice: its numbers are single precision."""
ON_EDGE_PIXELS = 1e-3


def region_faults(group: Dataset, source: Source) -> Iterator[str]:
    """Say what is wrong with what a group draws."""
    for item in graphics(group):
        yield from _frame_faults(item, source)
        points = _points(item)
        if item.ValueType == "SCOORD3D":
            if item.get("ReferencedFrameOfReferenceUID") != source.header.FrameOfReferenceUID:
                yield "a contour is of another Frame of Reference"
            pixels = _on_its_slice(points, source)
            if pixels is None:
                yield "a contour lies on no slice of its source"
                continue
            points = pixels
        yield from outline_faults(points, source)
        if len(points) > 2 and np.any(points[0] != points[-1]):  # two points are a diameter
            yield "a contour is not closed"


def outline_faults(points: NDArray[np.float64], source: Source) -> Iterator[str]:
    """Say when points, (column, row) in pixels, leave the image."""
    plane = source.series.planes[0]
    edge = np.array([plane.columns, plane.rows]) + ON_EDGE_PIXELS
    if np.any(points < -ON_EDGE_PIXELS) or np.any(points > edge):
        yield "a contour leaves its image"


def frame_is_known(reference: Dataset, source: Source) -> bool:
    """Whether every frame that a reference names is one of the source's."""
    numbers = reference.get("ReferencedFrameNumber", 1)
    listed = [numbers] if isinstance(numbers, int) else list(numbers)
    uid = str(reference.get("ReferencedSOPInstanceUID"))
    return all((uid, int(number)) in source.planes for number in listed)


def _frame_faults(item: Dataset, source: Source) -> Iterator[str]:
    if item.ValueType != "SCOORD":
        return
    named = [one for child in children(item) for one in child.get("ReferencedSOPSequence") or []]
    if len(named) != 1 or not frame_is_known(named[0], source):
        yield "a contour does not name one frame of the source"


def _points(item: Dataset) -> NDArray[np.float64]:
    size = 3 if item.ValueType == "SCOORD3D" else 2
    return np.array([float(value) for value in item.GraphicData]).reshape(-1, size)


def _on_its_slice(points: NDArray[np.float64], source: Source) -> NDArray[np.float64] | None:
    """Return points in the patient as (column, row) of the slice that they all lie on, if there is one."""
    normal = np.array(source.series.stack.normal)
    heights = points @ normal
    for plane in source.series.planes:
        if np.all(np.abs(heights - dot(plane.position_mm, plane.normal)) <= ON_PLANE_MM):
            offsets = points - plane.position_mm
            columns = offsets @ np.array(plane.row_direction) / plane.column_spacing_mm
            rows = offsets @ np.array(plane.column_direction) / plane.row_spacing_mm
            placed: NDArray[np.float64] = np.column_stack([columns, rows]) + 0.5
            return placed
    return None
