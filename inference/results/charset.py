"""Text of a source, decoded whatever its Specific Character Set says.

Real headers name a character set, none, one that does not exist, or the wrong one. Nothing here ever
loses a character to a question mark: what the named set cannot decode is tried as UTF-8, then as ISO
2022 with its own escapes, and is Latin-1 otherwise (every byte is a character there).
"""

import re
import warnings
from collections.abc import Sequence

from pydicom.charset import CODES_TO_ENCODINGS, convert_encodings, decode_bytes, default_encoding

UNICODE = "ISO_IR 192"
"""Specific Character Set (0008,0005) of everything that we write."""

_ESCAPE = b"\x1b"
_TEXT_DELIMITERS = set(b"\t\n\f\r\\")
_NAME_DELIMITERS = set(b"^=\\")
_ALL_ENCODINGS = [default_encoding, *sorted(set(CODES_TO_ENCODINGS.values()))]


def decode(value: bytes, character_set: Sequence[str], *, person_name: bool = False) -> str:
    r"""Return the text of one element's value, all its values with their ``\`` between them.

    Parameters
    ----------
    value
        The bytes as they stand in the source.
    character_set
        The values of Specific Character Set (0008,0005); empty when it is absent.
    person_name
        Whether ``^`` and ``=`` end a code extension too (PS3.5 6.1.2.5.3).
    """
    value = value.rstrip(b"\0 ")
    if value.isascii() and _ESCAPE not in value:
        return value.decode("ascii")
    delimiters = _NAME_DELIMITERS if person_name else _TEXT_DELIMITERS
    named = _named(value, character_set, delimiters)
    return _unnamed(value, delimiters) if named is None else named


def _named(value: bytes, character_set: Sequence[str], delimiters: set[int]) -> str | None:
    """Decode by the named set; None when none is named or it does not fit the bytes."""
    if not any(character_set):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pydicom warns where it would go on with another set
        try:
            encodings = convert_encodings([_spelt_right(term) for term in character_set])
            text = decode_bytes(value, encodings, delimiters)
        except (UnicodeError, LookupError, UserWarning):
            return None
    return None if _ESCAPE.decode() in text else text


def _spelt_right(term: str) -> str:
    """Mend ``ISO-IR 100`` and ``ISO_2022_IR_87``, which devices write."""
    term = re.sub(r"^ISO[-_ ]IR[-_ ]?", "ISO_IR ", term.strip())
    return re.sub(r"^ISO[-_ ]2022[-_ ]IR[-_ ]", "ISO 2022 IR ", term)


def _unnamed(value: bytes, delimiters: set[int]) -> str:
    if _ESCAPE in value:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                return decode_bytes(value, _ALL_ENCODINGS, delimiters)
            except (UnicodeError, LookupError, UserWarning):
                return value.decode("latin-1")
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
