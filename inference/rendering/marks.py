"""Letters, side marks and the scale bar: what tells people how to read a picture."""

import unicodedata
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from inference.findings import Result
from inference.rendering.paint import Colour

GROUND: Colour = (13, 15, 19)
INK: Colour = (235, 238, 242)
FAINT: Colour = (126, 135, 147)
WARNING: Colour = (255, 193, 84)
MARK: Colour = (255, 255, 255)
"""Of the scale bar and of side marks within the image."""

NOT_PRIMARY = "AI, not for primary diagnosis"
RESEARCH = "RESEARCH"

BAR_PIXELS = 4
"""Thickness of the scale bar."""

_LENGTHS_MM = (200, 100, 50, 20, 10, 5, 2, 1)
_SEEN = 0.2
"""Smallest direction cosine that a side mark still tells: below it the plane counts as straight."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom edge."""


def side(direction: Sequence[float]) -> str:
    """Return the letters of where a direction in LPS points to, the largest part first (PS3.3 C.7.6.1.1.1).

    ``P`` is straight back, ``PH`` back and somewhat up.
    """
    letters = zip(direction, ("LR", "PA", "HF"), strict=True)
    parts = sorted(
        ((abs(part), names[part < 0]) for part, names in letters if abs(part) >= _SEEN),
        key=lambda part: -part[0],
    )
    return "".join(letter for _, letter in parts)


def opposite(letters: str) -> str:
    """Return the letters of the other side."""
    return letters.translate(str.maketrans("LRPAHF", "RLAPFH"))


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the face that comes with Pillow: the same on every machine."""
    return ImageFont.load_default(size)


def plain(text: str) -> str:
    """Return text in the letters that the face has: accents are left out, others told by a question mark."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(c if c.isascii() or c in "·×µ" else "?" for c in bare)


def put_sides(picture: Image.Image, letters: tuple[str, str, str, str], box: Box) -> None:
    """Write the letters of the left, right, upper and lower edge into an image."""
    draw = ImageDraw.Draw(picture)
    left, top, right, bottom = box
    across, down = (left + right) / 2, (top + bottom) / 2
    places = (
        (left + 8, down, "lm"),
        (right - 8, down, "rm"),
        (across, top + 6, "ma"),
        (across, bottom - 6, "md"),
    )
    for letter, (x, y, anchor) in zip(letters, places, strict=True):
        draw.text((x, y), letter, MARK, font(20), anchor, stroke_width=2, stroke_fill=(0, 0, 0))


def put_scale(picture: Image.Image, pixels_per_mm: float, box: Box) -> int:
    """Draw a scale bar into the lower right corner of an image; return its length in millimetres.

    It is the longest of a row of round lengths that takes no more than a third of the image's width.
    """
    left, _, right, bottom = box
    room = (right - left) / 3
    fitting = (mm for mm in _LENGTHS_MM if mm * pixels_per_mm <= room)
    length_mm = next(fitting, _LENGTHS_MM[-1])
    length = round(length_mm * pixels_per_mm)
    draw = ImageDraw.Draw(picture)
    x, y = right - 12 - length, bottom - 12 - BAR_PIXELS
    draw.rectangle((x - 1, y - 1, x + length, y + BAR_PIXELS), fill=(0, 0, 0))
    draw.rectangle((x, y, x + length - 1, y + BAR_PIXELS - 1), fill=MARK)
    text = f"{length_mm} mm"
    middle = (x + length / 2, y - 5)
    draw.text(middle, text, MARK, font(16), "md", stroke_width=2, stroke_fill=(0, 0, 0))
    return length_mm


def caveats(result: Result) -> str:
    """Return what must be said with every result of this model."""
    research = result.card.content_qualification == "RESEARCH"
    return f"{NOT_PRIMARY} · {RESEARCH}" if research else NOT_PRIMARY
