"""What is laid over grey: outlines in the segments' colours, and heat."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

Colour = tuple[int, int, int]

TINT = 0.14
"""How much of a segment's colour lies over its inside."""
HEAT = 0.65
"""How much of the heat's colour lies where the saliency is 1; in proportion where it is less."""
HOT: NDArray[np.float32] = np.array(
    [(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float32
)
"""Colours of saliency from 0 to 1, equal steps apart; brightness rises with it, for every eye."""

_HALF_LINE = 1.1
"""Half the width of an outline, in pixels."""
_MARGIN = 4
"""Pixels round a region in which its outline lies."""


def in_grey(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return brightness from 0 to 1 as colours from 0 to 255, shape ``(rows, columns, 3)``."""
    return np.repeat(np.clip(grey, 0, 1)[..., None] * np.float32(255), 3, axis=2)


def heat(colours: NDArray[np.float32], saliency: NDArray[np.float32]) -> None:
    """Lay saliency over `colours`, which change.

    Parameters
    ----------
    saliency
        From 0 to 1, shape ``(rows, columns)``.
    """
    value = np.clip(saliency, 0, 1)
    steps = np.arange(len(HOT)) / (len(HOT) - 1)
    share = (HEAT * value)[..., None]
    colour = np.stack([np.interp(value, steps, channel) for channel in HOT.T], axis=-1)
    colours *= 1 - share
    colours += (share * colour).astype(np.float32)


def outline(colours: NDArray[np.float32], inside: NDArray[np.bool_], colour: Colour) -> None:
    """Tint a region of `colours`, which change, and draw its outline.

    The outline is smooth because it fades with the distance from the border.
    """
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    if rows.size == 0:
        return
    box = tuple(
        slice(max(0, int(found[0]) - _MARGIN), int(found[-1]) + _MARGIN + 1)
        for found in (rows, columns)
    )
    region = inside[box]
    # the border of the picture is none of the region
    padded = np.pad(region, 1, mode="edge")
    from_border = (
        ndimage.distance_transform_edt(padded) + ndimage.distance_transform_edt(~padded)
    )[1:-1, 1:-1]
    if region.all():
        from_border = np.full(region.shape, np.inf)
    line = np.clip(_HALF_LINE + 1.0 - from_border, 0, 1)
    share = np.maximum(line, TINT * region)[..., None].astype(np.float32)
    colours[box] *= 1 - share
    colours[box] += share * np.array(colour, np.float32)


def draw_line(image: Image.Image, points: NDArray[np.float64], colour: Colour) -> None:
    """Draw a line through points of an image, (x, y) in its pixels; a cross where there is but one."""
    draw = ImageDraw.Draw(image)
    if len(points) == 1:
        (x, y), arm = points[0], 6
        draw.line((x - arm, y, x + arm, y), fill=colour, width=2)
        draw.line((x, y - arm, x, y + arm), fill=colour, width=2)
    else:
        draw.line([(float(x), float(y)) for x, y in points], fill=colour, width=2)


def resized(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return values at another size, ``(columns, rows)``; edges stay where they are.

    Linear in between: a sharper filter puts rings round every edge, and a ring looks like a finding.
    """
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float32)
