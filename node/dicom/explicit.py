"""The elements of a head in Explicit VR Little Endian (PS3.5 7.1.2, A.2), in which nearly every image comes.

The listener reads one for each image, while its sender waits. Whatever is unusual is left to pydicom, which
knows it.
"""

import struct
from collections.abc import Container
from functools import lru_cache

from pydicom.charset import convert_encodings
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.tag import Tag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

CHARACTER_SET = 0x00080005

_ELEMENT = struct.Struct("<HH2sH")
_LENGTH = struct.Struct("<I")
_UNDEFINED = 0xFFFFFFFF
_WITH_16 = {str(one).encode(): str(one) for one in EXPLICIT_VR_LENGTH_16}
_WITH_32 = {str(one).encode(): str(one) for one in EXPLICIT_VR_LENGTH_32}

Raw = tuple[str, bytes]
"""Value representation, and the value as it stands."""


def elements(head: bytes, at: int, wanted: Container[int], last: int) -> dict[int, Raw] | None:
    """Return wanted elements, by tag.

    Parameters
    ----------
    head
        The first bytes of a file.
    at
        Where its data set begins.
    wanted
        Tags of what is returned.
    last
        Highest of them: the first element behind it ends the search.

    Returns
    -------
    dict | None
        None where the head does not end within these bytes, or holds what is not looked at here: a length
        that is not told, a value representation that the standard does not know.
    """
    found: dict[int, Raw] = {}
    try:
        while True:
            group, number, kind, length = _ELEMENT.unpack_from(head, at)
            tag = group << 16 | number
            if tag > last:
                return found
            at += _ELEMENT.size
            representation = _WITH_16.get(kind)
            if representation is None:
                representation = _WITH_32[kind]
                (length,) = _LENGTH.unpack_from(head, at)
                at += _LENGTH.size
                if length == _UNDEFINED:
                    return None
            end = at + length
            if tag in wanted:
                if end > len(head):
                    return None
                found[tag] = (representation, head[at:end])
            at = end
    except (struct.error, KeyError):
        return None


def text_of(raw: Raw | None) -> str:
    """Return the value of a UID; "" when there is none."""
    return "" if raw is None else raw[1].decode("ascii", "replace").rstrip("\0 ")


@lru_cache(maxsize=64)
def encodings(raw: Raw) -> tuple[str, ...]:
    """Return what Specific Character Set (0008,0005) says, by Python's names.

    Raises
    ------
    Exception
        Whatever pydicom raises for one that it does not know.
    """
    representation, value = raw
    one = RawDataElement(Tag(CHARACTER_SET), representation, len(value), value, 0, False, True)
    return tuple(convert_encodings(convert_raw_data_element(one).value))
