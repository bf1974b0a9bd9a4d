"""FHIR JSON, with every decimal's digits as they were meant.

FHIR R4 `decimal` (datatypes, Decimal): the precision is part of the value, ``8.50`` is not ``8.5``. Neither
Python's `json` nor the `fhir.resources` models keep it when they write, so numbers are `Decimal` here.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

Resource = dict[str, Any]
"""A resource as parsed JSON, its decimals as `Decimal`."""


def encode(value: object) -> str:
    """Write JSON, in the order of the mapping's keys and without white space.

    Raises
    ------
    TypeError
        A value has no form in JSON.
    """
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        members = (f"{json.dumps(name)}:{encode(member)}" for name, member in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(encode(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def decode(text: str | bytes) -> Resource:
    """Read a JSON object.

    Raises
    ------
    ValueError
        It is not a JSON object. The text is not part of the error: it may name a patient.
    """
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 -- the text is wrong, not our call
    return value


def _no_number(name: str) -> None:
    raise ValueError(f"JSON has no {name}")
