"""Three planes of the patient through what was found, at one scale."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from inference.codes import VOLUME
from inference.findings import Finding, Result
from inference.preprocess import Grid, covering
from inference.rendering.encoding import png
from inference.rendering.marks import (
    FAINT,
    GROUND,
    INK,
    WARNING,
    Box,
    caveats,
    font,
    plain,
    put_scale,
    put_sides,
)
from inference.rendering.paint import heat, in_grey, outline, resized
from inference.rendering.window import Window, window_for
from inference.resampling import sample
from inference.volume import Volume

WIDTH = 1200
"""Of the picture, in pixels."""

_EDGE, _GAP, _TOP, _BOTTOM = 28, 14, 84, 56
_SHOWN = 0.12
"""Brightness from which on something is more than air."""
_ROOM_MM = 12.0
"""Space round the head that is kept."""
_FINE_MM = 0.5
"""Distance of the points that a plane is cut with, before it is drawn at its size."""

_Block = tuple[slice, slice, slice]
"""Part of a volume's indices."""


@dataclass(frozen=True, slots=True)
class _Plane:
    """A cut as a radiologist hangs it: head or face up, the patient's right on the left.

    Parameters
    ----------
    title
        Its name.
    axis
        Of the grid (up, back, left) that it is cut across.
    letters
        Of the patient's directions at the left, right, upper and lower edge.
    """

    title: str
    axis: int
    letters: tuple[str, str, str, str]

    def hung(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows and columns of the picture from the plane's values."""
        flat = values.squeeze(self.axis)
        return flat if self.axis == 0 else flat[::-1]


_PLANES = (
    _Plane("AXIAL", 0, ("R", "L", "A", "P")),
    _Plane("CORONAL", 1, ("R", "L", "H", "F")),
    _Plane("SAGITTAL", 2, ("A", "P", "H", "F")),
)


def overlay(volume: Volume, result: Result) -> bytes:
    """Draw axial, coronal and sagittal planes through the middle of what was found.

    The picture names no patient.

    Parameters
    ----------
    volume
        What the result was read from; its mask lies on this grid.
    result
        What was found.

    Returns
    -------
    bytes
        A PNG of `WIDTH` pixels' width.
    """
    window = window_for(result.series, volume, _slice_in_the_middle(result))
    head = _cropped(covering(volume, "SPL", (_FINE_MM,) * 3), volume, window)
    middle = _middle(head, volume, result.mask)
    sizes = [_size_mm(head, plane) for plane in _PLANES]
    scale = (WIDTH - 2 * _EDGE - 2 * _GAP) / sum(width for width, _ in sizes)
    height = round(max(height for _, height in sizes) * scale)
    picture = Image.new("RGB", (WIDTH, _TOP + height + _BOTTOM), GROUND)
    left, found = _EDGE, _found(result)
    for plane, (width_mm, height_mm) in zip(_PLANES, sizes, strict=True):
        size = (round(width_mm * scale), round(height_mm * scale))
        ImageDraw.Draw(picture).rectangle(
            (left, _TOP, left + size[0] - 1, _TOP + height - 1), fill="black"
        )
        cut = _Cut(grid=_through(head, plane, middle), volume=volume, window=window)
        top = _TOP + (height - size[1]) // 2
        picture.paste(_panel(plane, cut, size, result, found), (left, top))
        _label(picture, plane, (left, _TOP, left + size[0], _TOP + height))
        left += size[0] + _GAP
    last = left - _GAP
    put_scale(picture, scale, (last - round(sizes[-1][0] * scale), _TOP, last, _TOP + height))
    _caption(picture, result)
    return png(np.asarray(picture))


def _slice_in_the_middle(result: Result) -> int:
    found = np.flatnonzero(result.mask.any(axis=(1, 2)))
    return int(found[len(found) // 2]) if found.size else len(result.mask) // 2


def _cropped(grid: Grid, volume: Volume, window: Window) -> Grid:
    """Cut a grid down to where the volume shows something."""
    coarse = volume.voxels[::2, ::2, ::2]
    shown = ndimage.binary_opening(window.grey(coarse) > _SHOWN)
    indices = 2 * np.argwhere(shown)
    if len(indices) == 0:
        return grid
    low, high = indices.min(axis=0), indices.max(axis=0)
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1)
    into = np.linalg.inv(grid.affine) @ volume.affine
    placed = (into @ np.vstack([corners, np.ones(8)]))[:3]
    room = _ROOM_MM / _FINE_MM
    first = np.maximum(0, np.floor(placed.min(axis=1) - room)).astype(int)
    last = np.minimum(np.array(grid.shape) - 1, np.ceil(placed.max(axis=1) + room)).astype(int)
    affine = grid.affine.copy()
    affine[:3, 3] = (grid.affine @ [*first, 1])[:3]
    counts = last - first + 1
    return Grid(affine=affine, shape=(int(counts[0]), int(counts[1]), int(counts[2])))


def _middle(grid: Grid, volume: Volume, mask: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Index in the grid of the middle of the mask, or of the grid when nothing was found."""
    if not mask.any():
        return np.array(grid.shape) // 2
    centre = volume.affine @ [*ndimage.center_of_mass(mask > 0), 1]
    nearest = np.rint(np.linalg.inv(grid.affine) @ centre)[:3].astype(np.int64)
    middle: NDArray[np.int64] = np.clip(nearest, 0, np.array(grid.shape) - 1)
    return middle


def _through(grid: Grid, plane: _Plane, middle: NDArray[np.int64]) -> Grid:
    start = [0, 0, 0, 1]
    start[plane.axis] = int(middle[plane.axis])
    affine = grid.affine.copy()
    affine[:3, 3] = (grid.affine @ start)[:3]
    slices, rows, columns = (1 if axis == plane.axis else n for axis, n in enumerate(grid.shape))
    return replace(grid, affine=affine, shape=(slices, rows, columns))


def _size_mm(grid: Grid, plane: _Plane) -> tuple[float, float]:
    height, width = (n * _FINE_MM for axis, n in enumerate(grid.shape) if axis != plane.axis)
    return width, height


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """One plane through a volume, and how it is shown."""

    grid: Grid
    volume: Volume
    window: Window

    def grey(self) -> NDArray[np.float32]:
        outside = self.window.black(self.volume.voxels)
        return self.window.grey(self._sampled(self.volume.voxels, outside))

    def through(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values on the volume's grid where the plane runs, 0 elsewhere."""
        return self._sampled(values, 0.0)

    def share(self, mask: NDArray[np.uint8], number: int, box: _Block) -> NDArray[np.float32]:
        """How much of each point of the plane is of one segment, which lies within `box`."""
        region = np.pad(mask[box] == number, 1).astype(np.float32)
        first = [along.start - 1 for along in box]
        return self._sampled(region, 0.0, first=(first[0], first[1], first[2]))

    def _sampled(
        self,
        values: NDArray[np.float32],
        outside: float,
        first: tuple[int, int, int] = (0, 0, 0),
    ) -> NDArray[np.float32]:
        affine = self.volume.affine.copy()
        affine[:3, 3] = (affine @ [*first, 1])[:3]
        into = self.grid.indices_in(affine)
        sampled: NDArray[np.float32] = sample(values, into, self.grid.shape, outside=outside)
        return sampled


def _found(result: Result) -> list[tuple[Finding, _Block]]:
    """Every finding that is present, with the block of the mask in which it lies."""
    blocks = ndimage.find_objects(result.mask)
    numbers = [(finding, finding.segment.number) for finding in result.findings]
    return [
        (finding, blocks[number - 1])
        for finding, number in numbers
        if number <= len(blocks) and blocks[number - 1] is not None
    ]


def _panel(
    plane: _Plane,
    cut: _Cut,
    size: tuple[int, int],
    result: Result,
    found: Sequence[tuple[Finding, _Block]],
) -> Image.Image:
    colours = in_grey(resized(plane.hung(cut.grey()), size))
    if result.saliency is not None:
        heat(colours, resized(plane.hung(cut.through(result.saliency.values)), size))
    for finding, box in found:
        share = plane.hung(cut.share(result.mask, finding.segment.number, box))
        if share.any():
            smooth = ndimage.gaussian_filter(share, 1.5)
            outline(colours, resized(smooth, size) >= 0.5, finding.segment.colour_rgb)
    return Image.fromarray(np.rint(colours).astype(np.uint8))


def _label(picture: Image.Image, plane: _Plane, box: Box) -> None:
    put_sides(picture, plane.letters, box)
    where = (box[0] + 8, box[1] + 6)
    ImageDraw.Draw(picture).text(where, plane.title, FAINT, font(12), "la")


def _caption(picture: Image.Image, result: Result) -> None:
    draw = ImageDraw.Draw(picture)
    x, warned = float(_EDGE), caveats(result)
    room = WIDTH - _EDGE - draw.textlength(warned, font(20))
    for finding in result.findings:
        texts = (plain(finding.segment.label), _said(finding))
        if x + 44 + sum(draw.textlength(text, font(28)) + 12 for text in texts) > room:
            draw.text((x, 43), "...", FAINT, font(28), "lm")
            break
        draw.rounded_rectangle((x, 33, x + 20, 53), 5, fill=finding.segment.colour_rgb)
        for text, ink in zip(texts, (FAINT, INK), strict=True):
            draw.text((x + 32, 43), text, ink, font(28), "lm")
            x += draw.textlength(text, font(28)) + 12
        x += 52
    draw.text((WIDTH - _EDGE, 43), warned, WARNING, font(20), "rm")
    base = picture.height - _BOTTOM / 2
    draw.text(
        (_EDGE, base),
        plain(f"{result.card.name} {result.card.version} · {result.server}"),
        FAINT,
        font(14),
        "lm",
    )
    draw.text((WIDTH - _EDGE, base), "Overread", FAINT, font(14), "rm")


def _said(finding: Finding) -> str:
    volumes = [m.value for m in finding.measurements if m.concept == VOLUME]
    return f"{volumes[0]:.10g} mL" if volumes else "not found"
