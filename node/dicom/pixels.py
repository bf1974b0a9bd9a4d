"""What a file that we keep says, beside one that arrives under its UID; nothing is decoded or loaded whole."""

from pathlib import Path
from typing import BinaryIO

from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from node.core.study import Header
from node.dicom.header import read_header
from node.dicom.values import UNREADABLE
from node.errors import NotUnderstood, OutOfResources

_FIRST_PIXELS = 0x7FE00008
"""Float Pixel Data (7FE0,0008), Double Float Pixel Data, Pixel Data."""

_CHUNK = 1 << 20


def compare(held: Path, arriving: BinaryIO) -> tuple[Header, bool | None] | None:
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
            header, other = read_header(one), read_header(arriving)
            syntaxes = {header.transfer_syntax_uid, other.transfer_syntax_uid}
            if len(syntaxes) > 1 or DeflatedExplicitVRLittleEndian in syntaxes:
                return header, None
            for file in (one, arriving):
                _go_to_pixels(file, header.transfer_syntax_uid)
            return header, _same_rest(one, arriving)
    except (OSError, NotUnderstood, OutOfResources, *UNREADABLE):
        return None


def _go_to_pixels(file: BinaryIO, transfer_syntax_uid: str) -> None:
    """Leave a file, of which the head was read, at the first byte of its pixels; at its end without any."""
    read_dataset(
        file,
        is_implicit_VR=transfer_syntax_uid == ImplicitVRLittleEndian,
        is_little_endian=transfer_syntax_uid != ExplicitVRBigEndian,
        stop_when=_are_pixels,
        specific_tags=[],
    )


def _are_pixels(tag: BaseTag, _: str | None, __: int) -> bool:
    return int(tag) >= _FIRST_PIXELS


def _same_rest(one: BinaryIO, other: BinaryIO) -> bool:
    while True:
        chunk = one.read(_CHUNK)
        if chunk != other.read(_CHUNK):
            return False
        if not chunk:
            return True
