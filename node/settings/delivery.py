"""How a destination is served, and which results it gets: ``delivery`` and ``takes`` of a peer."""

import re
from collections.abc import Mapping, Sequence
from datetime import time
from typing import Any

from pydantic import Field, field_validator, model_validator

from inference.selection import Selection, SelectionInvalid, parse
from node.core.lane import Backoff, Closing, Lane
from node.core.routing import RESULT_KEYS
from node.settings.kinds import Seconds, Table, TimeZone

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CLOSED = re.compile(
    r"(?:(?P<day>Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?"
    r"(?P<begins>(?:[01]\d|2[0-3]):[0-5]\d)-(?P<ends>(?:[01]\d|2[0-3]):[0-5]\d)"
)


class DeliveryTable(Table):
    """``delivery`` of a peer: how it is served."""

    concurrency: int = Field(1, ge=1, le=16, description="Deliveries at a time.")
    backoff_first_s: Seconds = Field(2.0, description="Pause after the first failure.")
    backoff_longest_s: Seconds = Field(900.0, description="Longest pause.")
    breaker_after: int = Field(
        3, ge=1, description="Failures in a row after which one delivery at a time is tried."
    )
    closed: tuple[str, ...] = Field((), description="When nothing is delivered.")
    time_zone: TimeZone = Field("UTC", description="IANA time zone of `closed` and of the day.")
    daily_cap: int | None = Field(None, ge=1, description="Deliveries that one day may bring.")

    @field_validator("closed")
    @classmethod
    def _understood(cls, closed: tuple[str, ...]) -> tuple[str, ...]:
        for one in closed:
            closing(one)
        return closed

    @model_validator(mode="after")
    def _ordered(self) -> "DeliveryTable":
        if self.backoff_first_s > self.backoff_longest_s:
            raise ValueError("backoff_first_s is longer than backoff_longest_s")
        return self

    def lane(self, destination: str) -> Lane:
        """Return the destination's lane as the core knows it."""
        return Lane(
            destination=destination,
            concurrency=self.concurrency,
            breaker_after=self.breaker_after,
            backoff=Backoff(first_s=self.backoff_first_s, longest_s=self.backoff_longest_s),
            closed=tuple(closing(one) for one in self.closed),
            zone=self.time_zone,
            daily_cap=self.daily_cap,
        )


def closing(text: str) -> Closing:
    """Read ``HH:MM-HH:MM``, with a day before it or for every day.

    Raises
    ------
    ValueError
        It is written otherwise, or ends as it begins.
    """
    read = _CLOSED.fullmatch(text)
    if read is None or read["begins"] == read["ends"]:
        raise ValueError(f'"{text}": expected "HH:MM-HH:MM" or "Sun HH:MM-HH:MM"')
    return Closing(
        begins=time.fromisoformat(read["begins"]),
        ends=time.fromisoformat(read["ends"]),
        weekday=DAYS.index(read["day"]) if read["day"] else None,
    )


def criteria(takes: Sequence[Mapping[str, Any]]) -> tuple[Selection, ...]:
    """Read the criteria over results.

    Raises
    ------
    SelectionInvalid
        One is not understood, asks for what no result says, or would want everything.
    """
    faults: list[str] = []
    read = []
    for place, table in enumerate(takes):
        unknown = [key for key in table if key not in RESULT_KEYS and "/" not in key]
        known = ", ".join((*RESULT_KEYS, "LABEL/QUANTITY"))
        faults += [f"takes.{place}.{key}: a result has {known}" for key in unknown]
        faults += [] if table else [f"takes.{place}: would take all"]
        try:
            read.append(parse(table))
        except SelectionInvalid as error:
            faults += [f"takes.{place}.{fault}" for fault in error.faults]
    if faults:
        raise SelectionInvalid(faults)
    return tuple(read)
