"""The tree of a report: content items (PS3.3 C.17.3), built as values and written as bytes.

A report has thousands of items. As data sets of pydicom they cost it a second; here they are written
directly, and the tests read them with pydicom, highdicom, DCMTK and dcmqi.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from inference.codes import Code
from inference.results.concepts import value_keyword
from inference.results.explicit import decimal, floats, integers, sequence, text, words


class Relation(StrEnum):
    """Relationship Type (0040,A010) of an item to its parent."""

    CONTAINS = "CONTAINS"
    HAS_ACQ_CONTEXT = "HAS ACQ CONTEXT"
    HAS_CONCEPT_MOD = "HAS CONCEPT MOD"
    HAS_OBS_CONTEXT = "HAS OBS CONTEXT"
    HAS_PROPERTIES = "HAS PROPERTIES"
    SELECTED_FROM = "SELECTED FROM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An instance, or one frame or one segment of it (PS3.3 10.3, 10.8).

    Parameters
    ----------
    frame_number
        From 1; None for the whole of an instance, and for one with a single frame.
    segment_number
        Of a Segmentation; None for anything else.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None = None
    segment_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One content item.

    Parameters
    ----------
    elements
        Its data elements but for Content Sequence, each as bytes.
    codes
        The codes that it uses itself.
    children
        The items below it.
    """

    elements: tuple[bytes, ...]
    codes: tuple[Code, ...]
    children: tuple["Item", ...] = ()

    def encoded(self) -> bytes:
        """Return the item as the value of a sequence's item: its elements in the order of their tags."""
        below = (sequence_of(self.children),) if self.children else ()
        return _in_order((*self.elements, *below))

    def schemes(self) -> Iterator[str]:
        """Designators of the coding schemes that it and the items below it use."""
        yield from (code.scheme for code in self.codes)
        for child in self.children:
            yield from child.schemes()


def sequence_of(items: Iterable[Item]) -> bytes:
    """Return Content Sequence (0040,A730)."""
    return sequence("ContentSequence", *(item.encoded() for item in items))


def container(name: Code, children: Iterable[Item], *, template: str | None = None) -> Item:
    """Return a heading with what stands under it, each item for itself, by a template where one is named."""
    named: tuple[bytes, ...] = ()
    if template is not None:
        identified = text("MappingResource", "DCMR") + text("TemplateIdentifier", template)
        named = (sequence("ContentTemplateSequence", identified),)
    return Item(
        elements=(
            *_head(Relation.CONTAINS, "CONTAINER", name),
            text("ContinuityOfContent", "SEPARATE"),
            *named,
        ),
        codes=(name,),
        children=tuple(children),
    )


def coded(
    name: Code,
    value: Code,
    *,
    relation: Relation = Relation.CONTAINS,
    children: Iterable[Item] = (),
) -> Item:
    """Return a coded value."""
    return Item(
        elements=(*_head(relation, "CODE", name), code_sequence("ConceptCodeSequence", value)),
        codes=(name, value),
        children=tuple(children),
    )


def number(
    name: Code,
    value: float,
    unit: Code,
    *,
    relation: Relation = Relation.CONTAINS,
    children: Iterable[Item] = (),
) -> Item:
    """Return a number with its unit, as decimal and as binary (PS3.3 C.18.1)."""
    measured = (
        code_sequence("MeasurementUnitsCodeSequence", unit)
        + floats("FloatingPointValue", float(value))
        + text("NumericValue", decimal(value))
    )
    return Item(
        elements=(*_head(relation, "NUM", name), sequence("MeasuredValueSequence", measured)),
        codes=(name, unit),
        children=tuple(children),
    )


def sentence(name: Code, value: str, *, relation: Relation = Relation.CONTAINS) -> Item:
    """Return a text."""
    return Item(elements=(*_head(relation, "TEXT", name), words("TextValue", value)), codes=(name,))


def uid(name: Code, value: str, *, relation: Relation = Relation.CONTAINS) -> Item:
    """Return a UID."""
    return Item(elements=(*_head(relation, "UIDREF", name), text("UID", value)), codes=(name,))


def image(
    name: Code | None,
    reference: Reference,
    *,
    relation: Relation = Relation.CONTAINS,
    children: Iterable[Item] = (),
) -> Item:
    """Return a reference to an image, a frame or a segment."""
    return Item(
        elements=(*_head(relation, "IMAGE", name), _referenced(reference)),
        codes=() if name is None else (name,),
        children=tuple(children),
    )


def coordinates(
    name: Code,
    graphic_type: str,
    points: NDArray[np.float64],
    reference: Reference,
) -> Item:
    """Return points on an image (SCOORD), with the image below it.

    Parameters
    ----------
    points
        Shape ``(points, 2)``, (column, row) in pixels (PS3.3 C.18.6.1.2).
    """
    return Item(
        elements=(*_head(Relation.CONTAINS, "SCOORD", name), *_graphic(graphic_type, points)),
        codes=(name,),
        children=(image(None, reference, relation=Relation.SELECTED_FROM),),
    )


def coordinates_3d(
    name: Code,
    graphic_type: str,
    points: NDArray[np.float64],
    frame_of_reference_uid: str,
) -> Item:
    """Return points in the patient (SCOORD3D).

    Parameters
    ----------
    points
        Shape ``(points, 3)``, LPS millimetres of the frame of reference (PS3.3 C.18.9.1.2).
    """
    return Item(
        elements=(
            *_head(Relation.CONTAINS, "SCOORD3D", name),
            *_graphic(graphic_type, points),
            text("ReferencedFrameOfReferenceUID", frame_of_reference_uid),
        ),
        codes=(name,),
    )


@lru_cache(maxsize=1024)
def code_sequence(keyword: str, code: Code) -> bytes:
    """Return a code sequence of one item (PS3.3 8.8)."""
    value = words(value_keyword(code), code.value)
    scheme = words("CodingSchemeDesignator", code.scheme)
    meaning = words("CodeMeaning", code.meaning)
    return sequence(keyword, _in_order((value, scheme, meaning)))


def _head(relation: Relation, value_type: str, name: Code | None) -> tuple[bytes, ...]:
    named = () if name is None else (code_sequence("ConceptNameCodeSequence", name),)
    return (text("RelationshipType", relation), text("ValueType", value_type), *named)


def _graphic(graphic_type: str, points: NDArray[np.float64]) -> tuple[bytes, bytes]:
    return floats("GraphicData", *points.ravel().tolist()), text("GraphicType", graphic_type)


def _referenced(reference: Reference) -> bytes:
    item = text("ReferencedSOPClassUID", reference.sop_class_uid)
    item += text("ReferencedSOPInstanceUID", reference.sop_instance_uid)
    if reference.frame_number is not None:
        item += text("ReferencedFrameNumber", str(reference.frame_number))
    if reference.segment_number is not None:
        item += integers("ReferencedSegmentNumber", reference.segment_number)
    return sequence("ReferencedSOPSequence", item)


def _in_order(elements: Iterable[bytes]) -> bytes:
    ordered: list[bytes] = sorted(elements, key=_tag)
    return b"".join(ordered)


def _tag(element: bytes) -> tuple[int, int]:
    group, number = struct.unpack_from("<HH", element)
    return group, number
