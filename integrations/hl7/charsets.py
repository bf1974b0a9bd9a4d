"""The character set of a message: MSH-18, HL7 table 0211."""

import re
from collections.abc import Mapping

ENCODINGS: Mapping[str, str] = {
    "": "ascii",
    "ASCII": "ascii",
    **{f"8859/{part}": f"iso8859-{part}" for part in (*range(1, 10), 15)},
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_1",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
}
"""Python's codec of each name; ``UTF-8`` is no name of the table, but often written.

UTF-16 and UTF-32 are left out: their bytes hold those that end an MLLP block.
"""

_NAMES = re.compile(rb"\AMSH(.)(?:[^\r\n]*)")
_POSITION = 17
"""MSH-18 is the 17th field behind the name, because MSH-1 is the separator itself (chapter 2.14.9)."""


class CharacterSetUnknown(Exception):
    """MSH-18 names a character set that we cannot read."""


def character_set_of(raw: bytes, default: str) -> str:
    """Return the names in MSH-18 as one of `ENCODINGS`, read before anything is decoded.

    Parameters
    ----------
    raw
        The message; its header is ASCII up to MSH-18 in every set of the table.
    default
        What is meant when MSH-18 is empty.

    Raises
    ------
    CharacterSetUnknown
        It names one that is not in `ENCODINGS`.
    """
    found = _NAMES.match(raw)
    fields = found.group(0).split(found.group(1)) if found else []
    named = fields[_POSITION] if len(fields) > _POSITION else b""
    repeats = named.decode("ascii", "replace").split("~")
    names = [name.strip().upper() for name in repeats if name.strip()] or [default]
    # Japanese senders name ASCII and then the set of their escape sequences, whose codec knows both
    known = [name for name in names if name in ENCODINGS]
    if len(known) < len(names):
        raise CharacterSetUnknown
    return max(known, key=lambda name: ENCODINGS[name] != "ascii")
