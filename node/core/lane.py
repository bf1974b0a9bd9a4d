"""How one destination is served: how many deliveries at a time, when, how many a day, how soon again.

Each destination has a lane of its own, so that no delivery waits for another one's destination.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MOST_DOUBLINGS = 40
"""More of them would leave the range of numbers, and every cap is reached long before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long is waited after a failure: twice as long each time, up to a cap, for as long as it takes.

    Parameters
    ----------
    first_s, longest_s
        Seconds after the first failure, and the most.
    """

    first_s: float = 2.0
    longest_s: float = 900.0

    def delay_s(self, failures: int, key: str) -> float:
        """Return how long is waited after so many failures in a row, between half of it and all.

        Parameters
        ----------
        failures
            1 after the first.
        key
            What the spread follows from, so that those who failed together do not come again together; the
            same key gives the same delay.
        """
        whole = min(self.first_s * 2.0 ** min(failures - 1, MOST_DOUBLINGS), self.longest_s)
        return whole * (0.5 + zlib.crc32(key.encode()) / 0x1_FFFF_FFFE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A time of the day at which nothing is sent, such as a maintenance window.

    Parameters
    ----------
    begins, ends
        By the clock of the destination's place. One that ends before it begins goes over midnight.
    weekday
        The day on which it begins, 0 for Monday; None for every day.
    """

    begins: time
    ends: time
    weekday: int | None = None

    def holds(self, moment: datetime) -> bool:
        """Whether a moment of the place's clock lies in it; the end does not."""
        clock = moment.time()
        if self.begins < self.ends:
            return self._on(moment.date()) and self.begins <= clock < self.ends
        if clock >= self.begins:
            return self._on(moment.date())
        return clock < self.ends and self._on(moment.date() - timedelta(days=1))

    def _on(self, day: date) -> bool:
        return self.weekday is None or day.weekday() == self.weekday


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One destination's own queue.

    Parameters
    ----------
    destination
        The peer's name.
    concurrency
        Deliveries and withdrawals at a time, over all processes.
    breaker_after
        After so many failures in a row nothing but one delivery at a time is tried.
    backoff
        When a delivery that failed is tried again, and a destination that does not answer.
    closed
        When nothing is delivered.
    zone
        IANA name of the time zone in which `closed` and the day of `daily_cap` are meant.
    daily_cap
        Deliveries that one day may bring; None without a limit.
    """

    destination: str
    concurrency: int = 1
    breaker_after: int = 3
    backoff: Backoff = Backoff()
    closed: Sequence[Closing] = ()
    zone: str = "UTC"
    daily_cap: int | None = None

    def is_closed(self, now: float) -> bool:
        """Whether nothing is delivered now, in seconds since 1970."""
        if not self.closed:
            return False
        moment = datetime.fromtimestamp(now, tz=ZoneInfo(self.zone))
        return any(one.holds(moment) for one in self.closed)

    def day_began(self, now: float) -> float:
        """Return when the day of the destination's place began, in seconds since 1970."""
        place = ZoneInfo(self.zone)
        today = datetime.fromtimestamp(now, tz=place).date()
        return datetime.combine(today, time(0), tzinfo=place).timestamp()
