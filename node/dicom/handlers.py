"""What the listener does when something happens on an association.

pynetdicom calls intervention handlers (C-ECHO, C-STORE), which return a status, and notification
handlers (release, abort, close), which return nothing.
"""

import socket
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from pynetdicom import evt
from pynetdicom.events import Event

from node.core.study import Arrival, Outcome
from node.dicom.header import read_header
from node.dicom.status import SUCCESS, status_of
from node.errors import DoesNotMatch, Rejected
from node.telemetry import log, log_failure

Receive = Callable[[Arrival], Outcome]


class Handlers:
    """The listener's answers.

    Parameters
    ----------
    receive
        Makes one instance durable and records it (`node.pipeline.receive`).
    opened, ended
        Told of the first instance of an association, and of how it ended.
    peers
        Name of each peer by its AE title.
    """

    def __init__(
        self,
        *,
        receive: Receive,
        opened: Callable[[str, str], None],
        ended: Callable[[str, bool], None],
        peers: Mapping[str, str],
    ) -> None:
        self._receive = receive
        self._opened = opened
        self._ended = ended
        self._peers = peers
        self._associations: dict[Any, tuple[str, str]] = {}
        self._lock = threading.Lock()

    def bindings(self) -> list[Any]:
        """Return the handlers as pynetdicom wants them."""
        prompt = [(evt.EVT_DATA_RECV, self.acknowledge), (evt.EVT_DATA_SENT, self.acknowledge)]
        return [
            *(prompt if hasattr(socket, "TCP_QUICKACK") else ()),
            (evt.EVT_CONN_OPEN, self.connected),
            (evt.EVT_C_ECHO, self.echo),
            (evt.EVT_C_STORE, self.store),
            (evt.EVT_RELEASED, self.released),
            (evt.EVT_ABORTED, self.broken),
            (evt.EVT_CONN_CLOSE, self.broken),
        ]

    def connected(self, event: Event) -> None:
        """Answer at once: a response of two small segments must not wait for the peer's acknowledgement."""
        event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def acknowledge(self, event: Event) -> None:
        """Acknowledge what arrived at once (Linux).

        A sender with Nagle's algorithm on, as DCMTK's, holds the end of every instance back until then: 40 ms
        for each. The kernel forgets the option, so it is set again after every PDU.
        """
        transport = event.assoc.dul.socket
        if transport is not None and transport.socket is not None:
            transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def echo(self, _: Event) -> int:
        """C-ECHO (PS3.4 A.4): always Success."""
        return SUCCESS

    def store(self, event: Event) -> int:
        """C-STORE (PS3.4 B.2): Success only when the instance is durable and recorded.

        A bug of ours ends as C211 (pynetdicom's answer for an exception); the sender keeps the instance.
        """
        try:
            self._receive(self._arrival(event))
        except Rejected as error:
            status = status_of(error)
            log("instance rejected", status=f"{status:04X}", detail=str(error))
            return status
        return SUCCESS

    def released(self, event: Event) -> None:
        """Note that the peer released the association: it has sent what it wanted."""
        self._end(event, released=True)

    def broken(self, event: Event) -> None:
        """Note that the association ended in another way, unless it was released before."""
        self._end(event, released=False)

    def _arrival(self, event: Event) -> Arrival:
        association_id, peer = self._association(event)
        data = event.encoded_dataset()
        header = read_header(data)
        announced = (
            str(event.request.AffectedSOPClassUID),
            str(event.request.AffectedSOPInstanceUID),
        )
        _compare((header.sop_class_uid, header.sop_instance_uid), announced)
        return Arrival(header=header, data=data, association_id=association_id, peer=peer)

    def _association(self, event: Event) -> tuple[str, str]:
        with self._lock:
            known = self._associations.get(event.assoc)
        if known is not None:
            return known
        peer = self._peers[event.assoc.requestor.ae_title.strip()]
        association = (uuid.uuid4().hex, peer)
        self._opened(*association)
        with self._lock:
            self._associations[event.assoc] = association
        log("association opened", association_id=association[0], peer=peer)
        return association

    def _end(self, event: Event, *, released: bool) -> None:
        with self._lock:
            known = self._associations.pop(event.assoc, None)
        if known is None:
            return
        try:
            self._ended(known[0], released)
        except Rejected as error:
            # the series then waits for its long quiet time; nothing is lost
            log_failure("association end not recorded", error, association_id=known[0])
        outcome = "released" if released else "broken"
        log("association ended", association_id=known[0], peer=known[1], outcome=outcome)


def _compare(found: tuple[str, str], announced: tuple[str, str]) -> None:
    if found != announced:
        raise DoesNotMatch("the data set names another SOP class or instance than the command")
