"""Data elements one after another (PS3.5 7.1): what is not wanted is skipped, and nothing is held whole.

pydicom reads a sequence into memory before it gives the first item. The functional groups of an enhanced
object may be many megabytes, of which a few bytes for each frame are wanted.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from node.errors import NotUnderstood

DEEPEST = 16
"""Sequences within sequences; the standard's own nest four or five."""

_UNDEFINED = 0xFFFFFFFF
_ITEM = 0xFFFEE000
_ITEM_DELIMITATION = 0xFFFEE00D
_SEQUENCE_DELIMITATION = 0xFFFEE0DD
_LONG = frozenset({
    b"OB",
    b"OD",
    b"OF",
    b"OL",
    b"OV",
    b"OW",
    b"SQ",
    b"SV",
    b"UC",
    b"UN",
    b"UR",
    b"UT",
    b"UV",
})
"""Representations whose length has four bytes (PS3.5 Table 7.1-1)."""


@dataclass(slots=True)
class Element:
    """One data element.

    Parameters
    ----------
    tag
        Group and element number.
    at
        Where its value begins.
    end
        Where its value ends; None as long as nobody has looked for the end of an undefined length.
    implicit
        Whether what is nested in it is in Implicit VR.
    depth
        How many sequences it lies in.
    """

    tag: int
    at: int
    end: int | None
    implicit: bool
    depth: int


class ElementReader:
    """Reads data elements of a file in their order.

    Parameters
    ----------
    source
        A file that can be sought in.
    implicit, little_endian
        Its transfer syntax.
    longest
        Bytes that are read, not skipped, before it is given up.
    """

    def __init__(
        self, source: BinaryIO, *, implicit: bool, little_endian: bool, longest: int
    ) -> None:
        order = "<" if little_endian else ">"
        self._implicit = implicit
        self._head = struct.Struct(f"{order}HHI").unpack
        self._explicit_head = struct.Struct(f"{order}HH2sH").unpack
        self._length = struct.Struct(f"{order}I").unpack
        self._source = source
        self._left = longest

    def elements(self, at: int) -> Iterator[Element]:
        """Give every element from a place in the file to its end.

        Raises
        ------
        NotUnderstood
            The file breaks off, nests too deeply, or is longer than what is read of one.
        """
        return self._elements(_Stretch(at, None, self._implicit, 0))

    def value(self, element: Element) -> bytes:
        """Read a value.

        Raises
        ------
        NotUnderstood
            It has no defined length, or the file breaks off.
        """
        if element.end is None:
            raise NotUnderstood("a value has no length")
        self._source.seek(element.at)
        return self._read(element.end - element.at)

    def items(self, sequence: Element) -> Iterator[Iterator[Element]]:
        """Give the items of a sequence, each as its elements.

        Raises
        ------
        NotUnderstood
            It is no sequence, the file breaks off, or the sequences nest too deeply.
        """
        for item in self._items(sequence):
            elements = self._elements(item)
            yield elements
            for _ in elements:  # to its end, wherever its reader stopped
                pass

    def _items(self, sequence: Element) -> "Iterator[_Stretch]":
        if sequence.depth >= DEEPEST:
            raise NotUnderstood(f"more than {DEEPEST} sequences within each other")
        at = sequence.at
        while sequence.end is None or at < sequence.end:
            self._source.seek(at)
            group, number, length = self._head(self._read(8))
            at += 8
            tag = group << 16 | number
            if tag == _SEQUENCE_DELIMITATION:
                sequence.end = at
                return
            if tag != _ITEM:
                raise NotUnderstood("a sequence holds something else than items")
            end = None if length == _UNDEFINED else at + length
            item = _Stretch(at, end, sequence.implicit, sequence.depth + 1)
            yield item
            if item.end is None:
                for _ in self._elements(item):
                    pass
            at = item.end or at

    def _elements(self, stretch: "_Stretch") -> Iterator[Element]:
        at = stretch.at
        while stretch.end is None or at < stretch.end:
            self._source.seek(at)
            element = self._element(at, stretch)
            if element is None:
                return
            if element.tag == _ITEM_DELIMITATION:
                stretch.end = element.at
                return
            yield element
            if element.end is None:
                for _ in self._items(element):
                    pass
            at = element.end or at

    def _element(self, at: int, stretch: "_Stretch") -> Element | None:
        """Read the head of an element; None at the end of the file."""
        head = self._source.read(8)
        if not head and stretch.depth == 0:
            return None
        self._take(len(head), 8)
        group, number, length = self._head(head)
        at += 8
        implicit = stretch.implicit
        if not implicit and group != 0xFFFE:
            _, _, representation, length = self._explicit_head(head)
            if representation in _LONG:
                (length,) = self._length(self._read(4))
                at += 4
            # unknown to who wrote it, and therefore left as it was (PS3.5 6.2.2 Note 2)
            implicit = representation == b"UN"
        end = None if length == _UNDEFINED else at + length
        return Element(group << 16 | number, at, end, implicit, stretch.depth)

    def _read(self, size: int) -> bytes:
        if size > self._left:
            raise NotUnderstood("more to read than is read of one file")
        data = self._source.read(size)
        self._take(len(data), size)
        return data

    def _take(self, got: int, wanted: int) -> None:
        if got < wanted:
            raise NotUnderstood("the file breaks off")
        self._left -= got
        if self._left < 0:
            raise NotUnderstood("more to read than is read of one file")


@dataclass(slots=True)
class _Stretch:
    """Elements between two places in the file; `end` is None until a delimitation item is met."""

    at: int
    end: int | None
    implicit: bool
    depth: int
