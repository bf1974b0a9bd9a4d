"""Reading the file and the environment, with every error at once."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from inference.selection import SelectionInvalid
from node.errors import SettingsInvalid
from node.settings.whole import Settings


def load(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the configuration.

    Raises
    ------
    SettingsInvalid
        The file is absent or wrong; every error is told at once.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsInvalid((f"{path}: {error.strerror}",)) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid((f"{path}: {error}",)) from error
    _override(table, path, os.environ if environment is None else environment)
    try:
        return Settings.model_validate(table)
    except ValidationError as error:
        raise SettingsInvalid(
            tuple(told for fault in error.errors() for told in _told(path, table, fault))
        ) from error


def _told(path: Path, table: Mapping[str, Any], fault: ErrorDetails) -> list[str]:
    """Say one error of the file, a rule by its name; one of criteria is as many as it holds."""
    place = [str(part) for part in fault["loc"]]
    if len(place) > 1 and place[0] == "rule":
        name = table["rule"][int(place[1])].get("name", place[1])
        place = [f'rule "{name}"', ".".join(place[2:])]
    else:
        place = [".".join(place) or "file"]
    cause = fault.get("ctx", {}).get("error")
    words = cause.faults if isinstance(cause, SelectionInvalid) else (fault["msg"],)
    return [": ".join(part for part in (str(path), *place, word) if part) for word in words]


def _override(table: dict[str, Any], path: Path, environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        section, _, key = name.removeprefix("OVERREAD_").lower().partition("__")
        if name.startswith("OVERREAD_") and key:
            values = table.setdefault(section, {})
            if not isinstance(values, dict):
                raise SettingsInvalid((f"{name}: {section} in {path} is no single table",))
            values[key] = value
