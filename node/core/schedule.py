"""Work that is done once a day, at a time of a given place."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Daily:
    """A time of every day.

    Parameters
    ----------
    at
        ``HH:MM``. On a day whose clock skips it, the moment that the skipped time would have been.
    zone
        IANA name of the place's time zone.
    """

    at: str
    zone: str


def last_due(now: float, daily: Daily) -> float:
    """Return the latest moment, not after `now`, at which the clock of a place showed a time.

    Parameters
    ----------
    now
        Seconds since 1970.
    """
    place = ZoneInfo(daily.zone)
    today = datetime.fromtimestamp(now, tz=place).date()
    moments = (
        datetime.combine(day, time.fromisoformat(daily.at), tzinfo=place).timestamp()
        for day in (today, today - timedelta(days=1))
    )
    return next(moment for moment in moments if moment <= now)
