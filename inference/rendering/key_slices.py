"""The key slices of a result as people are shown them: on the source's own plane, everything drawn in.

A slice lies as it was scanned, so that whoever holds it against the source compares like with like; the
letters at its edges tell which side is which.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from inference.findings import KeyPicture, Result
from inference.geometry import Plane
from inference.rendering.drawn import Drawn, drawn
from inference.rendering.marks import (
    FAINT,
    GROUND,
    INK,
    WARNING,
    Box,
    caveats,
    font,
    opposite,
    plain,
    put_scale,
    put_sides,
    side,
)
from inference.rendering.paint import draw_line, heat, in_grey, outline, resized
from inference.rendering.window import window_for
from inference.volume import Volume

SIDE = 768
"""Longest side of the image in a picture, and the picture's width, in pixels."""

MOST_PICTURES = 12
"""Key slices that are drawn: those of the first findings."""

MOST_LINES = 5
"""Findings that one picture names; of more it tells how many."""

_EDGE, _LINE, _FOOT = 12, 24, 34


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where things are in each picture of a result; all have one size.

    Parameters
    ----------
    box
        Of the image: left, top, right and bottom edge.
    pixels_per_mm
        One scale along both axes, whatever the pixels of the source are.
    height
        Of the picture; its width is `SIDE`.
    """

    box: Box
    pixels_per_mm: float
    height: int

    @classmethod
    def of(cls, plane: Plane, lines: int) -> "Layout":
        """Lay out a plane under so many lines of text."""
        width_mm = plane.columns * plane.column_spacing_mm
        height_mm = plane.rows * plane.row_spacing_mm
        scale = SIDE / max(width_mm, height_mm)
        width, height = max(1, round(width_mm * scale)), max(1, round(height_mm * scale))
        left, top = (SIDE - width) // 2, 2 * _EDGE + _LINE * (lines + 1)
        return cls(
            box=(left, top, left + width, top + height),
            pixels_per_mm=scale,
            height=top + height + _FOOT,
        )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image."""
        left, top, right, bottom = self.box
        return right - left, bottom - top


def key_pictures(volume: Volume, result: Result) -> tuple[KeyPicture, ...]:
    """Draw the key slices of what was found, each once, ascending.

    Parameters
    ----------
    volume
        What the result was read from.
    result
        What was found.
    """
    shown = _by_slice(result)
    if not shown:
        return ()
    texts = {index: _lines(items) for index, items in shown.items()}
    layout = Layout.of(result.series.planes[0], max(map(len, texts.values())))
    return tuple(
        KeyPicture(
            index=index,
            pixels=_picture(volume, result, index, texts[index], layout),
            shows=tuple(item.tracking_uid for item in items),
            lines=(caveats(result), *texts[index]),
        )
        for index, items in sorted(shown.items())
    )


def _by_slice(result: Result) -> dict[int, list[Drawn]]:
    shown: dict[int, list[Drawn]] = {}
    for item in drawn(result):
        if item.index in shown or len(shown) < MOST_PICTURES:
            shown.setdefault(item.index, []).append(item)
    return shown


def _lines(items: Sequence[Drawn]) -> tuple[str, ...]:
    lines = [item.line for item in items]
    if len(lines) <= MOST_LINES:
        return tuple(lines)
    more = len(lines) - MOST_LINES + 1
    return (*lines[: MOST_LINES - 1], f"and {more} more on this slice")


def _picture(
    volume: Volume, result: Result, index: int, lines: Sequence[str], layout: Layout
) -> NDArray[np.uint8]:
    picture = Image.new("RGB", (SIDE, layout.height), GROUND)
    picture.paste(_image(volume, result, index, layout), layout.box[:2])
    plane = result.series.planes[index]
    right, down = side(plane.row_direction), side(plane.column_direction)
    put_sides(picture, (opposite(right), right, opposite(down), down), layout.box)
    put_scale(picture, layout.pixels_per_mm, layout.box)
    _caption(picture, result, index, lines)
    return np.asarray(picture)


def _image(volume: Volume, result: Result, index: int, layout: Layout) -> Image.Image:
    """Return grey, heat, outlines, in this order: an outline is never hidden."""
    window = window_for(result.series, volume, index)
    colours = in_grey(resized(window.grey(volume.voxels[index]), layout.size))
    if result.saliency is not None:
        heat(colours, resized(result.saliency.values[index], layout.size))
    without_mask = []
    for item in drawn(result):
        region = result.mask[index] == item.number
        if item.number is not None and region.any():
            inside = resized(region.astype(np.float32), layout.size) >= 0.5
            outline(colours, inside, item.colour)
        elif item.index == index:
            without_mask.append(item)
    image = Image.fromarray(np.rint(colours).astype(np.uint8))
    plane = result.series.planes[index]
    scale = np.array(layout.size) / (plane.columns, plane.rows)
    for item in without_mask:
        draw_line(image, item.points * scale, item.colour)
    return image


def _caption(picture: Image.Image, result: Result, index: int, lines: Sequence[str]) -> None:
    draw = ImageDraw.Draw(picture)
    draw.text((_EDGE, _EDGE + _LINE / 2), caveats(result), WARNING, font(20), "lm")
    colours = {item.line: item.colour for item in drawn(result)}
    for number, line in enumerate(lines, start=1):
        middle = _EDGE + _LINE * number + _LINE / 2
        if line in colours:
            swatch = (_EDGE, middle - 7, _EDGE + 14, middle + 7)
            draw.rounded_rectangle(swatch, 3, fill=colours[line])
        draw.text((_EDGE + 24, middle), line, INK, font(18), "lm")
    foot = picture.height - _FOOT / 2
    card, slices = result.card, len(result.series.planes)
    draw.text((_EDGE, foot), plain(f"{card.name} {card.version}"), FAINT, font(15), "lm")
    where = f"slice {index + 1} of {slices}"
    draw.text((SIDE - _EDGE, foot), where, FAINT, font(15), "rm")
