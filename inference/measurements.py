"""Numbers and outlines of a mask, on the grid of the source."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from inference.codes import (
    AREA,
    LONG_AXIS,
    MAXIMUM,
    MILLILITRE,
    MILLIMETRE,
    SQUARE_MILLIMETRE,
    VOLUME,
    VOXEL_SUM,
)
from inference.findings import KeySlice, Measurement

CONTOUR_TOLERANCE_PIXELS = 0.25
"""How far a simplified outline may stray from the full one."""

_RIGHT_OF = {(1, 0): (0, 1), (0, 1): (-1, 0), (-1, 0): (0, -1), (0, -1): (1, 0)}
"""The direction (column, row) after a turn to the right, rows growing downwards."""
_LEFT_OF = {right: direction for direction, right in _RIGHT_OF.items()}


def stated(value: float) -> float:
    """Round a measured value to the digits that every object and resource tells: 0.1, below ten 0.001.

    Rounded once, here, so that SEG, SR, EHR and page never differ in the last digit.
    """
    return round(value, 1 if abs(value) >= 10 else 3)


def volume(region: NDArray[np.bool_], affine: NDArray[np.float64]) -> Measurement:
    """Volume of a region: its number of voxels times the volume of one.

    Parameters
    ----------
    region
        Shape ``(slices, rows, columns)``.
    affine
        4 × 4 matrix from (slice, row, column) indices to millimetres.
    """
    voxel_mm3 = abs(float(np.linalg.det(affine[:3, :3])))
    millilitres = np.count_nonzero(region) * voxel_mm3 / 1000
    return Measurement(concept=VOLUME, value=stated(millilitres), unit=MILLILITRE, method=VOXEL_SUM)


def key_slice(region: NDArray[np.bool_], affine: NDArray[np.float64]) -> KeySlice:
    """Outline a region where it is largest.

    The slice is the one with most of the region; outlined, and measured as area, is the largest
    connected part of the region on that slice.

    Parameters
    ----------
    region
        Shape ``(slices, rows, columns)``, not empty.
    affine
        4 × 4 matrix from (slice, row, column) indices to millimetres.
    """
    index = int(np.count_nonzero(region, axis=(1, 2)).argmax())
    part = _largest_part(region[index])
    pixel_mm2 = float(np.linalg.norm(np.cross(affine[:3, 1], affine[:3, 2])))
    area = Measurement(
        concept=AREA, value=stated(np.count_nonzero(part) * pixel_mm2), unit=SQUARE_MILLIMETRE
    )
    contour = outline(part)
    pixel_mm = (float(np.linalg.norm(affine[:3, 2])), float(np.linalg.norm(affine[:3, 1])))
    return KeySlice(
        index=index, contour=contour, measurements=(area, longest_axis(contour, pixel_mm))
    )


def longest_axis(points: NDArray[np.float64], pixel_mm: tuple[float, float]) -> Measurement:
    """Return the largest distance between two points.

    Parameters
    ----------
    points
        Shape ``(points, 2)``, (column, row) in pixels.
    pixel_mm
        Distance between neighbouring columns, and between neighbouring rows.
    """
    places = points * pixel_mm
    # The ends lie on the hull, which has few points; of a line or a point there is no hull.
    hull = places[_hull(places)] if np.linalg.matrix_rank(places - places[0]) == 2 else places
    between = hull[:, None] - hull[None]
    length = float(np.sqrt((between**2).sum(axis=2)).max())
    return Measurement(concept=LONG_AXIS, value=stated(length), unit=MILLIMETRE, derivation=MAXIMUM)


def outline(part: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Outer border of a region of one piece, through the middles between its pixels and their neighbours.

    Parameters
    ----------
    part
        Shape ``(rows, columns)``; pixels connected by their sides.

    Returns
    -------
    ndarray
        Closed polygon, shape ``(points, 2)``, (column, row) with (0.5, 0.5) at the centre of the first
        pixel (PS3.3 C.18.6.1.2), first point repeated at the end, clockwise as seen on the screen.
    """
    corners = _border(np.pad(part, 1))
    middles = (corners[:-1] + corners[1:]) / 2 - 1
    half = len(middles) // 2
    # A closed line has no ends to simplify between: cut it in two at opposite points.
    first = _simplified(middles[: half + 1])
    second = _simplified(np.vstack([middles[half:], middles[:1]]))
    return np.vstack([first, second[1:]])


def _hull(places: NDArray[np.float64]) -> NDArray[np.int64]:
    vertices: NDArray[np.int64] = ConvexHull(places).vertices
    return vertices


def _largest_part(plane: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, _ = ndimage.label(plane)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    part: NDArray[np.bool_] = labels == sizes.argmax()
    return part


def _border(part: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Corners (column, row) along the outer border, the region on the right hand, first one repeated."""
    row, column = (int(v) for v in np.argwhere(part)[0])
    start, ahead = (column, row), (1, 0)
    corner, direction = start, ahead
    corners = [corner]
    while len(corners) == 1 or (corner, direction) != (start, ahead):
        corner = (corner[0] + direction[0], corner[1] + direction[1])
        corners.append(corner)
        right, left = _RIGHT_OF[direction], _LEFT_OF[direction]
        if not part[_pixel(corner, direction, right)]:
            direction = right
        elif part[_pixel(corner, direction, left)]:
            direction = left
    return np.array(corners, np.float64)


def _pixel(
    corner: tuple[int, int], direction: tuple[int, int], side: tuple[int, int]
) -> tuple[int, int]:
    """Index (row, column) of the pixel ahead of a corner, on one side of the way."""
    column = corner[0] + min(0, direction[0] + side[0])
    row = corner[1] + min(0, direction[1] + side[1])
    return row, column


def _simplified(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fewest points of an open line by Ramer, Douglas and Peucker."""
    keep = np.zeros(len(line), bool)
    keep[[0, -1]] = True
    pending = [(0, len(line) - 1)]
    while pending:
        first, last = pending.pop()
        if last - first < 2:
            continue
        chord = line[last] - line[first]
        offsets = line[first + 1 : last] - line[first]
        length = float(np.hypot(*chord))
        across = np.abs(chord[0] * offsets[:, 1] - chord[1] * offsets[:, 0])
        distances = across / length if length else np.hypot(*offsets.T)
        farthest = int(distances.argmax())
        if distances[farthest] > CONTOUR_TOLERANCE_PIXELS:
            middle = first + 1 + farthest
            keep[middle] = True
            pending += [(first, middle), (middle, last)]
    kept: NDArray[np.float64] = line[keep]
    return kept
