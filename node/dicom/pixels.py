"""What a file that we keep says, beside one that arrives under its UID; nothing is decoded or loaded whole."""

from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from node.core.study import Header
from node.dicom.header import UNREADABLE, read_header
from node.errors import NotUnderstood

_DEFLATED = "1.2.840.10008.1.2.1.99"
_CHUNK = 1 << 20


def compare(held: Path, arriving: bytes) -> tuple[Header, bool | None] | None:
    """Return the head of a kept file, and whether its encoded pixels are the arriving ones.

    Parameters
    ----------
    held
        A file that we keep.
    arriving
        A whole file, Part 10.

    Returns
    -------
    tuple[Header, bool | None] | None
        None for the pixels when the encodings differ; None altogether when the file is gone or unreadable.
    """
    try:
        with held.open("rb") as one:
            other = BytesIO(arriving)
            header = read_header(one)
            syntaxes = {header.transfer_syntax_uid, read_header(other).transfer_syntax_uid}
            if len(syntaxes) > 1 or _DEFLATED in syntaxes:
                return header, None
            return header, _same_rest(one, other)
    except (OSError, NotUnderstood, *UNREADABLE):
        return None


def _same_rest(one: BinaryIO, other: BinaryIO) -> bool:
    # pydicom stops at the first byte of the pixel data
    while True:
        chunk = one.read(_CHUNK)
        if chunk != other.read(_CHUNK):
            return False
        if not chunk:
            return True
