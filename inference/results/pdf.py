"""One page of text and pictures as PDF (ISO 32000-1), the same bytes for the same content.

As much of the format as the summary of a result needs: one page of A4, two of the fonts that every reader
has, pictures without loss. It knows the characters of Windows-1252; others lose their accents or
become question marks.
"""

import hashlib
import unicodedata
import zlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 595.0, 842.0
"""Of the page, in points of 1/72 inch: A4."""

Colour = tuple[int, int, int]

_WIDTHS = (
    "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 "
    "556 556 278 278 584 584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 "
    "667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556 333 556 556 500 556 556 278 556 "
    "556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500 334 260 334 584"
)
_HELVETICA = dict(enumerate(map(int, _WIDTHS.split()), start=32))
"""Width of each letter of Helvetica in thousandths of its size (Adobe's metrics)."""
_OTHER_WIDTH = 600
_BOLD = 1.08
"""How much wider than Helvetica its bold face is, at most."""


@dataclass(slots=True)
class Page:
    """A page that is drawn on; places are points from its upper left corner.

    Parameters
    ----------
    title
        Of the document.
    """

    title: str
    _operators: list[bytes] = field(default_factory=list)
    _pictures: list[bytes] = field(default_factory=list)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 9,
        bold: bool = False,
        ink: Colour = (0, 0, 0),
    ) -> None:
        """Write a line whose base is at `y`."""
        font = b"B" if bold else b"R"
        self._operators.append(
            b"BT %b rg /%b %.1f Tf %.2f %.2f Td (%b) Tj ET"
            % (_rgb(ink), font, size, x, HEIGHT - y, _escaped(words))
        )

    def box(self, x: float, y: float, width: float, height: float, fill: Colour) -> None:
        """Fill a rectangle whose upper left corner is at (`x`, `y`)."""
        self._operators.append(
            b"%b rg %.2f %.2f %.2f %.2f re f" % (_rgb(fill), x, HEIGHT - y - height, width, height)
        )

    def picture(
        self, x: float, y: float, width: float, height: float, pixels: NDArray[np.uint8]
    ) -> None:
        """Place a picture (uint8 RGB, shape ``(rows, columns, 3)``) into a rectangle."""
        rows, columns, _ = pixels.shape
        self._operators.append(
            b"q %.2f 0 0 %.2f %.2f %.2f cm /P%d Do Q"
            % (width, height, x, HEIGHT - y - height, len(self._pictures))
        )
        head = (
            b"/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceRGB "
            b"/BitsPerComponent 8 " % (columns, rows)
        )
        self._pictures.append(_stream(np.ascontiguousarray(pixels).tobytes(), head))

    def finished(self) -> bytes:
        """Return the file."""
        first = 7
        drawn = b" ".join(b"/P%d %d 0 R" % (n, first + n) for n in range(len(self._pictures)))
        objects = [
            b"<< /Type /Catalog /Pages 2 0 R /Lang (en) >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 4 0 R /Resources "
            b"<< /Font << /R 5 0 R /B 6 0 R >> /XObject << %b >> >> >>" % (WIDTH, HEIGHT, drawn),
            _stream(b"\n".join(self._operators), b""),
            *(
                b"<< /Type /Font /Subtype /Type1 /BaseFont /%b /Encoding /WinAnsiEncoding >>" % face
                for face in (b"Helvetica", b"Helvetica-Bold")
            ),
            *self._pictures,
            b"<< /Title (%b) /Producer (Overread) >>" % _escaped(self.title),
        ]
        return _file(objects)


def width_of(words: str, size: float, *, bold: bool = False) -> float:
    """Return how long a line will be, in points; never less than it is."""
    thousandths = sum(_HELVETICA.get(code, _OTHER_WIDTH) for code in _bytes(words))
    return thousandths * size / 1000 * (_BOLD if bold else 1)


def wrapped(words: str, size: float, width: float) -> list[str]:
    """Break a text into lines that are not longer than `width` points, a word alone aside."""
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _file(objects: list[bytes]) -> bytes:
    content, places = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), []
    for number, written in enumerate(objects, start=1):
        places.append(len(content))
        content += b"%d 0 obj\n%b\nendobj\n" % (number, written)
    digest = hashlib.sha256(content).hexdigest()[:32].encode()
    table = len(content)
    content += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for place in places:
        content += b"%010d 00000 n \n" % place
    content += b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R /ID [<%b> <%b>] >>\n" % (
        len(objects) + 1,
        len(objects),
        digest,
        digest,
    )
    content += b"startxref\n%d\n%%%%EOF\n" % table
    return bytes(content)


def _stream(data: bytes, head: bytes) -> bytes:
    packed = zlib.compress(data, 9)
    return b"<< %b/Filter /FlateDecode /Length %d >>\nstream\n%b\nendstream" % (
        head,
        len(packed),
        packed,
    )


def _rgb(colour: Colour) -> bytes:
    red, green, blue = (part / 255 for part in colour)
    return b"%.3f %.3f %.3f" % (red, green, blue)


def _escaped(words: str) -> bytes:
    text = _bytes(words)
    for special in (b"\\", b"(", b")"):
        text = text.replace(special, b"\\" + special)
    return text


def _bytes(words: str) -> bytes:
    return b"".join(map(_letter, words))


def _letter(letter: str) -> bytes:
    try:
        return letter.encode("cp1252")
    except UnicodeEncodeError:
        plain = "".join(
            part
            for part in unicodedata.normalize("NFKD", letter)
            if not unicodedata.combining(part)
        )
        return plain.encode("cp1252", "replace")
