import socket
from dataclasses import dataclass, field
from typing import Any

import pytest
from pynetdicom import evt
from pynetdicom.events import InterventionEvent

from node.core.study import Arrival, Outcome
from node.dicom.handlers import Handlers
from node.errors import NotUnderstood, OutOfResources, Rejected
from tests.unit.node.samples import MR, dicom


@dataclass(eq=False)
class Requestor:
    ae_title: str = "MODALITY"


@dataclass(eq=False)
class Association:
    requestor: Requestor = field(default_factory=Requestor)


@dataclass
class Request:
    AffectedSOPClassUID: str = MR
    AffectedSOPInstanceUID: str = "2.25.3001"


@dataclass
class StoreEvent:
    """What pynetdicom gives a handler, as far as ours look at it."""

    assoc: Association = field(default_factory=Association)
    data: bytes = field(default_factory=dicom)
    request: Request = field(default_factory=Request)

    def encoded_dataset(self) -> bytes:
        return self.data


@dataclass
class Node:
    """What stands behind the listener, with its failures."""

    failure: Exception | None = None
    no_database: bool = False
    received: list[Arrival] = field(default_factory=list)
    opened: list[tuple[str, str]] = field(default_factory=list)
    ended: list[tuple[str, bool]] = field(default_factory=list)

    def receive(self, arrival: Arrival) -> Outcome:
        if self.failure is not None:
            raise self.failure
        self.received.append(arrival)
        return Outcome.STORED

    def open(self, association_id: str, peer: str) -> None:
        if self.no_database:
            raise OutOfResources("database")
        self.opened.append((association_id, peer))

    def end(self, association_id: str, released: bool) -> None:
        if self.no_database:
            raise OutOfResources("database")
        self.ended.append((association_id, released))

    def handlers(self) -> Handlers:
        return Handlers(
            receive=self.receive,
            opened=self.open,
            ended=self.end,
            peers={"MODALITY": "modality", "PACS": "archive"},
        )


@pytest.fixture
def node() -> Node:
    return Node()


def test_an_instance_that_is_safe_is_answered_success(node: Node) -> None:
    event = StoreEvent()
    assert node.handlers().store(event) == 0x0000
    (arrival,) = node.received
    assert arrival.data == event.data
    assert arrival.peer == "modality"
    assert arrival.header.sop_instance_uid == "2.25.3001"
    assert node.opened == [(arrival.association_id, "modality")]


@pytest.mark.parametrize(
    ("failure", "status"), [(OutOfResources("disk"), 0xA700), (NotUnderstood("bytes"), 0xC000)]
)
def test_what_was_not_received_is_not_success(node: Node, failure: Rejected, status: int) -> None:
    node.failure = failure
    assert node.handlers().store(StoreEvent()) == status


def test_a_bug_is_not_success_either(node: Node) -> None:
    node.failure = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):  # pynetdicom then answers C211
        node.handlers().store(StoreEvent())


def test_a_data_set_that_cannot_be_read(node: Node) -> None:
    assert node.handlers().store(StoreEvent(data=b"\0" * 200)) == 0xC000
    assert node.received == []


@pytest.mark.parametrize(
    "request_", [Request(AffectedSOPClassUID="1.2.3"), Request(AffectedSOPInstanceUID="1.2.3")]
)
def test_a_data_set_that_is_not_what_its_command_announced(node: Node, request_: Request) -> None:
    assert node.handlers().store(StoreEvent(request=request_)) == 0xA900
    assert node.received == []


def test_an_association_is_opened_once_and_ended_once(node: Node) -> None:
    handlers, event = node.handlers(), StoreEvent()
    for _ in range(3):
        assert handlers.store(event) == 0
    handlers.released(event)
    handlers.broken(event)  # the connection closes after a release too
    (opened,) = node.opened
    assert node.ended == [(opened[0], True)]
    assert {arrival.association_id for arrival in node.received} == {opened[0]}


def test_an_association_that_breaks(node: Node) -> None:
    handlers, event = node.handlers(), StoreEvent()
    handlers.store(event)
    handlers.broken(event)
    handlers.broken(event)
    assert node.ended == [(node.opened[0][0], False)]


def test_an_association_that_brought_nothing_is_nobodys_business(node: Node) -> None:
    handlers, event = node.handlers(), StoreEvent()
    assert handlers.echo(event) == 0x0000
    handlers.released(event)
    assert node.opened == []
    assert node.ended == []


def test_two_associations_of_two_peers(node: Node) -> None:
    handlers = node.handlers()
    first = StoreEvent()
    second = StoreEvent(assoc=Association(Requestor(" PACS ")))
    handlers.store(first)
    handlers.store(second)
    handlers.released(second)
    handlers.broken(first)
    (one, one_peer), (two, two_peer) = node.opened
    assert (one_peer, two_peer) == ("modality", "archive")
    assert node.ended == [(two, True), (one, False)]
    assert [arrival.peer for arrival in node.received] == ["modality", "archive"]


def test_without_a_database_nothing_is_taken_and_the_next_try_starts_anew(node: Node) -> None:
    handlers, event = node.handlers(), StoreEvent()
    node.no_database = True
    assert handlers.store(event) == 0xA700
    assert node.received == []
    node.no_database = False
    assert handlers.store(event) == 0
    assert len(node.opened) == 1


def test_an_end_that_cannot_be_recorded_ends_nothing_else(node: Node) -> None:
    handlers, event = node.handlers(), StoreEvent()
    handlers.store(event)
    node.no_database = True
    handlers.released(event)
    assert node.ended == []


def test_every_event_that_is_needed_is_bound(node: Node) -> None:
    bound: dict[Any, Any] = dict(node.handlers().bindings())
    assert {evt.EVT_C_ECHO, evt.EVT_C_STORE, evt.EVT_RELEASED, evt.EVT_ABORTED} <= set(bound)
    assert evt.EVT_CONN_CLOSE in bound
    assert isinstance(evt.EVT_C_STORE, InterventionEvent)


@dataclass
class Transport:
    socket: Any


@dataclass
class Dul:
    socket: Transport | None


@dataclass
class Wired:
    dul: Dul


@dataclass
class WireEvent:
    assoc: Wired


def test_answers_do_not_wait_on_the_wire(node: Node) -> None:
    noted: list[tuple[int, int, int]] = []

    class Noting:
        def setsockopt(self, level: int, option: int, value: int) -> None:
            noted.append((level, option, value))

    event = WireEvent(Wired(Dul(Transport(Noting()))))
    node.handlers().connected(event)
    node.handlers().acknowledge(event)
    assert noted == [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1),
    ]


@pytest.mark.parametrize("transport", [None, Transport(None)])
def test_a_connection_that_is_gone_needs_no_acknowledgement(
    node: Node, transport: Transport | None
) -> None:
    node.handlers().acknowledge(WireEvent(Wired(Dul(transport))))
