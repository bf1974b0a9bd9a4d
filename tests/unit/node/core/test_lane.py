from datetime import UTC, datetime, time

import pytest

from node.core.lane import Backoff, Closing, Lane


def test_pauses_double_to_a_longest_one_and_never_end() -> None:
    backoff = Backoff(first_s=2.0, longest_s=900.0)
    longest = [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 900.0, 900.0]
    for failures, whole in enumerate(longest, start=1):
        for key in map(str, range(50)):
            assert whole / 2 <= backoff.delay_s(failures, key) <= whole
    assert backoff.delay_s(5_000_000, "a") <= 900.0


def test_pauses_are_spread_and_the_same_for_the_same_key() -> None:
    backoff = Backoff()
    pauses = [backoff.delay_s(10, f"2.25.{number}") for number in range(400)]
    assert pauses == [backoff.delay_s(10, f"2.25.{number}") for number in range(400)]
    for quarter in range(4):  # each quarter of the range has its share
        low, high = 450 + 112.5 * quarter, 450 + 112.5 * (quarter + 1)
        assert 60 <= sum(low <= pause < high for pause in pauses) <= 140


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def lane(*closed: Closing, zone: str = "UTC") -> Lane:
    return Lane(destination="pacs", closed=closed, zone=zone)


NIGHT = Closing(begins=time(2), ends=time(4))
SUNDAY = Closing(begins=time(22), ends=time(6), weekday=6)


@pytest.mark.parametrize(
    ("one", "when", "closed"),
    [
        (NIGHT, "2026-10-12T01:59", False),
        (NIGHT, "2026-10-12T02:00", True),
        (NIGHT, "2026-10-12T03:59", True),
        (NIGHT, "2026-10-12T04:00", False),
        (SUNDAY, "2026-10-11T21:59", False),
        (SUNDAY, "2026-10-11T22:00", True),  # a Sunday
        (SUNDAY, "2026-10-12T05:59", True),
        (SUNDAY, "2026-10-12T06:00", False),
        (SUNDAY, "2026-10-12T22:30", False),
        (SUNDAY, "2026-10-11T05:00", False),  # what began on Saturday is no Sunday's
    ],
)
def test_a_time_of_the_day_at_which_nothing_is_sent(one: Closing, when: str, closed: bool) -> None:
    assert lane(one).is_closed(moment(when)) is closed


def test_it_is_meant_by_the_clock_of_the_place() -> None:
    assert lane(NIGHT, zone="Europe/Berlin").is_closed(moment("2026-07-01T00:30"))
    assert not lane(NIGHT, zone="Europe/Berlin").is_closed(moment("2026-07-01T02:30"))
    assert not lane().is_closed(0)


def test_a_day_begins_at_the_places_midnight() -> None:
    berlin = lane(zone="Europe/Berlin")
    assert berlin.day_began(moment("2026-07-01T23:00")) == moment("2026-07-01T22:00")
    assert berlin.day_began(moment("2026-07-01T21:00")) == moment("2026-06-30T22:00")
