"""The DICOM upper layer of one association (PS3.8), as a bounded reader of its connection.

pynetdicom keeps the state machine, the negotiation and every message but C-STORE. Its reader is replaced
here, because it takes any length that a PDU declares into memory, and polls a thousand times a second.
"""

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from typing import Any

from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from node.dicom.fragments import P_DATA_TF, Begin, StoreMessages, pdus
from node.errors import NotUnderstood
from node.telemetry import log

LONGEST_ASSOCIATE = 512 * 1024
"""Bytes of an A-ASSOCIATE PDU: 128 presentation contexts with every syntax are a quarter of it."""

LOOK_S = 0.1
"""How often a silent association looks at its timers."""

LINGER_S, LINGER_BYTES = 1.0, 4 << 20
"""What is read and thrown away after an abort, so that the peer sees the A-ABORT and not a reset."""

_A_ABORT = bytes.fromhex("070000000004 00 00 02 01")
"""By the service provider, unrecognized PDU (PS3.8 9.3.8)."""

_HEAD = struct.Struct(">BBI")
_ASSOCIATE = (0x01, 0x02)
_FIXED = (0x03, 0x05, 0x06, 0x07)


class Doorbell(threading.Event):
    """What the thread that serves an association waits at: pynetdicom's pause, and our "something came".

    pynetdicom's loop asks its queues each time that `wait` returns; here it returns when one of them may
    hold something, instead of every millisecond.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rung = threading.Event()
        self.set()

    def ring(self) -> None:
        """Say that something came."""
        self._rung.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until something came, or `LOOK_S` went by, and the association is not paused."""
        while True:
            super().wait()
            self._rung.wait(LOOK_S)
            self._rung.clear()
            if self.is_set():
                return True


class UpperLayer(DULServiceProvider):  # type: ignore[misc]  # pynetdicom has no types
    """Reads and writes the PDUs of one association.

    Parameters
    ----------
    assoc
        pynetdicom's association.
    begin
        Takes the instance of a C-STORE.
    maximum_pdu_bytes
        What we advertised: a longer P-DATA-TF aborts the association before its body is read.
    pdu_timeout_s
        How long one PDU may take to arrive.
    doorbell
        Rung when there is something for the association's own thread.
    """

    def __init__(
        self,
        assoc: Any,
        *,
        begin: Begin,
        maximum_pdu_bytes: int,
        pdu_timeout_s: float,
        doorbell: Doorbell,
    ) -> None:
        super().__init__(assoc)
        self._run_loop_delay = 0.0  # `_is_transport_event` waits, and wakes at once
        self._begin = begin
        self._maximum_pdu_bytes = maximum_pdu_bytes
        self._pdu_timeout_s = pdu_timeout_s
        self._doorbell = doorbell
        self._buffer = bytearray()
        self._messages: StoreMessages | None = None
        self._serving = False
        self._waker, self._woken = socket.socketpair()
        self._woken.setblocking(False)

    def run_reactor(self) -> None:
        """Run until the association is over; a half-received instance is forgotten then."""
        try:
            super().run_reactor()
        except Exception as error:
            # whatever pynetdicom raises for items of a PDU that it has decoded and cannot use
            log("PDU refused", reason=type(error).__name__)
            self._break_off()
        finally:
            self._kill_thread = True
            # who waits for an association request need not wait longer
            self.to_user_queue.put(None)
            if self._messages is not None:
                self._messages.abandon()
            self._doorbell.ring()
            self._waker.close()
            self._woken.close()

    def _break_off(self) -> None:
        """Say that the association is aborted, without the state machine, which has failed."""
        wire = self.socket.socket if self.socket is not None else None
        if wire is not None:
            with contextlib.suppress(OSError):
                wire.sendall(_A_ABORT)
        self.assoc.is_aborted = True
        self.assoc.is_established = False

    def send_pdu(self, primitive: Any) -> None:
        """Queue what pynetdicom has to say, and wake the thread that sends it."""
        super().send_pdu(primitive)
        self._wake()

    def kill_dul(self) -> None:
        """End the thread."""
        super().kill_dul()
        self._wake()

    def idle_timer_expired(self) -> bool:
        """Whether the peer was silent for too long; while we work on its instance it is us who are."""
        return not self._serving and super().idle_timer_expired()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # the thread is over, or is being woken already
            self._waker.send(b"\0", socket.MSG_DONTWAIT)

    def _is_transport_event(self) -> bool:
        if not self.to_user_queue.empty() or not self.assoc.dimse.msg_queue.empty():
            self._doorbell.ring()
        if not self.event_queue.empty():
            return False  # what is known already comes first: it may end the association
        wire = self.socket.socket if self.socket is not None else None
        if self.state_machine.current_state == "Sta13" and wire is not None:
            self._linger(wire)
            self.socket.close()
            return True
        if not self._readable(wire):
            return False
        self._read_pdu_data()
        while self._arriving() and self._readable(wire):
            self._read_pdu_data()  # pynetdicom has nothing to do before the instance is there
        return True

    def _arriving(self) -> bool:
        """Whether an instance is under way, and nothing else to be done."""
        return (
            self._messages is not None
            and self._messages.arriving
            and self.event_queue.empty()
            and self.to_provider_queue.empty()
            and not self._kill_thread
        )

    def _readable(self, wire: socket.socket | None) -> bool:
        pending = isinstance(wire, ssl.SSLSocket) and wire.pending() > 0
        busy = pending or not self.to_provider_queue.empty()
        watched = [self._woken] if wire is None else [self._woken, wire]
        try:
            ready, _, _ = select.select(watched, [], [], 0 if busy else LOOK_S)
        except (OSError, ValueError):
            self.event_queue.put("Evt17")
            return False
        if self._woken in ready:
            with contextlib.suppress(OSError):
                self._woken.recv(4096)
        return pending or (wire is not None and wire in ready)

    def _read_pdu_data(self) -> None:
        deadline = time.monotonic() + self._pdu_timeout_s
        received = self._receive(_HEAD.size, deadline)
        if received is None:
            return
        head = bytes(received)
        kind, _, length = _HEAD.unpack(head)
        if length > self._longest(kind):
            log("PDU refused", count=kind, bytes=length, reason="TOO-LONG-OR-UNKNOWN")
            self.event_queue.put("Evt19")
            return
        body = self._receive(length, deadline)
        if body is None:
            return
        if kind == P_DATA_TF and self.state_machine.current_state == "Sta6":
            self._take(body)
            return
        try:
            pdu, event = self._decode_pdu(bytearray(head) + body)
        except Exception as error:
            # whatever pynetdicom raises for bytes that are no PDU: the association is aborted
            log("PDU refused", count=kind, bytes=length, reason=type(error).__name__)
            self.event_queue.put("Evt19")
            return
        self.event_queue.put(event)
        self._recv_pdu.put(pdu)

    def _longest(self, kind: int) -> int:
        if kind == P_DATA_TF:
            return self._maximum_pdu_bytes
        return LONGEST_ASSOCIATE if kind in _ASSOCIATE else 4 if kind in _FIXED else -1

    def _receive(self, length: int, deadline: float) -> memoryview | None:
        """Return the next bytes, in a buffer that is used again; None when the connection ended."""
        if len(self._buffer) < length:
            self._buffer = bytearray(length)
        view = memoryview(self._buffer)[:length]
        wire = self.socket.socket if self.socket is not None else None
        filled = 0
        while filled < length:
            try:
                count = wire.recv_into(view[filled:]) if wire is not None else 0
                _acknowledge(wire)
            except OSError:
                count = 0
            if count == 0 or time.monotonic() > deadline:
                if filled or length > _HEAD.size:
                    log("PDU broken off", bytes=filled, count=length)
                self.event_queue.put("Evt17")
                return None
            filled += count
        return view

    def _take(self, body: memoryview) -> None:
        if self._messages is None:
            self._messages = StoreMessages(
                begin=self._begin,
                syntaxes={
                    context_id: str(context.transfer_syntax[0])
                    for context_id, context in self.assoc._accepted_cx.items()  # noqa: SLF001
                    if context.abstract_syntax
                },
                hand_on=self._hand_on,
                answer=self._answer,
            )
        self._serving = True
        try:
            self._messages.take(body)
        except NotUnderstood as error:
            log("P-DATA refused", detail=str(error))
            self.event_queue.put("Evt19")
        finally:
            self._serving = False

    def _hand_on(self, context_id: int, control: int, fragment: bytes) -> None:
        primitive = P_DATA()
        primitive.presentation_data_value_list.append((context_id, bytes([control]) + fragment))
        self.assoc.dimse.receive_primitive(primitive)

    def _answer(self, context_id: int, command: bytes) -> None:
        for pdu in pdus(context_id, command, self.assoc.requestor.maximum_length or 0):
            self.socket.send(pdu)
        _acknowledge(self.socket.socket)

    def _linger(self, wire: socket.socket) -> None:
        """Say that we are done, and throw away what is still coming: a reset would overtake the A-ABORT."""
        until, left = time.monotonic() + LINGER_S, LINGER_BYTES
        with contextlib.suppress(OSError):
            wire.shutdown(socket.SHUT_WR)
            while left > 0 and time.monotonic() < until:
                wire.settimeout(LINGER_S)
                count = len(wire.recv(1 << 16))
                if count == 0:
                    return
                left -= count


def _acknowledge(wire: socket.socket | None) -> None:
    """Acknowledge what arrived at once (Linux).

    A sender with Nagle's algorithm on, as DCMTK's, holds the end of every instance back until then: 40 ms
    for each. The kernel forgets the option, so it is set again after every read.
    """
    if wire is not None and hasattr(socket, "TCP_QUICKACK"):
        with contextlib.suppress(OSError):
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
