"""Two associations bring something under one UID at the same moment: nothing is lost, nothing stands twice."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any, BinaryIO

import pytest

from node.core.study import Header, Outcome, Received
from node.pipeline.receive import receive
from node.store.index import IntakeStore
from tests.contract.nodes import Node
from tests.contract.stores import ENGINES
from tests.unit.node.samples import arrival

DEADLINE_S = 20.0
CORRECTED = {"PatientID": "OVR-000077"}
OTHER = {"SeriesDescription": "OTHER"}


@pytest.fixture(params=sorted(ENGINES))
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    with Node.opened(request.param, tmp_path) as empty:
        yield empty


class Paused:
    """The slower of two associations: it stops at one point until the faster one has been answered."""

    def __init__(self) -> None:
        self.there, self.go_on = Event(), Event()

    def __call__(self) -> None:
        if not self.there.is_set():
            self.there.set()
            assert self.go_on.wait(DEADLINE_S)


class AtTheRecord(IntakeStore):
    """Stops when the file has its name and is not recorded yet."""

    pause: Callable[[], None]

    def record_all(self, received: Sequence[Received]) -> list[Outcome | None]:
        self.pause()
        return super().record_all(received)


def same_image(_: str, __: BinaryIO) -> tuple[Header, bool | None]:
    """Find the same pixels under the header that was kept first."""
    return arrival().header, True


def other_image(_: str, __: BinaryIO) -> tuple[Header, bool | None]:
    return arrival().header, False


Compare = Callable[[str, BinaryIO], tuple[Header, bool | None]]


def bring(node: Node, intake: IntakeStore, compare: Compare, **attributes: Any) -> Outcome:
    return receive(arrival(file=node.files.incoming("a1"), **attributes), intake, compare)


def race(
    slower: Callable[[], Outcome], faster: Callable[[], Outcome], pause: Paused
) -> list[Outcome]:
    """Run both; tell the outcome of the faster one first."""
    outcomes: list[Outcome] = []
    thread = Thread(target=lambda: outcomes.append(slower()))
    thread.start()
    try:
        assert pause.there.wait(DEADLINE_S)
        outcomes.append(faster())
    finally:
        pause.go_on.set()
        thread.join(DEADLINE_S)
    return outcomes


def test_a_correction_that_two_bring_is_recorded_once_and_its_file_stays(node: Node) -> None:
    assert node.take(1) is Outcome.STORED
    pause = Paused()

    def compare_late(path: str, arriving: BinaryIO) -> tuple[Header, bool | None]:
        pause()
        return same_image(path, arriving)

    outcomes = race(
        lambda: bring(node, node.store.another().intake, compare_late, **CORRECTED),
        lambda: bring(node, node.store.intake, same_image, **CORRECTED),
        pause,
    )
    # the slower one gave the file its name, and finds what it brings on record when it looks again
    assert outcomes == [Outcome.CORRECTION, Outcome.DUPLICATE]
    node.assert_adds_up()
    assert not list((node.files.root / "incoming").rglob("a1.*"))


@pytest.mark.parametrize(
    ("attributes", "outcomes", "files"),
    [
        ({}, [Outcome.STORED, Outcome.DUPLICATE], 1),
        (OTHER, [Outcome.STORED, Outcome.CONFLICT], 2),
    ],
    ids=["one content", "two contents"],
)
def test_a_new_uid_that_two_bring(
    node: Node, attributes: dict[str, Any], outcomes: list[Outcome], files: int
) -> None:
    pause = Paused()
    late = AtTheRecord(node.store.another().database, "listener:2")
    late.pause = pause
    raced = race(
        lambda: bring(node, late, other_image, **attributes),
        lambda: bring(node, node.store.intake, other_image),
        pause,
    )
    assert raced == outcomes
    assert len(node.on_disk()) == files
    node.assert_adds_up()
