"""A model's answer as a file, so that its objects can be built again without asking the model.

One NumPy archive (``.npz``): every array of the answer beside one member ``answer.json`` with all else.
"""

import dataclasses
import io
import json
import typing
import zipfile
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np

from inference.card import Card
from inference.errors import AnswerUnreadable
from inference.findings import Result
from inference.volume import Series

VERSION = 1
_JSON = "answer.json"
_ELSEWHERE = ("card", "series")
"""Parts of a result that its node keeps anyway: the model's card, and the images."""


def pack(result: Result, about: Mapping[str, Any]) -> bytes:
    """Return the answer as one file.

    Parameters
    ----------
    about
        What else belongs to it, in values that JSON knows.

    Raises
    ------
    TypeError
        A part of the result is of a class that its type hints do not name: a bug.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    parts = {
        field.name: _plain(getattr(result, field.name), arrays)
        for field in dataclasses.fields(result)
        if field.name not in _ELSEWHERE
    }
    told = {
        "version": VERSION,
        "model": [result.card.key, result.card.version],
        "about": dict(about),
        "result": parts,
    }
    buffer = io.BytesIO()
    # level 1: masks are mostly runs, and somebody waits for the result
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(_JSON, json.dumps(told))
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.save(member, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def unpack(data: bytes, card: Card, series: Series) -> tuple[Result, Mapping[str, Any]]:
    """Return what `pack` was given.

    Parameters
    ----------
    card, series
        Those of the answer; they are not in the file.

    Raises
    ------
    AnswerUnreadable
        The file is damaged, of another version of this software, or another model's.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            told = json.loads(archive.read(_JSON))
            if told["version"] != VERSION or told["model"] != [card.key, card.version]:
                raise AnswerUnreadable("the answer is another model's, or of another version")
            parts = {name: _whole(value, archive) for name, value in told["result"].items()}
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError) as error:
        raise AnswerUnreadable(f"the answer cannot be read: {type(error).__name__}") from error
    about: Mapping[str, Any] = told["about"]
    return Result(card=card, series=series, **parts), about


def _kinds(hint: Any, found: dict[str, type[Any]]) -> dict[str, type[Any]]:
    """Add the classes that a value of type `hint` may consist of: nothing else is ever made from a file."""
    for part in typing.get_args(hint):
        _kinds(part, found)
    if not isinstance(hint, type) or hint.__name__ in found:
        return found
    name: str = hint.__name__
    if issubclass(hint, Enum):
        found[name] = hint
    elif dataclasses.is_dataclass(hint):
        found[name] = hint
        for part, of in typing.get_type_hints(hint).items():
            if name != Result.__name__ or part not in _ELSEWHERE:
                _kinds(of, found)
    return found


_KINDS = _kinds(Result, {})


def _plain(value: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    match value:
        case np.ndarray():
            name = f"array{len(arrays)}"
            arrays[name] = value
            return {"array": name}
        case np.generic():
            return value.item()
        case Enum():
            return {"kind": _known(value), "value": value.value}
        case list() | tuple():
            return [_plain(item, arrays) for item in value]
        case Mapping():
            return {"map": {key: _plain(item, arrays) for key, item in value.items()}}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {
                field.name: _plain(getattr(value, field.name), arrays)
                for field in dataclasses.fields(value)
            }
            return {"kind": _known(value), "fields": fields}
        case _:
            return value


def _known(value: Any) -> str:
    """Return the name of a value's class, which a reader must know.

    Raises
    ------
    TypeError
        The class does not stand in the type hints of `Result`: a bug.
    """
    name = type(value).__name__
    if _KINDS.get(name) is not type(value):
        raise TypeError(f"{name} is no part of a Result by its type hints")
    return name


def _whole(value: Any, archive: zipfile.ZipFile) -> Any:
    match value:
        case {"array": str(name)}:
            with archive.open(f"{name}.npy") as member:
                return np.load(member, allow_pickle=False)
        case {"kind": name, "value": plain}:
            return _KINDS[name](plain)
        case {"kind": name, "fields": fields}:
            return _KINDS[name](**{key: _whole(item, archive) for key, item in fields.items()})
        case {"map": items}:
            return {key: _whole(item, archive) for key, item in items.items()}
        case list():
            return tuple(_whole(item, archive) for item in value)
        case _:
            return value
