"""Whether what is drawn over an image is the mask, pixel for pixel of the page's canvas.

Sources are opened with a flat window, so that all of an image is nearly one grey: what covers it shows
whatever its colour is, black among them, and the grey below can be told from the mixture.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.volume import Series
from tests.conformance.viewer.page import Seen

GREYS = (112, 144)
"""Darkest and brightest grey of a source in the window of `tests.conformance.viewer.studies`."""

TOLERANCE = 8
"""Levels that a channel may differ from what was computed: the page rounds several times."""

OPACITY = 0.5
"""How OHIF fills a segment by default."""

MARGIN = 5
"""Pixels on both sides of a border that are not judged: the outline is drawn there, and both are smoothed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A canvas against one slice of the mask.

    Parameters
    ----------
    rgb
        Its pixels.
    segments
        Segment number that each pixel of the canvas should show, 0 for none; shape as the canvas.
    judged
        The pixels that can be told: inside the image, away from every border.
    covered
        The pixels that are no grey of the source.
    """

    rgb: NDArray[np.uint8]
    segments: NDArray[np.uint8]
    judged: NDArray[np.bool_]
    covered: NDArray[np.bool_]

    @property
    def wrong(self) -> int:
        """How many of the judged pixels are covered and should not be, or the reverse."""
        return int(np.sum(((self.segments > 0) != self.covered) & self.judged))

    @property
    def right(self) -> dict[int, int]:
        """How many judged pixels show each segment that is there."""
        return {
            int(number): int(np.sum(self.judged & self.covered & (self.segments == number)))
            for number in np.unique(self.segments)
            if number
        }

    def drawn_in(self, number: int, colour: tuple[int, int, int]) -> bool:
        """Whether a segment is a grey of the source under a half transparent `colour`.

        What lies below a segment is computed from the mixture. Of the right colour that is a grey, the same in
        all three channels; of another one it is not.
        """
        pixels = self.rgb[self.judged & self.covered & (self.segments == number)]
        if not len(pixels):
            return False
        median = np.median(pixels.astype(np.float64), axis=0)
        below = (median - OPACITY * np.array(colour)) / (1 - OPACITY)
        darkest, brightest = GREYS
        return bool(
            np.ptp(below) <= 2 * TOLERANCE
            and below.min() >= darkest - 2 * TOLERANCE
            and below.max() <= brightest + 2 * TOLERANCE
        )


def corners(series: Series, index: int) -> list[list[float]]:
    """Places of three voxels of a slice, LPS mm: the first, the last of its row, the last of its column."""
    _, rows, columns = series.shape
    indices = [(index, 0, 0), (index, 0, columns - 1), (index, rows - 1, 0)]
    return [(series.affine @ [*voxel, 1])[:3].tolist() for voxel in indices]


def compare(seen: Seen, mask: NDArray[np.uint8]) -> Compared:
    """Hold a canvas, with the places of `corners` on it, against one slice of a mask."""
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
    darkest, brightest = GREYS
    pixels = seen.rgb.astype(int)
    covered = (
        (pixels.min(axis=2) < darkest - TOLERANCE)
        | (pixels.max(axis=2) > brightest + TOLERANCE)
        | (np.ptp(pixels, axis=2) > TOLERANCE)
    )
    return Compared(
        rgb=seen.rgb,
        segments=segments,
        judged=_away_from_borders(segments, inside),
        covered=covered,
    )


def _away_from_borders(segments: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    size = 2 * MARGIN + 1
    same = ndimage.maximum_filter(segments, size) == ndimage.minimum_filter(segments, size)
    far: NDArray[np.bool_] = same & ndimage.minimum_filter(inside, size)
    return far
