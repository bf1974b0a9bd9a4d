"""What is drawn on which slice, of segments and of detections alike."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.findings import Form, Result
from inference.results.content import Reference
from inference.volume import Series

CLOSED = frozenset({Form.CONTOUR, Form.BOX})
"""Forms whose last point is their first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A line or a point on one slice.

    Parameters
    ----------
    label
        What it marks, for people.
    tracking_uid
        Which finding it belongs to.
    colour_rgb
        Its display colour.
    index
        Index into the slices of the volume.
    form
        What `points` are.
    points
        Shape ``(points, 2)``, (column, row) in pixels (PS3.3 C.18.6.1.2).
    """

    label: str
    tracking_uid: str
    colour_rgb: tuple[int, int, int]
    index: int
    form: Form
    points: NDArray[np.float64]


def marks(result: Result) -> tuple[Mark, ...]:
    """Return the outline of every segment that is present, and what every detection draws."""
    outlines = (
        Mark(
            label=finding.segment.label,
            tracking_uid=finding.tracking_uid,
            colour_rgb=finding.segment.colour_rgb,
            index=finding.key_slice.index,
            form=Form.CONTOUR,
            points=finding.key_slice.contour,
        )
        for finding in result.findings
        if finding.key_slice is not None
    )
    places = (
        Mark(
            label=detection.target.label,
            tracking_uid=detection.tracking_uid,
            colour_rgb=detection.target.colour_rgb,
            index=detection.index,
            form=detection.form,
            points=detection.points,
        )
        for detection in result.detections
    )
    return (*outlines, *places)


def key_slices(result: Result) -> list[int]:
    """Return the indices of the slices that bear a mark, ascending."""
    return sorted({mark.index for mark in marks(result)})


def frame(series: Series, index: int) -> Reference:
    """Return the reference to one slice's image."""
    where, frame_number = series.frames[index]
    header = series.headers[where]
    return Reference(
        sop_class_uid=str(header.SOPClassUID),
        sop_instance_uid=str(header.SOPInstanceUID),
        frame_number=frame_number if "NumberOfFrames" in header else None,
    )


def in_patient(series: Series, index: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place points of a slice in the patient.

    Returns
    -------
    ndarray
        Shape ``(points, 3)``, LPS millimetres.
    """
    plane = series.planes[index]
    # Pixel coordinates are 0.5 at the centre of the first pixel, whose place the plane's position is.
    columns, rows = (points - 0.5).T
    across = np.outer(columns * plane.column_spacing_mm, plane.row_direction)
    down = np.outer(rows * plane.row_spacing_mm, plane.column_direction)
    placed: NDArray[np.float64] = np.add(plane.position_mm, across + down)
    return placed
