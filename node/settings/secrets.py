"""Where a secret stands, and its reading: the file of the configuration names the place, never the secret.

Three places: ``env:EHR_TOKEN`` (an environment variable), ``file:/run/secrets/ehr`` (a file, as containers
mount them) and ``credential:ehr`` (a systemd credential: a file in ``$CREDENTIALS_DIRECTORY``,
systemd.exec(5)). A secret that was read is wrapped, so that neither `repr` nor a log or a traceback shows it.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from node.errors import SettingsInvalid
from node.settings.kinds import Table

_PLACE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/.+|credential:[^/]+")
_LONGEST = 1 << 16
"""Bytes; no token, password or key is longer, and a wrong path may lead to a large file."""


def _place(text: str) -> str:
    if _PLACE.fullmatch(text) is None:
        # the text is left out: who wrote the secret itself here must not find it in a log
        raise ValueError("a secret is named as env:NAME, file:/PATH or credential:NAME")
    return text


SecretPlace = Annotated[str, AfterValidator(_place)]
"""A place as the configuration names it."""


class TokenTable(Table):
    """What every HTTP service of a peer has that asks for a bearer token."""

    token: SecretPlace | None = Field(
        None, description="Where a bearer token stands: env:NAME, file:/PATH or credential:NAME."
    )
    token_env: str | None = Field(
        None, description="Environment variable that holds a bearer token."
    )

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.token is not None and self.token_env is not None:
            raise ValueError("token and token_env are two names of one thing")
        return self

    @property
    def token_place(self) -> SecretPlace | None:
        """Where the token stands, in whichever way it was named; None without one."""
        return self.token if self.token_env is None else f"env:{self.token_env}"


def read_secret(place: str, whose: str, environment: Mapping[str, str] | None = None) -> SecretStr:
    """Read the secret that stands at a place; white space at its end does not belong to it.

    Parameters
    ----------
    place
        A `SecretPlace`.
    whose
        Who needs it, for the error: ``peer ehr: token``.
    environment
        None for the process's own.

    Raises
    ------
    SettingsInvalid
        The place is empty or cannot be read; the administrator mends it.
    """
    known = os.environ if environment is None else environment
    kind, _, name = place.partition(":")
    match kind:
        case "env":
            text = known.get(name, "")
        case "credential":
            folder = known.get("CREDENTIALS_DIRECTORY")
            if not folder:
                raise SettingsInvalid((f"{whose}: {place}: CREDENTIALS_DIRECTORY is not set",))
            text = _read(Path(folder) / name, whose, place)
        case _:
            text = _read(Path(name), whose, place)
    if not text.strip():
        raise SettingsInvalid((f"{whose}: {place} is not set or empty",))
    return SecretStr(text.rstrip())


def _read(path: Path, whose: str, place: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as error:
        raise SettingsInvalid((f"{whose}: {place}: {error.strerror}",)) from None
    if len(content) > _LONGEST:
        raise SettingsInvalid((f"{whose}: {place} is longer than {_LONGEST} bytes",))
    try:
        return content.decode()
    except UnicodeDecodeError:  # its text quotes the bytes
        raise SettingsInvalid((f"{whose}: {place} is not UTF-8 text",)) from None
