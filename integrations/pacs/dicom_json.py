"""The DICOM JSON model (PS3.18 Annex F), as services write it, and some write it wrongly."""

import json
from collections.abc import Iterator
from typing import Any


def decoded(body: bytes) -> list[Any] | None:
    """Read a list of objects; None when it is none."""
    told = _loaded(body)
    return told if isinstance(told, list) else None


def objects(body: bytes) -> list[Any]:
    """Read a list of objects, or the one that stands without a list; empty when it is neither."""
    told = _loaded(body)
    if isinstance(told, dict):
        return [told]
    return told if isinstance(told, list) else []


def _loaded(body: bytes) -> Any:
    try:
        return json.loads(body) if body.strip() else []
    except ValueError:
        return None


def values(one: Any, tag: str) -> Iterator[str]:
    """Give the values of an attribute that are text, without padding."""
    for value in raw(one, tag):
        if isinstance(value, str):
            yield value.strip(" \0")


def raw(one: Any, tag: str) -> list[Any]:
    """Return the values of an attribute, the items of a sequence; empty where there are none."""
    attribute = one.get(tag) if isinstance(one, dict) else None
    told = attribute.get("Value") if isinstance(attribute, dict) else None
    return told if isinstance(told, list) else []
