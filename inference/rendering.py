"""A picture of a result for people: three planes through what was found, outlined, at one scale."""

import io
import unicodedata
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from inference.codes import VOLUME
from inference.findings import Finding, Result
from inference.preprocess import Grid, covering, onto
from inference.resampling import sample
from inference.volume import Volume

WIDTH = 1200
"""Of the picture, in pixels."""

_EDGE, _GAP, _TOP, _BOTTOM = 28, 14, 84, 56
_GROUND, _INK, _FAINT, _WARNING = (13, 15, 19), (235, 238, 242), (126, 135, 147), (255, 193, 84)
_TINT = 0.14
"""How much of a segment's colour lies over its inside."""
_HALF_LINE = 1.1
"""Half the width of an outline, in pixels."""
_ROOM_MM = 12.0
"""Space round the head that is kept."""
_FINE_MM = 0.5
"""Distance of the points that a plane is cut with, before it is drawn at its size."""

_Box = tuple[int, int, int, int]


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
    head = _cropped(covering(volume, "SPL", (_FINE_MM,) * 3), volume)
    middle = _middle(head, volume, result.mask)
    sizes = [_size_mm(head, plane) for plane in _PLANES]
    scale = (WIDTH - 2 * _EDGE - 2 * _GAP) / sum(width for width, _ in sizes)
    height = round(max(height for _, height in sizes) * scale)
    picture = Image.new("RGB", (WIDTH, _TOP + height + _BOTTOM), _GROUND)
    bright = _brightest(volume)
    left = _EDGE
    for plane, (width_mm, height_mm) in zip(_PLANES, sizes, strict=True):
        size = (round(width_mm * scale), round(height_mm * scale))
        ImageDraw.Draw(picture).rectangle(
            (left, _TOP, left + size[0] - 1, _TOP + height - 1), fill="black"
        )
        panel = _panel(plane, _through(head, plane, middle), size, volume, result, bright)
        top = _TOP + (height - size[1]) // 2
        picture.paste(panel, (left, top))
        _letter(picture, plane, (left, _TOP, left + size[0], _TOP + height))
        left += size[0] + _GAP
    _caption(picture, result)
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def _cropped(grid: Grid, volume: Volume) -> Grid:
    """Cut a grid down to where the volume shows something."""
    coarse = volume.voxels[::2, ::2, ::2]
    shown = ndimage.binary_opening(coarse > 0.12 * _brightest(volume))
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


def _brightest(volume: Volume) -> float:
    return float(np.percentile(volume.voxels[::2, ::2, ::2], 99.7)) or 1.0


def _panel(
    plane: _Plane,
    cut: Grid,
    size: tuple[int, int],
    volume: Volume,
    result: Result,
    bright: float,
) -> Image.Image:
    grey = _drawn(plane.hung(onto(cut, volume)), size) / bright
    colours = (np.repeat(np.clip(grey, 0, 1)[..., None], 3, axis=2) * 255).astype(np.float32)
    for finding in result.findings:
        region = (result.mask == finding.segment.number).astype(np.float32)
        share = sample(region, cut.indices_in(volume.affine), cut.shape, outside=0.0)
        inside = _drawn(ndimage.gaussian_filter(plane.hung(share), 1.5), size) >= 0.5
        if inside.any():
            _colour(colours, inside, finding.segment.colour_rgb)
    return Image.fromarray(colours.astype(np.uint8))


def _drawn(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS), np.float32)


def _colour(
    colours: NDArray[np.float32], inside: NDArray[np.bool_], colour: tuple[int, int, int]
) -> None:
    """Tint a region and draw its outline, smooth because it fades with the distance from the border."""
    from_border = ndimage.distance_transform_edt(inside) + ndimage.distance_transform_edt(~inside)
    line = np.clip(_HALF_LINE + 1.0 - from_border, 0, 1)
    share = np.maximum(line, _TINT * inside)[..., None]
    colours *= 1 - share
    colours += share * np.array(colour, np.float32)


def _letter(picture: Image.Image, plane: _Plane, box: _Box) -> None:
    draw = ImageDraw.Draw(picture)
    left, top, right, bottom = box
    across, down = (left + right) / 2, (top + bottom) / 2
    places = (
        (left + 8, down, "lm"),
        (right - 8, down, "rm"),
        (across, top + 6, "ma"),
        (across, bottom - 6, "md"),
    )
    for letter, (x, y, anchor) in zip(plane.letters, places, strict=True):
        draw.text((x, y), letter, _FAINT, _font(15), anchor)
    draw.text((left + 8, top + 6), plane.title, _FAINT, _font(12), "la")


def _caption(picture: Image.Image, result: Result) -> None:
    draw = ImageDraw.Draw(picture)
    x = float(_EDGE)
    for finding in result.findings:
        draw.rounded_rectangle((x, 33, x + 20, 53), 5, fill=finding.segment.colour_rgb)
        for text, ink in ((_plain(finding.segment.label), _FAINT), (_said(finding), _INK)):
            draw.text((x + 32, 43), text, ink, _font(28), "lm")
            x += draw.textlength(text, _font(28)) + 12
        x += 52
    if result.card.content_qualification == "RESEARCH":
        text = "RESEARCH · not for diagnosis"
        draw.text((WIDTH - _EDGE, 43), text, _WARNING, _font(20), "rm")
    base = picture.height - _BOTTOM / 2
    draw.text(
        (_EDGE, base),
        _plain(f"{result.card.name} {result.card.version} · {result.server}"),
        _FAINT,
        _font(14),
        "lm",
    )
    draw.text((WIDTH - _EDGE, base), "Overread", _FAINT, _font(14), "rm")


def _said(finding: Finding) -> str:
    volumes = [m.value for m in finding.measurements if m.concept == VOLUME]
    return f"{volumes[0]} mL" if volumes else "not found"


def _plain(text: str) -> str:
    """Leave out accents: the font that comes with pillow has the letters of Latin-1's first half only."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
