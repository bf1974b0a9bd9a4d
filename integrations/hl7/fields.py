r"""Values as the fields of a message of HL7 version 2.5.1 (chapter 2.5 to 2.7, and 2.A).

Delimiters are ``|^~\&``. Only what is in a value is escaped, so a value can end no field and no segment.
"""

import base64
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal

from integrations.concepts import ucum_code
from integrations.lineage import derived_uuid
from integrations.report import Coding

_DELIMITERS = str.maketrans({
    "|": "\\F\\",
    "^": "\\S\\",
    "&": "\\T\\",
    "~": "\\R\\",
    "\\": "\\E\\",
})
_NO_TEXT = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Categories of characters that end something or cannot be sent. Joiners, which names need, are not in them."""

_TABLE_0396 = frozenset({"SCT", "DCM", "LN", "UCUM", "RADLEX", "RADELEMENT", "FMA"})
LONGEST_NUMBER = 20
"""Characters of MSH-10 and OBX-4 (chapters 2.14.9 and 7.4.2); what is longer may be cut off."""


def segment(name: str, fields: Mapping[int, str]) -> str:
    """Write a segment whose fields, by their numbers, are written already."""
    values = [fields.get(number, "") for number in range(1, max(fields) + 1)]
    return "|".join([name, *values])


def composite(*components: str) -> str:
    """Write a value of several components, each of which is escaped; empty ones at its end are left out."""
    return "^".join(map(escaped, components)).rstrip("^")


def escaped(text: str) -> str:
    """Write text of one line with its delimiters escaped."""
    line = " ".join(text.splitlines())
    plain = "".join(one for one in line if unicodedata.category(one) not in _NO_TEXT)
    return plain.translate(_DELIMITERS)


def paragraphs(text: str) -> str:
    r"""Write text of several lines (TX), with ``\.br\`` between them."""
    return "\\.br\\".join(map(escaped, text.splitlines()))


def coded(concept: Coding, label: str | None = None) -> str:
    """Write a coded element (CE, CWE).

    Parameters
    ----------
    label
        What people should read, as the site's own second code where it is another text than the meaning.
    """
    own = label not in {None, concept.meaning}
    second = (label, label, "99OVERREAD") if own and label else ()
    return composite(concept.value, concept.meaning, _system(concept.scheme), *second)


def _system(scheme: str) -> str:
    """Return a coding scheme as HL7 table 0396 has it: private ones as there, others as local."""
    return scheme if scheme in _TABLE_0396 or scheme.startswith("99") else "L"


def units(unit: Coding) -> str:
    """Write a unit (OBX-6): always with its system."""
    code = ucum_code(unit)
    return composite(code, code, "UCUM")


def number(value: str) -> str:
    """Write a number (NM) with the digits that were meant; NM has no exponent."""
    return f"{Decimal(value):f}"


def time_stamp(value: date | datetime | None) -> str:
    """Write a time (TS): a time of the day only together with its offset, else the date alone."""
    if value is None:
        return ""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        return value.strftime("%Y%m%d")
    return f"{value:%Y%m%d%H%M%S}.{value.microsecond // 100:04}{value:%z}"[:24]


def token(*parts: str, length: int = LONGEST_NUMBER) -> str:
    """Derive a number that stands for `parts`, the same at every call: letters and the digits 2 to 7."""
    return base64.b32encode(derived_uuid("hl7", *parts).bytes).decode("ascii")[:length]
