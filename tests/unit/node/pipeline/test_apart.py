import io
import json

import pytest
import structlog

from node.clock import SetClock
from node.errors import OutOfResources
from node.pipeline.apart import PAUSE_S, Apart


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


def broken() -> None:
    raise ZeroDivisionError("of Mr Muster")


def test_one_bug_stops_nobody_else(clock: SetClock) -> None:
    apart, done = Apart(clock), []
    apart.run("one", broken)
    apart.run("two", lambda: done.append("two"))
    assert done == ["two"]


def test_work_that_failed_is_left_alone_for_a_while(clock: SetClock) -> None:
    apart, tries = Apart(clock), []

    def failing() -> None:
        tries.append(clock.now())
        broken()

    for _ in range(3):
        apart.run("one", failing)
    assert len(tries) == 1
    clock.advance(PAUSE_S)
    apart.run("one", failing)
    assert len(tries) == 2


def test_work_that_succeeds_in_the_end_is_not_left_alone_any_more(clock: SetClock) -> None:
    apart, tries = Apart(clock), []
    apart.run("one", broken)
    clock.advance(PAUSE_S)
    for _ in range(3):
        apart.run("one", lambda: tries.append(1))
    assert len(tries) == 3


def test_what_the_node_raises_on_purpose_is_for_the_caller(clock: SetClock) -> None:
    def full() -> None:
        raise OutOfResources("database")

    apart = Apart(clock)
    for _ in range(2):
        with pytest.raises(OutOfResources):
            apart.run("one", full)


def test_the_failure_is_told_once_without_its_text(clock: SetClock) -> None:
    stream = io.StringIO()
    with structlog.testing.capture_logs() as captured:
        Apart(clock).run("one", broken, job_id="j")
    (record,) = captured
    assert (record["event"], record["job_id"]) == ("set aside for a while", "j")
    assert isinstance(record["exc"], ZeroDivisionError)
    assert json.dumps(stream.getvalue()) == '""'
