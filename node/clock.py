"""The time, as something that is passed in."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""
        return time.time()  # noqa: TID251 - the one place that may look


class SetClock:
    """A clock for tests, which stands still until it is moved."""

    def __init__(self, now: float = 1_792_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z, as last set."""
        return self.time

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.time += seconds


def at(seconds: float) -> datetime:
    """Return the aware UTC moment of `seconds` since 1970."""
    return datetime.fromtimestamp(seconds, tz=UTC)
