"""The head of a received file, read once and only as far as needed; pixels are never touched."""

import struct
import zlib
from decimal import Decimal
from functools import cache, lru_cache
from io import BytesIO
from typing import Any, BinaryIO

from pydicom import Dataset
from pydicom.charset import default_encoding
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from inference.selection import CODE, Value
from node.core.counts import PrivateAttribute
from node.core.identifiers import is_uid
from node.core.study import HEADER_KEYWORDS, NO_NUMBER, Header
from node.errors import NotUnderstood, OutOfResources

_UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_TAGS = [Tag(keyword) for keyword in ("SpecificCharacterSet", *_UIDS, *HEADER_KEYWORDS)]

_KEPT = [(keyword, Tag(keyword)) for keyword in HEADER_KEYWORDS]
_WANTED: list[BaseTag | int] = [*_TAGS]
_LAST = max(map(int, _TAGS))

_META = struct.Struct("<140xI")
"""Preamble, prefix and (0002,0000), whose value counts what follows of the file meta."""

LONGEST_HEADER = 1 << 20
"""Bytes of the elements that are read, not skipped, to find the ones that are wanted."""

LONGEST_KEPT = 256
"""Bytes of a value that is remembered in its converted form."""

UNREADABLE = (
    InvalidDicomError,
    BytesLengthException,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    AttributeError,
    NotImplementedError,
    ArithmeticError,
    struct.error,
    zlib.error,
)
"""What pydicom raises for bytes that are no DICOM."""


def read_header(source: BinaryIO, private: tuple[PrivateAttribute, ...] = ()) -> Header:
    """Read the head of a DICOM file.

    Parameters
    ----------
    source
        A Part 10 file, at its start; pixels are not read.
    private
        Vendors' counts of images that are kept besides.

    Raises
    ------
    NotUnderstood
        It cannot be parsed, or one of the four UIDs that identify it is absent or malformed.
    OutOfResources
        The disk did not give it back.
    """
    try:
        syntax, dataset = _read(source, private)
        uids = {keyword: str(dataset.get(keyword, "")) for keyword in _UIDS}
    except UNREADABLE as error:
        raise NotUnderstood(f"the data set cannot be parsed: {type(error).__name__}") from error
    except OSError as error:
        if error.errno is not None:
            raise OutOfResources(f"disk: {error.strerror}") from error
        # pydicom's own word for a sequence that breaks off
        raise NotUnderstood("the data set cannot be parsed: it breaks off") from error
    for keyword, uid in uids.items():
        if not is_uid(uid):
            raise NotUnderstood(f"{keyword} is absent or no valid UID")
    return Header(
        sop_class_uid=uids["SOPClassUID"],
        sop_instance_uid=uids["SOPInstanceUID"],
        series_instance_uid=uids["SeriesInstanceUID"],
        study_instance_uid=uids["StudyInstanceUID"],
        transfer_syntax_uid=syntax,
        values=_values(dataset),
        counts=_counts(dataset, private) if private else {},
    )


def read_syntax(source: BinaryIO) -> str:
    """Return the Transfer Syntax UID of a Part 10 file at its start; what follows is its data set.

    Raises
    ------
    InvalidDicomError
        It is none.
    """
    head = source.read(_META.size)
    if head[128:132] != b"DICM":
        raise InvalidDicomError("no Part 10 file")
    return _transfer_syntax(source.read(int(_META.unpack(head)[0])))


def _read(source: BinaryIO, private: tuple[PrivateAttribute, ...]) -> tuple[str, Dataset]:
    syntax = read_syntax(source)
    wanted, last = _wanted(private) if private else (_WANTED, _LAST)
    dataset: Any = _Bounded(source)
    if syntax == DeflatedExplicitVRLittleEndian:
        # pydicom would inflate all of it, however large that is
        deflated = source.read(LONGEST_HEADER)
        dataset = BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated, LONGEST_HEADER))
    return syntax, read_dataset(
        dataset,
        is_implicit_VR=syntax == ImplicitVRLittleEndian,
        is_little_endian=syntax != ExplicitVRBigEndian,
        # everything that is wanted stands before
        stop_when=lambda tag, _, __: int(tag) > last,
        specific_tags=wanted,
    )


@cache
def _wanted(private: tuple[PrivateAttribute, ...]) -> tuple[list[BaseTag | int], int]:
    """Add every place where private attributes and their creators may stand (PS3.5 7.8.1); tell the last."""
    wanted = [*_WANTED]
    for attribute in private:
        for block in range(0x10, 0x100):
            wanted.append(attribute.group << 16 | block)
            wanted.append(attribute.group << 16 | block << 8 | attribute.element)
    return wanted, max(map(int, wanted))


def _transfer_syntax(meta: bytes) -> str:
    """Return Transfer Syntax UID (0002,0010) of File Meta Information (PS3.10 7.1)."""
    at = meta.index(b"\x02\x00\x10\x00UI") + 8
    return meta[at : at + meta[at - 2]].decode("ascii").strip("\0 ")


class _Bounded:
    """A file of which only so much is read; what is skipped does not count.

    A sequence of a million items is a few bytes for each of them, and costs its reader a thousand times that.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._left = LONGEST_HEADER
        self._read = source.read
        self.seek = source.seek
        self.tell = source.tell

    def read(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise NotUnderstood(f"the data set has a header of more than {LONGEST_HEADER} bytes")
        return self._read(size)


def _values(dataset: Dataset) -> dict[str, Value]:
    encodings = _encodings(dataset)
    found = {keyword: _value(dataset, tag, encodings) for keyword, tag in _KEPT}
    return {keyword: value for keyword, value in found.items() if value not in (None, "", [])}


def _counts(dataset: Dataset, private: tuple[PrivateAttribute, ...]) -> dict[str, Value]:
    found = {str(attribute): _count(dataset, attribute) for attribute in private}
    return {name: value for name, value in found.items() if value is not None}


def _count(dataset: Dataset, attribute: PrivateAttribute) -> Value | None:
    """Return a count by the block that its creator reserved in this object; None when it is absent."""
    for creator in list(dataset.keys()):
        if creator.group != attribute.group or creator.element > 0xFF:
            continue
        tag = Tag(attribute.group, creator.element << 8 | attribute.element)
        if tag in dataset and str(_get(dataset, creator)).strip(" \0") == attribute.creator:
            return _whole_number(_get(dataset, tag))
    return None


def _whole_number(value: Any) -> int | str:
    match value:
        case int():
            return int(value)
        case float() | Decimal() if float(value).is_integer():
            return int(value)
        case _:
            return NO_NUMBER


def _encodings(dataset: Dataset) -> tuple[str, ...]:
    """Return how the text is encoded: Python's names."""
    names = dataset.original_character_set or default_encoding
    return (names,) if isinstance(names, str) else tuple(names)


def _value(dataset: Dataset, tag: BaseTag, encodings: tuple[str, ...]) -> Value | None:
    raw: object = dataset.get_item(tag)
    if isinstance(raw, RawDataElement) and raw.value is not None and raw.length <= LONGEST_KEPT:
        return _converted(*raw[:2], bytes(raw.value), *raw[5:7], encodings)
    return _plain(_get(dataset, tag))


@lru_cache(maxsize=4096)
def _converted(
    tag: BaseTag,
    vr: str | None,
    value: bytes,
    implicit: bool,
    little_endian: bool,
    encodings: tuple[str, ...],
) -> Value | None:
    """Convert what the instances of a series nearly all have in common, once."""
    raw = RawDataElement(tag, vr, len(value), value, 0, implicit, little_endian)
    try:
        return _plain(convert_raw_data_element(raw, encoding=list(encodings)).value)
    except UNREADABLE:
        return None


def _get(dataset: Dataset, key: str | BaseTag) -> Any:
    """Return a value; None when it breaks its representation, which is no reason to refuse an image."""
    try:
        element = dataset.get(key)
    except UNREADABLE:
        return None
    return element.value if isinstance(element, DataElement) else element


def _plain(value: Any) -> Value | None:
    match value:
        case None:
            return None
        case Sequence():
            return [_code(item) for item in value]
        case MultiValue():
            return [item for item in map(_plain_one, value) if item != ""]
        case _:
            return _plain_one(value)


def _plain_one(value: Any) -> str | int | float:
    match value:
        case int():
            return int(value)
        case float() | Decimal():
            return float(value)
        case _:
            return str(value).strip(" \0")


def _code(item: Dataset) -> str:
    value, scheme = _get(item, "CodeValue"), _get(item, "CodingSchemeDesignator")
    return CODE.format(value=value or "", scheme=scheme or "")
