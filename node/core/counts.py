"""How many images there should be: attributes that a source is trusted to fill in truly (witness b).

The standard's own attributes are named by keyword, a vendor's by group, private creator and element.
"""

from collections.abc import Sequence

from inference import private
from inference.selection import Value
from node.core.study import NO_NUMBER, StoredSeries

STANDARD_COUNTS = ("ImagesInAcquisition", "NumberOfSlices")


def count_name(text: str) -> str:
    """Return the one name of a count, as instances and evidence carry it.

    Raises
    ------
    ValueError
        It is neither a standard count nor a private attribute.
    """
    if text in STANDARD_COUNTS:
        return text
    if not private.is_private(text):
        known = " nor ".join(STANDARD_COUNTS)
        raise ValueError(f"{text!r} is neither {known}, nor a private element: gggg,ee CREATOR")
    return str(private.parse(text))


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
