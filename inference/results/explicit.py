"""Data elements as bytes, Explicit VR Little Endian (PS3.5 7.1.2), for items that come by the thousand.

A data set of pydicom checks what it is given and costs a millisecond; a Segmentation has one for every
frame of every segment. What is written here is ours, and the tests read it with pydicom.
"""

import struct
from functools import cache

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.valuerep import format_number_as_ds

_ITEM = struct.Struct("<HHI")
_SHORT = struct.Struct("<HH2sH")
_LONG = struct.Struct("<HH2sHI")
_INTEGERS = {b"US": "H", b"UL": "I"}
_FLOATS = {b"FL": "f", b"FD": "d"}
_LONG_TEXTS = frozenset({b"UC", b"UT"})
_LONGEST_DECIMAL = 16


def text(keyword: str, *values: str) -> bytes:
    """Return an element of characters of the default repertoire (UI, CS, SH, LO, DS, IS)."""
    group, element, vr = _tag(keyword)
    value = "\\".join(values).encode("ascii")
    if len(value) % 2:
        value += b"\0" if vr == b"UI" else b" "
    return _SHORT.pack(group, element, vr, len(value)) + value


def words(keyword: str, value: str) -> bytes:
    """Return an element of text in UTF-8 (LO, SH, UC, UT), for an object in ISO_IR 192."""
    group, element, vr = _tag(keyword)
    encoded = value.encode()
    encoded += b" " * (len(encoded) % 2)
    if vr in _LONG_TEXTS:
        return _LONG.pack(group, element, vr, 0, len(encoded)) + encoded
    return _SHORT.pack(group, element, vr, len(encoded)) + encoded


def floats(keyword: str, *values: float) -> bytes:
    """Return an element of binary floating point numbers (FL, FD)."""
    group, element, vr = _tag(keyword)
    value = struct.pack(f"<{len(values)}{_FLOATS[vr]}", *values)
    return _SHORT.pack(group, element, vr, len(value)) + value


def integers(keyword: str, *values: int) -> bytes:
    """Return an element of binary integers (US, UL)."""
    group, element, vr = _tag(keyword)
    value = struct.pack(f"<{len(values)}{_INTEGERS[vr]}", *values)
    return _SHORT.pack(group, element, vr, len(value)) + value


def sequence(keyword: str, *items: bytes) -> bytes:
    """Return a sequence of items, each the bytes of its elements in the order of their tags."""
    return encoded_sequence(keyword, items_of(*items))


def encoded_sequence(keyword: str, items: bytes) -> bytes:
    """Return a sequence of what `items_of` returned."""
    group, element, vr = _tag(keyword)
    return _LONG.pack(group, element, vr, 0, len(items)) + items


def items_of(*items: bytes) -> bytes:
    """Return the value of a sequence: each item behind its length."""
    return b"".join(part for item in items for part in (item_head(len(item)), item))


def item_head(length: int) -> bytes:
    """Return the Item tag (FFFE,E000) and the length of what follows."""
    return _ITEM.pack(0xFFFE, 0xE000, length)


def decimal(value: float) -> str:
    """Return a number as a DS may have it: sixteen characters at most (PS3.5 6.2)."""
    written = repr(float(value))
    return written if len(written) <= _LONGEST_DECIMAL else format_number_as_ds(float(value))


@cache
def _tag(keyword: str) -> tuple[int, int, bytes]:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword} is no keyword of DICOM")
    return tag >> 16, tag & 0xFFFF, dictionary_VR(tag).encode("ascii")
