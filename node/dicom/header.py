"""The head of a received file, read once and only as far as needed; pixels are never touched."""

import struct
import zlib
from decimal import Decimal
from io import BytesIO
from typing import Any, BinaryIO

import pydicom
from pydicom import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from inference.selection import Value
from node.core.identifiers import is_uid
from node.core.study import HEADER_KEYWORDS, Header
from node.errors import NotUnderstood

_UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_TAGS = [Tag(keyword) for keyword in ("SpecificCharacterSet", *_UIDS, *HEADER_KEYWORDS)]

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


def read_header(data: bytes | BinaryIO) -> Header:
    """Read the head of a DICOM file.

    Parameters
    ----------
    data
        The whole file, Part 10, or one that is open; of that, only the head is read.

    Raises
    ------
    NotUnderstood
        It cannot be parsed, or one of the four UIDs that identify it is absent or malformed.
    """
    try:
        file = BytesIO(data) if isinstance(data, bytes) else data
        dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_TAGS)
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        uids = {keyword: str(dataset.get(keyword, "")) for keyword in _UIDS}
    except UNREADABLE as error:
        raise NotUnderstood(f"the data set cannot be parsed: {type(error).__name__}") from error
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
    )


def _values(dataset: Dataset) -> dict[str, Value]:
    found = {keyword: _plain(_get(dataset, keyword)) for keyword in HEADER_KEYWORDS}
    return {keyword: value for keyword, value in found.items() if value not in (None, "", [])}


def _get(dataset: Dataset, keyword: str) -> Any:
    """Return a value; None when it breaks its representation, which is no reason to refuse an image."""
    try:
        return dataset.get(keyword)
    except UNREADABLE:
        return None


def _plain(value: Any) -> Value | None:
    match value:
        case None:
            return None
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
