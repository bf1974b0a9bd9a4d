"""When something in the record was so, and whether that was before a study.

A value that was not provably there when the study was made may be its consequence, and a model that is given it
has seen the future. So a day stands for its end, and a date without a time does not count on the study's day.
"""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from integrations.fhir.elements import one, text
from integrations.fhir.wire import Resource

_DATE_TIME = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(T.+)?)?)?")
"""FHIR R4 dateTime: a year, a month, a day, or a moment, which has an offset."""


class Moment(NamedTuple):
    """One FHIR dateTime: the last day that it may mean, the exact moment where it is one, and the text."""

    day: date
    exact: datetime | None
    text: str

    @property
    def order(self) -> datetime:
        """What sorts moments by their time."""
        return self.exact or datetime.combine(self.day, time.max, tzinfo=UTC)

    def is_before(self, study: date | datetime) -> bool:
        """Whether it was so when the study was made, for certain."""
        if self.exact is not None and isinstance(study, datetime):
            return self.exact <= study
        return self.day < _day(study)

    def is_within(self, study: date | datetime, days: float | None) -> bool:
        """Whether it is not older than so many days; None for any age."""
        if days is None:
            return True
        if self.exact is not None and isinstance(study, datetime):
            return study - self.exact <= timedelta(days=days)
        return (_day(study) - self.day).days <= days


def read(written: str) -> Moment | None:
    """Read a FHIR dateTime or instant; None when it is neither."""
    found = _DATE_TIME.fullmatch(written)
    if found is None:
        return None
    year, month, day, clock = found.groups()
    try:
        if clock is not None:
            exact = datetime.fromisoformat(written)
            exact.astimezone(UTC)  # near the ends of the calendar an offset leads out of it
            return Moment(exact.date(), exact, written) if exact.tzinfo else None
        last_month = int(month or 12)
        last_day = int(day or monthrange(int(year), last_month)[1])
        return Moment(date(int(year), last_month, last_day), None, written)
    except (ValueError, OverflowError):
        return None


def of(resource: Resource, *names: str) -> list[Moment]:
    """Moments of elements that may be a dateTime, an instant or a Period, those that are there."""
    found = (read(_written(resource, name)) for name in names)
    return [moment for moment in found if moment is not None]


def _written(resource: dict[str, Any], name: str) -> str:
    """Return what an element says: of a period its end, or its beginning while it lasts."""
    period = one(resource, f"{name}Period") or one(resource, name)
    return (
        text(resource, name)
        or text(resource, f"{name}DateTime")
        or text(resource, f"{name}Instant")
        or text(period, "end")
        or text(period, "start")
    )


def _day(study: date | datetime) -> date:
    return study.date() if isinstance(study, datetime) else study
