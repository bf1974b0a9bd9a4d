"""Whether the keys of a selection exist: held against the DICOM dictionary when a file is read.

A rule that asks for ``SeriesDescripton`` would fail for every series and never say why. `inference.selection`
is pure and knows no dictionary; rules and cards both come in by `understood`.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydicom.datadict import dictionary_VR, keyword_dict

from inference import private
from inference.selection import OWN_FACTS, Selection, SelectionInvalid, parse

CODED_BY_OTHER_NAMES = (
    "AnatomicRegionSequence",
    "AnatomicRegionModifierSequence",
    "PrimaryAnatomicStructureSequence",
    "PrimaryAnatomicStructureModifierSequence",
)
"""Sequences of coded values whose keyword does not end in ``CodeSequence``."""

_PIXELS = 0x7FE0
"""Group of Pixel Data (PS3.5 7.1): what stands in it or behind it is never read."""


def understood(table: Mapping[str, Any]) -> Selection:
    """Read a selection whose every key can be asked for.

    Raises
    ------
    SelectionInvalid
        Criteria are not understood, or keys do not exist; whoever wrote the rule or the card mends them.
    """
    faults = [f"{key}: {fault}" for key in table if (fault := _fault(key)) is not None]
    try:
        selection = parse(table)
    except SelectionInvalid as error:
        raise SelectionInvalid((*faults, *error.faults)) from error
    if faults:
        raise SelectionInvalid(faults)
    return selection


def _fault(key: str) -> str | None:
    """Say why nobody can ask for a key; None when it is fine, or for `parse` to judge."""
    if private.is_private(key):
        behind = int(key.strip().lstrip("(")[:4], 16) > _PIXELS
        return "stands behind the pixels, which are not read" if behind else None
    if key in OWN_FACTS:
        return None
    tag = keyword_dict.get(key) if key else None
    if tag is None:
        nearest = _nearest(key)
        return "no such DICOM keyword" + (f"; did you mean {nearest}?" if nearest else "")
    if tag >> 16 == 0x0010 or key == "AccessionNumber":
        return "says whose study it is: no rule may ask for that"
    if tag >> 16 < 0x0008:
        return "is no attribute of the data set"
    return _without_value(key, dictionary_VR(tag))


def _without_value(key: str, vr: str) -> str | None:
    if vr.startswith("O"):
        return f"holds data ({vr}), not a value"
    if vr == "SQ" and not (key.endswith("CodeSequence") or key in CODED_BY_OTHER_NAMES):
        return "is a sequence without coded values"
    return None


def _nearest(key: str) -> str | None:
    known = {word.casefold(): word for word in (*keyword_dict, *OWN_FACTS) if word}
    close = get_close_matches(key.casefold(), known, n=1, cutoff=0.7)
    return known[close[0]] if close else None
