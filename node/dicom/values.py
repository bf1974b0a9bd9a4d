"""Values of a data set as plain ones; one that breaks its representation is none, and no reason to refuse."""

import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any

from pydicom import Dataset
from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from inference.private import PrivateTag
from inference.selection import CODE, Value
from node.core.study import NO_NUMBER
from node.dicom.explicit import Raw

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

BROKEN = (*UNREADABLE, OSError)
"""The same for a value that lies in memory: OSError is pydicom's word for a sequence that breaks off."""

_DECIMAL = rb"[+-]?\d{1,7}(?:\.\d{1,7})?"
_INTEGER = rb"-?\d{1,9}"
_NUMBERS = {
    representation: re.compile(rb"%s(?:\\%s)* ?" % (one, one))
    for representation, one in (("DS", _DECIMAL), ("IS", _INTEGER))
}
"""Decimal and integer strings (PS3.5 6.2) as nearly all are written: no exponent, no space but the padding."""

LONGEST_REMEMBERED = 256
"""Bytes of a value that is remembered in its converted form."""


def encodings_of(dataset: Dataset) -> tuple[str, ...]:
    """Return how its text is encoded, by Python's names."""
    names = dataset.original_character_set or default_encoding
    return (names,) if isinstance(names, str) else tuple(names)


def value_of(dataset: Dataset, tag: BaseTag, encodings: tuple[str, ...]) -> Value | None:
    """Return the value of an element, one string, number or code, or several; None when there is none.

    The instances of a series have most of their values in common, and converting one costs more than
    finding it: those seen before are remembered.
    """
    raw: object = dataset.get_item(tag)
    if isinstance(raw, RawDataElement) and raw.value and raw.length <= LONGEST_REMEMBERED:
        return _converted(
            int(tag),
            raw.VR,
            bytes(raw.value),
            (raw.is_implicit_VR, raw.is_little_endian),
            encodings,
        )
    return _plain(_get(dataset, tag))


def explicit_value(tag: int, raw: Raw, encodings: tuple[str, ...]) -> Value | None:
    """Do what `value_of` does for an element that `node.dicom.explicit` found."""
    representation, value = raw
    if not value:
        return None
    pattern = _NUMBERS.get(representation)
    if pattern is not None and pattern.fullmatch(value):  # a position is another one in each image
        number = float if representation == "DS" else int
        numbers = [number(one) for one in value.rstrip(b"\0 ").split(b"\\")]
        return numbers if len(numbers) > 1 else numbers[0]
    convert = _converted if len(value) <= LONGEST_REMEMBERED else _converted.__wrapped__
    return convert(tag, representation, value, (False, True), encodings)


@lru_cache(maxsize=4096)
def _converted(
    tag: int,
    vr: str | None,
    value: bytes,
    form: tuple[bool, bool],
    encodings: tuple[str, ...],
) -> Value | None:
    raw = RawDataElement(Tag(tag), vr, len(value), value, 0, *form)
    try:
        return _plain(convert_raw_data_element(raw, encoding=list(encodings)).value)
    except BROKEN:
        return None


def private_values(dataset: Dataset, wanted: Iterable[PrivateTag]) -> dict[str, Value | None]:
    """Return private elements from where their creators' blocks are in this object (PS3.5 7.8.1)."""
    return {str(one): _of_private(value) for one, value in _private(dataset, wanted)}


def private_counts(dataset: Dataset, wanted: Iterable[PrivateTag]) -> dict[str, Value]:
    """Return private elements that are counts: whole numbers, `NO_NUMBER` for anything else."""
    return {str(one): _whole_number(value) for one, value in _private(dataset, wanted)}


def _private(dataset: Dataset, wanted: Iterable[PrivateTag]) -> Iterator[tuple[PrivateTag, Any]]:
    """Return the private elements that are there; of one that stands in two blocks the first comes last."""
    creators = [tag for tag in dataset.keys() if tag.is_private_creator]  # noqa: SIM118 - tags, not elements
    reserved = [(int(tag), str(_get(dataset, tag))) for tag in creators]
    for one in wanted:
        for tag in map(Tag, reversed(one.places(reserved))):
            if tag in dataset:
                yield one, _get(dataset, tag)


def _whole_number(value: Any) -> int | str:
    match value:
        case int():
            return int(value)
        case float() | Decimal() if float(value).is_integer():
            return int(value)
        case _:
            return NO_NUMBER


def _of_private(value: Any) -> Value | None:
    match value:
        case Sequence():
            return None
        case bytes():  # of an unknown representation (UN), or data: text when it can be read as such
            text = value.rstrip(b"\0 ").decode("latin-1")
            return text.split("\\") if text.isascii() and text.isprintable() else None
        case _:
            return _plain(value)


def _get(dataset: Dataset, tag: BaseTag) -> Any:
    try:
        return dataset[tag].value
    except BROKEN:
        return None


def _plain(value: Any) -> Value | None:
    match value:
        case None:
            return None
        case Sequence():
            return [_code(item) for item in value]
        case MultiValue() | list():  # a list where the values are binary
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
    value, scheme = (_get(item, Tag(word)) for word in ("CodeValue", "CodingSchemeDesignator"))
    return CODE.format(value=value or "", scheme=scheme or "")
