"""What values of the file may be."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from node.core.counts import count_name

AeTitle = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=16, pattern=r"^[\x20-\x5b\x5d-\x7e]+$"
    ),
]
"""PS3.5 6.2, VR AE: 1 to 16 printable characters without backslash, spaces around it without meaning."""
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Network = IPv4Network | IPv6Network
Share = Annotated[float, Field(gt=0, le=1)]
Uid = Annotated[str, StringConstraints(max_length=64, pattern=r"^(0|[1-9]\d*)(\.(0|[1-9]\d*))+$")]
Role = Literal["source", "archive", "ehr", "oru", "orders"]
TAKES_RESULTS: frozenset[Role] = frozenset({"archive", "ehr", "oru"})
"""Roles of which a destination has one."""
ClockTime = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
"""A time of the day, ``HH:MM``."""


def _known_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name}") from error


TimeZone = Annotated[str, AfterValidator(_known_zone)]
CountName = Annotated[str, AfterValidator(count_name)]
"""A count of images: a keyword, or ``gggg,ee CREATOR``."""


class Table(BaseModel):
    """Base of every table of the file: unknown keys are errors."""

    # the wrong value may be a secret that somebody wrote where its place belongs
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
