from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from pynetdicom import evt

from node.core.study import Arrival, Outcome
from node.dicom.admission import DRAINING, Admission, Caller
from node.dicom.command_set import StoreRequest
from node.dicom.handlers import Handlers, Taking
from node.errors import OutOfResources
from tests.unit.node.dicom.test_admission import Association, Room
from tests.unit.node.dicom.test_reception import EXPLICIT, data_set, send
from tests.unit.node.samples import MR, MemoryFile, dicom

REQUEST = StoreRequest(message_id=1, sop_class_uid=MR, sop_instance_uid="2.25.3001")


@dataclass
class Happened:
    """What pynetdicom gives a handler, as far as ours look at it."""

    assoc: Association


@dataclass
class Node:
    """What stands behind the listener, with its failures."""

    no_database: bool = False
    room: Room = field(default_factory=Room)
    received: list[Arrival] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    opened: list[tuple[str, str]] = field(default_factory=list)
    ended: list[tuple[str, bool]] = field(default_factory=list)

    def receive(self, arrival: Arrival) -> Outcome:
        self.received.append(arrival)
        return Outcome.STORED

    def incoming(self, association_id: str) -> MemoryFile:
        self.files.append(association_id)
        return MemoryFile(b"")

    def open(self, association_id: str, peer: str) -> None:
        if self.no_database:
            raise OutOfResources("database")
        self.opened.append((association_id, peer))

    def end(self, association_id: str, released: bool) -> None:
        if self.no_database:
            raise OutOfResources("database")
        self.ended.append((association_id, released))

    def handlers(self) -> Handlers:
        self.admission = Admission(
            ae_title="OVERREAD",
            callers={"MODALITY": Caller(), "PACS": Caller()},
            room=self.room,
            maximum_associations=5,
        )
        return Handlers(
            taking=Taking(
                incoming=self.incoming, receive=self.receive, opened=self.open, ended=self.end
            ),
            admission=self.admission,
            peers={"MODALITY": "modality", "PACS": "archive"},
        )


@pytest.fixture
def node() -> Node:
    return Node()


def store(handlers: Handlers, assoc: Association) -> int:
    reception: Any = handlers.begin(assoc)(REQUEST, EXPLICIT)
    return send(reception, data_set(dicom()))


def test_an_association_is_opened_once_and_ended_once(node: Node) -> None:
    handlers, assoc = node.handlers(), Association()
    for _ in range(3):
        assert store(handlers, assoc) == 0
    handlers.released(Happened(assoc))
    handlers.broken(Happened(assoc))  # the connection closes after a release too
    (opened,) = node.opened
    assert node.ended == [(opened[0], True)]
    assert {arrival.association_id for arrival in node.received} == {opened[0]} == set(node.files)


def test_an_association_that_breaks(node: Node) -> None:
    handlers, assoc = node.handlers(), Association()
    store(handlers, assoc)
    handlers.broken(Happened(assoc))
    handlers.broken(Happened(assoc))
    assert node.ended == [(node.opened[0][0], False)]


def test_an_association_that_brought_nothing_is_nobodys_business(node: Node) -> None:
    handlers, assoc = node.handlers(), Association()
    assert handlers.echo(Happened(assoc)) == 0x0000
    handlers.released(Happened(assoc))
    assert node.opened == []
    assert node.ended == []


def test_two_associations_of_two_peers(node: Node) -> None:
    handlers = node.handlers()
    first, second = Association(), Association(calling=" PACS ")
    store(handlers, first)
    store(handlers, second)
    handlers.released(Happened(second))
    handlers.broken(Happened(first))
    (one, one_peer), (two, two_peer) = node.opened
    assert (one_peer, two_peer) == ("modality", "archive")
    assert node.ended == [(two, True), (one, False)]
    assert [arrival.peer for arrival in node.received] == ["modality", "archive"]


def test_without_a_database_nothing_is_taken_and_the_next_try_starts_anew(node: Node) -> None:
    handlers, assoc = node.handlers(), Association()
    node.no_database = True
    assert store(handlers, assoc) == 0xA700
    assert node.received == []
    node.no_database = False
    assert store(handlers, assoc) == 0
    assert len(node.opened) == 1


def test_a_full_disk_takes_nothing(node: Node) -> None:
    node.room.full = True
    assert store(node.handlers(), Association()) == 0xA700
    assert node.files == []


def test_an_end_that_cannot_be_recorded_ends_nothing_else(node: Node) -> None:
    handlers, assoc = node.handlers(), Association()
    store(handlers, assoc)
    node.no_database = True
    handlers.released(Happened(assoc))
    assert node.ended == []


def test_an_association_that_may_not_come_in_is_told_so(node: Node) -> None:
    handlers, assoc = node.handlers(), Association()
    handlers.requested(Happened(assoc))
    assert assoc.rejected == []
    node.admission.draining = True
    handlers.requested(Happened(assoc))
    assert assoc.rejected == [(DRAINING.result, DRAINING.source, DRAINING.diagnostic)]
    assert assoc.killed


def test_a_user_identity_is_noted_by_its_kind_and_never_by_its_text(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    assoc = Association()
    assoc.requestor.user_identity = SimpleNamespace(
        user_identity_type=2, primary_field=b"erika", secondary_field=b"secret"
    )
    node.handlers().requested(Happened(assoc))
    told = capsys.readouterr().out
    assert "user and passcode" in told
    assert "erika" not in told
    assert "secret" not in told
    assert assoc.rejected == []


def test_every_event_that_is_needed_is_bound(node: Node) -> None:
    bound: dict[Any, Any] = dict(node.handlers().bindings())
    assert set(bound) == {
        evt.EVT_REQUESTED,
        evt.EVT_C_ECHO,
        evt.EVT_RELEASED,
        evt.EVT_ABORTED,
        evt.EVT_CONN_CLOSE,
    }
