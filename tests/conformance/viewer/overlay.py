"""Whether what is drawn over an image is the mask, pixel for pixel of the page's canvas."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.findings import Result
from tests.conformance.viewer.page import Seen

COLOURED = 24
"""Least difference between the channels of a pixel that is no grey."""

MARGIN = 5
"""Pixels on both sides of a border that are not judged: the outline is drawn there, and both are smoothed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A canvas against one slice of the mask.

    Parameters
    ----------
    segments
        Segment number that each pixel of the canvas should show, 0 for none; shape as the canvas.
    judged
        The pixels that can be told: inside the image, away from every border.
    coloured
        The pixels that are no grey.
    """

    segments: NDArray[np.uint8]
    judged: NDArray[np.bool_]
    coloured: NDArray[np.bool_]

    @property
    def wrong(self) -> int:
        """How many of the judged pixels are coloured and should not be, or the reverse."""
        return int(np.sum(((self.segments > 0) != self.coloured) & self.judged))

    @property
    def right(self) -> dict[int, int]:
        """How many judged pixels show each segment that is there."""
        return {
            int(number): int(np.sum(self.judged & self.coloured & (self.segments == number)))
            for number in np.unique(self.segments)
            if number
        }


def corners(result: Result, index: int) -> list[list[float]]:
    """Places of three voxels of a slice, LPS mm: the first, the last of its row, the last of its column."""
    _, rows, columns = result.mask.shape
    indices = [(index, 0, 0), (index, 0, columns - 1), (index, rows - 1, 0)]
    return [(result.series.affine @ [*voxel, 1])[:3].tolist() for voxel in indices]


def compare(seen: Seen, result: Result, index: int) -> Compared:
    """Hold a canvas, with the places of `corners` on it, against a slice of the mask."""
    mask = result.mask[index]
    rows, columns = mask.shape
    first, across, down = seen.points
    to_canvas = np.column_stack([(down - first) / (rows - 1), (across - first) / (columns - 1)])
    height, width = seen.rgb.shape[:2]
    y, x = np.mgrid[0:height, 0:width] + 0.5
    places = np.linalg.solve(to_canvas, np.stack([x - first[0], y - first[1]]).reshape(2, -1))
    row, column = np.rint(places).astype(int).reshape(2, height, width)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    segments = np.zeros((height, width), np.uint8)
    segments[inside] = mask[row[inside], column[inside]]
    spread = seen.rgb.max(axis=2).astype(int) - seen.rgb.min(axis=2)
    return Compared(
        segments=segments,
        judged=_away_from_borders(segments, inside),
        coloured=spread >= COLOURED,
    )


def colour(seen: Seen, compared: Compared, number: int) -> NDArray[np.float64]:
    """Colour of a segment as it is drawn over black: its hue, scaled to a maximum of 1."""
    of_segment = compared.judged & compared.coloured & (compared.segments == number)
    pixels = seen.rgb[of_segment].astype(np.float64)
    dark = pixels[pixels.sum(axis=1) <= np.percentile(pixels.sum(axis=1), 50)]
    median = np.median(dark, axis=0)
    scaled: NDArray[np.float64] = median / median.max()
    return scaled


def _away_from_borders(
    segments: NDArray[np.uint8], inside: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    size = 2 * MARGIN + 1
    same = ndimage.maximum_filter(segments, size) == ndimage.minimum_filter(segments, size)
    far: NDArray[np.bool_] = same & ndimage.minimum_filter(inside, size)
    return far
