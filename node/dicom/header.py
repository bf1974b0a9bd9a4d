"""The head of a received file, read once and only as far as needed; pixels are never touched.

What every site needs is read always; what only its rules ask for, other keywords and private elements,
is read where they ask.
"""

import struct
import zlib
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any, BinaryIO

from pydicom import Dataset
from pydicom.charset import default_encoding
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from inference import private
from inference.private import PrivateTag
from inference.selection import OWN_FACTS, Value
from node.core.identifiers import is_uid
from node.core.study import HEADER_KEYWORDS, Header
from node.dicom import explicit
from node.dicom.values import (
    UNREADABLE,
    encodings_of,
    explicit_value,
    private_counts,
    private_values,
    value_of,
)
from node.errors import NotUnderstood, OutOfResources

_UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_TAGS = frozenset(
    int(Tag(keyword)) for keyword in ("SpecificCharacterSet", *_UIDS, *HEADER_KEYWORDS)
)

_UID_TAGS = tuple(int(Tag(keyword)) for keyword in _UIDS)
_OTHERWISE = {ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian}
"""Transfer syntaxes whose data sets are not in Explicit VR Little Endian as they stand."""

_META = struct.Struct("<140xI")
"""Preamble, prefix and (0002,0000), whose value counts what follows of the file meta."""

LONGEST_HEADER = 1 << 20
"""Bytes of the elements that are read, not skipped, to find the ones that are wanted."""


class HeaderReader:
    """Reads heads.

    Parameters
    ----------
    asked
        What is kept besides `HEADER_KEYWORDS`: keywords, and private elements as `inference.private` writes
        them. A value that is absent, or that breaks its representation, is left out.
    counts
        Vendors' counts of images, of which only numbers are kept.
    """

    def __init__(self, asked: Iterable[str] = (), counts: Iterable[PrivateTag] = ()) -> None:
        more = sorted({*asked} - {*HEADER_KEYWORDS, *OWN_FACTS})
        keywords = [key for key in more if not private.is_private(key)]
        self._keywords = [(keyword, Tag(keyword)) for keyword in (*HEADER_KEYWORDS, *keywords)]
        self._private = tuple(private.parse(key) for key in more if private.is_private(key))
        self._counts = tuple(counts)
        blocks = (*self._private, *self._counts)
        # a plain set of numbers: pydicom looks every element up in it
        self._wanted: list[BaseTag | int] = sorted(
            _TAGS.union(
                (int(Tag(keyword)) for keyword in keywords),
                (tag for one in blocks for tag in one.creators),
                (one.within(tag & 0xFF) for one in blocks for tag in one.creators),
            )
        )
        self._last = int(self._wanted[-1])
        self._tags = frozenset(map(int, self._wanted))
        self._numbered = [(keyword, int(tag)) for keyword, tag in self._keywords]

    def read(self, source: BinaryIO) -> Header:
        """Read the head of a DICOM file.

        Parameters
        ----------
        source
            A Part 10 file, at its start; pixels are not read.

        Raises
        ------
        NotUnderstood
            It cannot be parsed, or one of the four UIDs that identify it is absent or malformed.
        OutOfResources
            The disk did not give it back.
        """
        start = source.tell()
        try:
            return self._read(source)
        except NotUnderstood:
            if self._last == max(_TAGS):
                raise
        # the fault may lie where only a rule looks, which is no reason to refuse an image
        source.seek(start)
        return read_header(source)

    def read_early(self, head: bytes) -> Header | None:
        """Read the head of a file from its first bytes; None when it does not end within them."""
        header = self._read_explicit(head)
        if header is not None:
            return header
        source = BytesIO(head)
        try:
            header = self._read(source)
        except NotUnderstood:
            return None  # told when all of it is there
        # it ended before the pixels, not with the bytes
        return header if source.tell() < len(head) else None

    def _read_explicit(self, head: bytes) -> Header | None:
        """Read a head of the usual kind; None for another one, and for one that is wrong somewhere."""
        if self._private or self._counts:
            return None
        try:
            source = BytesIO(head)
            syntax = read_syntax(source)
            if syntax in _OTHERWISE:
                return None
            found = explicit.elements(head, source.tell(), self._tags, self._last)
            if found is None:
                return None
            named = found.get(explicit.CHARACTER_SET)
            encodings = explicit.encodings(named) if named is not None else (default_encoding,)
        except UNREADABLE:
            return None
        uids = [explicit.text_of(found.get(tag)) for tag in _UID_TAGS]
        if not all(map(is_uid, uids)):
            return None
        values = {
            keyword: explicit_value(tag, found[tag], encodings)
            for keyword, tag in self._numbered
            if tag in found
        }
        sop_class, sop_instance, series, study = uids
        return Header(
            sop_class_uid=sop_class,
            sop_instance_uid=sop_instance,
            series_instance_uid=series,
            study_instance_uid=study,
            transfer_syntax_uid=syntax,
            values=_given(values),
        )

    def _read(self, source: BinaryIO) -> Header:
        try:
            syntax, dataset = self._parse(source)
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
            values=self._values(dataset),
            counts=private_counts(dataset, self._counts) if self._counts else {},
        )

    def _parse(self, source: BinaryIO) -> tuple[str, Dataset]:
        syntax = read_syntax(source)
        dataset: Any = _Bounded(source)
        if syntax == DeflatedExplicitVRLittleEndian:
            # pydicom would inflate all of it, however large that is
            deflated = source.read(LONGEST_HEADER)
            inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated, LONGEST_HEADER)
            dataset = BytesIO(inflated)
        return syntax, read_dataset(
            dataset,
            is_implicit_VR=syntax == ImplicitVRLittleEndian,
            is_little_endian=syntax != ExplicitVRBigEndian,
            stop_when=self._behind,
            specific_tags=self._wanted,
        )

    def _behind(self, tag: BaseTag, _: str | None, __: int) -> bool:
        """Whether everything that is wanted stands before this element."""
        return int(tag) > self._last

    def _values(self, dataset: Dataset) -> dict[str, Value]:
        encodings = encodings_of(dataset)
        found = {keyword: value_of(dataset, tag, encodings) for keyword, tag in self._keywords}
        if self._private:
            found |= private_values(dataset, self._private)
        return _given(found)


def _given(values: Mapping[str, Value | None]) -> dict[str, Value]:
    return {key: value for key, value in values.items() if value not in (None, "", [])}


read_header = HeaderReader().read
"""Reads what every site needs."""


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
