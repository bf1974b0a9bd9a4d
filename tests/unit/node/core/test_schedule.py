from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from node.core.schedule import Daily, last_due


def moment(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-03-01T03:00", "2026-03-01T03:00"),
        ("2026-03-01T02:59", "2026-02-28T03:00"),
        ("2026-03-01T23:59", "2026-03-01T03:00"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Vienna", "Pacific/Auckland"])
def test_the_last_time_the_clock_showed_it(now: str, due: str, zone: str) -> None:
    assert last_due(moment(now, zone), Daily(at="03:00", zone=zone)) == moment(due, zone)


def test_once_a_day_when_the_clock_is_changed() -> None:
    half_past_two = Daily(at="02:30", zone="Europe/Vienna")
    for day in ("2026-03-29", "2026-10-25"):  # forward: 02:30 is skipped; back: it comes twice
        times = {
            last_due(moment(f"{day}T00:00", "Europe/Vienna") + minute * 60, half_past_two)
            for minute in range(180, 24 * 60, 7)
        }
        assert len({at for at in times if at >= moment(f"{day}T00:00", "Europe/Vienna")}) == 1
