import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from node.core.study import Promise
from node.errors import OutOfResources
from node.store import spool as module
from node.store.files import FileStore
from node.store.spool import Spool
from tests.peers import wait_for
from tests.unit.node.samples import arrival


class Node:
    """A spool, what it told, and which ends it noted."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root
        self.told: list[Promise] = []
        self.ends: list[tuple[str, bool]] = []
        self.failure: Exception | None = None
        self.noted = Event()
        self.spool = Spool(FileStore(root), self.told.append, self.ended)

    def ended(self, association_id: str, released: bool) -> None:
        self.noted.set()
        if self.failure is not None:
            raise self.failure
        self.ends.append((association_id, released))

    def bring(self, number: int = 1) -> str:
        self.spool.promise(arrival(number, file=self.spool.incoming("a1")))
        return self.told[-1].name

    def record(self, name: str) -> None:
        (self.root / "incoming" / name).unlink()


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setattr(module, "DRAIN_S", 0.2)
    node = Node(tmp_path / "files")
    yield node
    node.spool.close()


def test_the_recorder_is_told_what_was_promised(node: Node) -> None:
    name = node.bring()
    (promise,) = node.told
    assert promise.header == arrival().header
    assert (promise.association_id, promise.peer) == ("a1", "modality")
    assert (node.root / "incoming" / name).is_file()


def test_the_end_of_an_association_comes_after_its_records(node: Node) -> None:
    names = [node.bring(1), node.bring(2)]
    node.spool.ended("a1", True)
    node.spool.ended("a2", False)  # it brought nothing
    wait_for(lambda: node.ends == [("a2", False)], timeout_s=10, what="the other end")
    node.record(names[0])
    assert not wait_a_little(node)
    node.record(names[1])
    wait_for(lambda: node.ends == [("a2", False), ("a1", True)], timeout_s=10, what="its end")


def wait_a_little(node: Node) -> bool:
    node.noted.clear()
    return node.noted.wait(0.1)


def test_an_end_that_cannot_be_noted_leaves_the_next_one(node: Node) -> None:
    node.failure = OutOfResources("database")
    node.spool.ended("a1", True)
    assert node.noted.wait(10)
    node.failure = None
    node.spool.ended("a2", True)
    wait_for(lambda: node.ends == [("a2", True)], timeout_s=10, what="the next end")


def test_a_listener_that_stops_waits_for_records_but_not_for_ever(node: Node) -> None:
    node.bring()
    node.spool.ended("a1", True)
    node.spool.close()
    assert node.ends == []
    assert node.told[0].name.startswith("0/a1.")


def test_who_brings_more_than_is_recorded_waits(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    names = [node.bring(1), node.bring(2)]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            node.record(names[0])

    monkeypatch.setattr("node.store.spool.time.sleep", sleep)
    node.spool.incoming("a1").discard()
    assert len(slept) >= 3


def test_little_is_taken_when_nothing_is_recorded(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr("node.store.spool.time.monotonic", lambda: now[0])
    monkeypatch.setattr(module, "MOST", 3)
    names = [node.bring(1)]
    now[0] += module.PATIENCE_S - 1
    names.append(node.bring(2))
    now[0] += 2
    names.append(node.bring(3))  # to see whether it is recorded
    with pytest.raises(OutOfResources, match="nothing that arrives is recorded"):
        node.spool.incoming("a1")
    now[0] += module.TRY_S
    with pytest.raises(OutOfResources, match="nothing that arrives is recorded"):
        node.spool.incoming("a1")  # there are too many
    for name in names:
        node.record(name)
    node.spool.incoming("a1").discard()
    now[0] += 1000  # idle
    node.bring(4)
    node.spool.incoming("a1").discard()


def test_one_that_cannot_be_recorded_does_not_hide_the_others(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr("node.store.spool.time.monotonic", lambda: now[0])
    node.bring(1)
    now[0] += 10 * module.PATIENCE_S
    name = node.bring(2)  # to see whether it is recorded
    with pytest.raises(OutOfResources, match="nothing that arrives is recorded"):
        node.spool.incoming("a1")
    node.record(name)
    for _ in range(3):
        node.spool.incoming("a1").discard()
