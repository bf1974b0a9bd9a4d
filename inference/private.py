"""Private data elements, named so that every object may keep them where it likes.

A private element has no number of its own: each object reserves a block of its group for a private creator
and numbers the creator's elements inside that block (PS3.5 7.8.1). So one is written as its group, the last
two digits of its element and its creator, ``"0019,0c SIEMENS MR HEADER"``; the standard's own way of
leaving the block open, ``0019,xx0c``, is understood too. Pure: the standard library only.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_WRITTEN = re.compile(
    r"\s*\(?([0-9a-f]{4})\s*,\s*([0-9a-fx]{2}(?:[0-9a-fx]{2})?)\)?(?:\s+(.*\S))?\s*", re.IGNORECASE
)
"""Loosely, so that what is nearly right can be told why it is not."""

LONGEST_CREATOR = 64
"""Characters of a Private Creator, whose representation is LO (PS3.5 6.2)."""

FIRST_BLOCK, LAST_BLOCK = 0x10, 0xFF
"""Blocks that an object may reserve in one group (PS3.5 7.8.1)."""


class PrivateTagInvalid(ValueError):
    """The text names no private element; the message says why."""


@dataclass(frozen=True, slots=True)
class PrivateTag:
    """One creator's element.

    Parameters
    ----------
    group
        Group number, odd.
    creator
        Private Creator, as it stands in the object, without spaces around it; letter case counts.
    element
        The last two hexadecimal digits of the element number, 0x00 to 0xFF.
    """

    group: int
    creator: str
    element: int

    @property
    def creators(self) -> range:
        """The tags under which an object may reserve a block for the creator, ``(gggg,0010-00FF)``."""
        first = self.group << 16
        return range(first | FIRST_BLOCK, (first | LAST_BLOCK) + 1)

    def within(self, block: int) -> int:
        """Return the element's tag in an object that reserved `block`, 0x10 to 0xFF, for the creator."""
        return self.group << 16 | block << 8 | self.element

    def places(self, reserved: Iterable[tuple[int, str]]) -> list[int]:
        """Return the element's tags in one object, in its order; an object may reserve several blocks.

        Parameters
        ----------
        reserved
            Tag and value of each Private Creator of the object.
        """
        creators = self.creators
        return [
            self.within(tag & 0xFF)
            for tag, creator in reserved
            if tag in creators and creator.strip(" \0") == self.creator
        ]

    def __str__(self) -> str:
        return f"{self.group:04x},{self.element:02x} {self.creator}"


def is_private(text: str) -> bool:
    """Whether a key is meant as a private element: it begins as a tag does, and no keyword does."""
    return re.match(r"\s*\(?[0-9a-f]{4}\s*,", text, re.IGNORECASE) is not None


def parse(text: str) -> PrivateTag:
    """Read a private element from ``"gggg,ee Creator"`` or ``"gggg,xxee Creator"``.

    Raises
    ------
    PrivateTagInvalid
        It is none; whoever wrote it mends it.
    """
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise PrivateTagInvalid(
            'expected group, element and creator, as in "0019,0c SIEMENS MR HEADER"'
        )
    group, element, creator = int(written[1], 16), written[2].lower(), written[3]
    block, last = element[:-2], element[-2:]
    fault = _fault(group, block, last, creator)
    if fault is not None:
        raise PrivateTagInvalid(fault)
    return PrivateTag(group=group, creator=creator, element=int(last, 16))


def _fault(group: int, block: str, last: str, creator: str | None) -> str | None:
    if group % 2 == 0 or group < 0x0009 or group == 0xFFFF:
        return f"{group:04x} is no group of private elements, which are odd, from 0009 to fffd"
    if "x" in last:
        return "the last two digits of the element must be hexadecimal"
    if block not in {"", "xx"}:
        return f"the block is each object's own: write {group:04x},{last} and the creator"
    if creator is None:
        return "a private element needs its creator"
    if len(creator) > LONGEST_CREATOR or "\\" in creator:
        return f"a creator has at most {LONGEST_CREATOR} characters and no backslash"
    return None
