"""How many images there should be: attributes that a source is trusted to fill in truly (witness b).

The standard's own attributes are named by keyword, a vendor's by group, private creator and element.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from inference.selection import Value
from node.core.study import NO_NUMBER, StoredSeries

STANDARD_COUNTS = ("ImagesInAcquisition", "NumberOfSlices")

_PRIVATE = re.compile(
    r"\(?(?P<group>[0-9a-f]{4}),\s?(?P<block>[0-9a-f]{2}|xx)(?P<element>[0-9a-f]{2})\)?\s+"
    r"(?P<creator>[!-\[\]-~]([ -\[\]-~]{0,62}[!-\[\]-~])?)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateAttribute:
    """An attribute of a vendor.

    Parameters
    ----------
    group
        Its group number, odd.
    creator
        Private Creator: who reserved a block of the group in an object (PS3.5 7.8.1).
    element
        The last two digits of its element number. The first two are the block, which every object may
        number differently.
    """

    group: int
    creator: str
    element: int

    @classmethod
    def parse(cls, text: str) -> "PrivateAttribute":
        """Read ``0025,1007 GEMS_SERS_01`` or ``0025,xx07 GEMS_SERS_01``; the block has no meaning.

        Raises
        ------
        ValueError
            It is none; the administrator mends the configuration.
        """
        found = _PRIVATE.fullmatch(text.strip())
        if found is None:
            raise ValueError(
                f"{text!r} is neither {' nor '.join(STANDARD_COUNTS)}, nor private: gggg,xxee CREATOR"
            )
        group = int(found["group"], 16)
        if group % 2 == 0 or group < 0x0009 or group == 0xFFFF:
            raise ValueError(f"{text!r}: {group:04X} is no private group")
        return cls(group=group, creator=found["creator"], element=int(found["element"], 16))

    def __str__(self) -> str:
        return f"{self.group:04X},xx{self.element:02X} {self.creator}"


def count_name(text: str) -> str:
    """Return the one name of a count, as instances and evidence carry it.

    Raises
    ------
    ValueError
        It is neither a standard count nor a private attribute.
    """
    return text if text in STANDARD_COUNTS else str(PrivateAttribute.parse(text))


def expected(series: StoredSeries, counts: Sequence[str]) -> int | None:
    """How many images a trusted count promises; None when an instance does not say, or two disagree.

    Images in Acquisition (0020,1002) counts those of one Acquisition Number (0020,0012).
    """
    for count in counts:
        promised: dict[str, set[int | None]] = {}
        for plane in series.planes:
            of = plane.get("AcquisitionNumber") if count == "ImagesInAcquisition" else None
            promised.setdefault(str(of), set()).add(_positive(plane.get(count)))
        said = [min(numbers, key=str) for numbers in promised.values() if len(numbers) == 1]
        known = [number for number in said if number is not None]
        if known and len(known) == len(promised):
            return sum(known)
    return None


def trouble(series: StoredSeries, counts: Sequence[str]) -> str | None:
    """Say which trusted count could not be used although the instances carry it; None without one."""
    for count in counts:
        if any(plane.get(count) == NO_NUMBER for plane in series.planes):
            return f"{count} is no number"
        said = {str(plane[count]) for plane in series.planes if count in plane}
        if count != "ImagesInAcquisition" and len(said) > 1:
            return f"{count} differs between instances"
    return None


def _positive(value: Value | None) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
