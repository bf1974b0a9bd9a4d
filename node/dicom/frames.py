"""The frames of an enhanced object, by its functional groups (PS3.3 C.7.6.16); pixels are never touched.

Read by the keeper when it judges a series, never by the listener: a header of many megabytes would hold the
sender up.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from pydicom.datadict import dictionary_VR
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from node.core.frames import DIMENSIONS, FRAME_GROUP_KEYWORDS, Frame
from node.dicom.elements import Element, ElementReader
from node.dicom.header import read_syntax
from node.dicom.values import UNREADABLE
from node.errors import NotUnderstood, OutOfResources

LONGEST = 16 << 20
"""Bytes that are read of one object, not skipped: functional groups of some ten thousand frames."""

MOST_FRAMES = 32_768

_MACROS = (
    "FrameContentSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "TemporalPositionSequence",
    "MREchoSequence",
    "MRDiffusionSequence",
    "DiffusionGradientDirectionSequence",
    "CardiacSynchronizationSequence",
    "RespiratorySynchronizationSequence",
    "MRImageFrameTypeSequence",
    "CTImageFrameTypeSequence",
    "PETFrameTypeSequence",
)
_KEYWORDS = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "StackID",
    DIMENSIONS,
    *FRAME_GROUP_KEYWORDS,
)
_ENTERED = frozenset(int(Tag(keyword)) for keyword in _MACROS)
_WANTED = {int(Tag(keyword)): keyword for keyword in _KEYWORDS}
_TOP = {int(Tag(keyword)): keyword for keyword in ("NumberOfFrames", "Rows", "Columns")}
_DIMENSION_INDEX_SEQUENCE = int(Tag("DimensionIndexSequence"))
_DIMENSION_INDEX_POINTER = int(Tag("DimensionIndexPointer"))
_SHARED = int(Tag("SharedFunctionalGroupsSequence"))
_PER_FRAME = int(Tag("PerFrameFunctionalGroupsSequence"))
_IN_SPACE = frozenset(
    int(Tag(keyword))
    for keyword in (
        "StackID",
        "InStackPositionNumber",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "ImagePositionVolume",
        "ImageOrientationVolume",
        "PlanePositionSequence",
        "PlaneOrientationSequence",
        "PlanePositionVolumeSequence",
        "PlaneOrientationVolumeSequence",
    )
)
"""Dimension Index Pointers that say where a frame lies, not what kind of frame it is."""

_NUMBERS = {"FD": "d", "FL": "f", "UL": "I", "US": "H"}


def frames_of(path: Path) -> list[Frame]:
    """Read the frames of one object, in their order; none when it has no functional groups.

    Raises
    ------
    NotUnderstood
        It cannot be parsed, or is larger than what is read of one.
    OutOfResources
        The disk did not give it back.
    """
    try:
        with path.open("rb") as source:
            return read_frames(source)
    except OSError as error:
        raise OutOfResources(f"disk: {error.strerror}") from error


def read_frames(source: BinaryIO) -> list[Frame]:
    """Read the frames of a Part 10 file, at its start.

    Raises
    ------
    NotUnderstood
        It cannot be parsed, is deflated, or is larger than what is read of one.
    """
    try:
        return _read(source)
    except UNREADABLE as error:
        raise NotUnderstood(f"the frames cannot be parsed: {type(error).__name__}") from error


def _read(source: BinaryIO) -> list[Frame]:
    syntax = read_syntax(source)
    if syntax == DeflatedExplicitVRLittleEndian:
        raise NotUnderstood("the data set is deflated: its frames are not looked at")
    little_endian = syntax != ExplicitVRBigEndian
    reader = ElementReader(
        source,
        implicit=syntax == ImplicitVRLittleEndian,
        little_endian=little_endian,
        longest=LONGEST,
    )
    return _Object(reader, "<" if little_endian else ">").frames(reader.elements(source.tell()))


class _Object:
    def __init__(self, reader: ElementReader, order: str) -> None:
        self._reader = reader
        self._order = order
        self._decode: Mapping[int, Callable[[bytes], Any]] = {
            tag: self._decoder(keyword) for tag, keyword in (_WANTED | _TOP).items()
        }

    def frames(self, elements: Iterator[Element]) -> list[Frame]:
        top: dict[str, Any] = {}
        shared: dict[str, Any] = {}
        pointers: list[int] = []
        own: list[dict[str, Any]] = []
        for element in elements:
            if element.tag > _PER_FRAME:
                break
            if element.tag in _TOP:
                self._note(element, _TOP, top)
            elif element.tag == _DIMENSION_INDEX_SEQUENCE:
                pointers = [self._pointer(item) for item in self._reader.items(element)]
            elif element.tag == _SHARED:
                for item in self._reader.items(element):
                    self._gather(item, shared)
            elif element.tag == _PER_FRAME:
                own = self._per_frame(element)
        return _frames(top, shared, own, pointers)

    def _per_frame(self, sequence: Element) -> list[dict[str, Any]]:
        own: list[dict[str, Any]] = []
        for item in self._reader.items(sequence):
            if len(own) == MOST_FRAMES:
                raise NotUnderstood(f"more than {MOST_FRAMES} frames")
            own.append({})
            self._gather(item, own[-1])
        return own

    def _gather(self, elements: Iterator[Element], found: dict[str, Any]) -> None:
        for element in elements:
            if element.tag in _ENTERED:
                for item in self._reader.items(element):
                    self._gather(item, found)
            elif element.tag in _WANTED:
                self._note(element, _WANTED, found)

    def _note(self, element: Element, keywords: Mapping[int, str], found: dict[str, Any]) -> None:
        value = self._decode[element.tag](self._reader.value(element))
        if value is not None:
            found[keywords[element.tag]] = value

    def _pointer(self, item: Iterator[Element]) -> int:
        for element in item:
            if element.tag == _DIMENSION_INDEX_POINTER:
                group, number = struct.unpack(f"{self._order}HH", self._reader.value(element))
                return int(group) << 16 | int(number)
        return 0

    def _decoder(self, keyword: str) -> Callable[[bytes], Any]:
        """Return what reads a value, by the representation that the standard gives it."""
        kind = _NUMBERS.get(dictionary_VR(keyword))
        several = keyword in {DIMENSIONS, "DiffusionGradientOrientation"}
        if kind is None:
            return _text
        number = struct.Struct(self._order + kind)

        def numbers(value: bytes) -> Any:
            if not value or len(value) % number.size:
                return None
            read = [one for (one,) in number.iter_unpack(value)]
            return read if several else read[0]

        return numbers


def _text(value: bytes) -> Any:
    """Return a text, a list of its parts where there are several; None when it is empty."""
    parts = [part.strip(" \0") for part in value.decode("ascii", "replace").split("\\")]
    return (parts if len(parts) > 1 else parts[0]) or None


def _frames(
    top: Mapping[str, Any],
    shared: Mapping[str, Any],
    own: list[dict[str, Any]],
    pointers: list[int],
) -> list[Frame]:
    matrix = {keyword: top[keyword] for keyword in ("Rows", "Columns") if keyword in top}
    frames: list[Frame] = []
    for groups in own:
        values = {**matrix, **shared, **groups}
        indices = values.pop(DIMENSIONS, [])
        if indices and len(indices) == len(pointers):
            values[DIMENSIONS] = [
                index
                for index, pointer in zip(indices, pointers, strict=True)
                if pointer not in _IN_SPACE
            ]
        frames.append(values)
    # a frame that is not described may lie anywhere
    undescribed = _number(top.get("NumberOfFrames")) - len(own) if own or shared else 0
    return [*frames, *({} for _ in range(min(undescribed, MOST_FRAMES)))]


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
