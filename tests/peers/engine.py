"""An interface engine that takes ORU^R01 by MLLP, and can be told to fail at every stage of an exchange.

It keeps to the standard's one rule for repeats: a control id has one effect, and its answer is the first one.
"""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from socketserver import BaseRequestHandler, ThreadingTCPServer

from integrations.hl7.mllp import END, START, Unframer, framed


class Fault(StrEnum):
    """What goes wrong in one exchange."""

    CUT_BEFORE_LAST_BYTE = "the connection ends before the message's last byte is read"
    CUT_AFTER_LAST_BYTE = "the connection ends after it, without an answer"
    CUT_WITHIN_HEAD = "the connection ends within the answer's MSH"
    CUT_WITHIN_BODY = "the connection ends within the answer's MSA"
    CUT_BEFORE_END = "the connection ends before the answer's last byte"
    RESET_AFTER_ANSWER = "the connection is reset right behind the answer"
    HANG = "no answer, and the connection stays"
    SLOW = "an answer byte by byte, that is never through in time"
    HTTP = "a web server answers"
    ENDLESS = "an answer that does not end"
    EMPTY = "an empty block"
    NO_MSA = "a message that is no acknowledgment"
    OTHER_ID = "an acknowledgment of another message"
    NO_CODE = "an acknowledgment with a code that there is none"


PASSES = {
    Fault.CUT_BEFORE_LAST_BYTE,
    Fault.CUT_AFTER_LAST_BYTE,
    Fault.CUT_WITHIN_HEAD,
    Fault.CUT_WITHIN_BODY,
    Fault.CUT_BEFORE_END,
    Fault.HANG,
    Fault.SLOW,
}
"""Faults after which the same message is to be sent again."""
_UNREAD = {Fault.CUT_BEFORE_LAST_BYTE, Fault.HTTP}
_CUT_AT = {Fault.CUT_WITHIN_HEAD: 20, Fault.CUT_WITHIN_BODY: -20, Fault.CUT_BEFORE_END: -1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One message as it was filed."""

    control_id: str
    patient: str
    status: str
    observations: dict[tuple[str, str], tuple[str, str]]
    """OBX-11 and OBX-5 by OBX-3 and OBX-4."""


@dataclass(slots=True, kw_only=True)
class Engine:
    """Reports by filler order number.

    Parameters
    ----------
    answers
        What the next exchanges come to, one each: a fault, an answer such as ``AR`` or ``AE-207``, or None for
        AA, which is also what comes when nothing is told any more.
    """

    port: int = 0
    answers: list[Fault | str | None] = field(default_factory=list)
    taken: dict[str, bytes] = field(default_factory=dict)
    """What had an effect, by control id."""
    arrivals: list[str] = field(default_factory=list)
    """Control id of every message that was read whole."""
    reports: dict[str, list[Version]] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_answer(self) -> Fault | str | None:
        """Take what the next exchange comes to."""
        with self._lock:
            return self.answers.pop(0) if self.answers else None

    def take(self, message: bytes, told: Fault | str | None) -> bytes:
        """File a message unless it is there, and write its answer."""
        fields = _fields(message)
        control_id = fields["MSH"][0][9]
        code, _, condition = told.partition("-") if type(told) is str else ("AA", "", "")
        with self._lock:
            self.arrivals.append(control_id)
            known = self.taken.get(control_id)
            if known not in {None, message}:
                code, condition = "AE", "205"
            elif known is None and code in {"AA", "CA"}:
                self.taken[control_id] = message
                filler = fields["OBR"][0][3].split("^")[0]
                self.reports.setdefault(filler, []).append(_version(control_id, fields))
        return _acknowledgment(code, control_id, condition)


def _fields(message: bytes) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for line in message.decode("utf-8").split("\r"):
        if line:
            found.setdefault(line[:3], []).append(line.split("|"))
    return found


def _version(control_id: str, fields: dict[str, list[list[str]]]) -> Version:
    return Version(
        control_id=control_id,
        patient=fields["PID"][0][3],
        status=fields["OBR"][0][25],
        observations={(one[3], one[4]): (one[11], one[5]) for one in fields["OBX"]},
    )


def _acknowledgment(code: str, control_id: str, condition: str) -> bytes:
    head = f"MSH|^~\\&|ENGINE|GH|||20260601||ACK^R01^ACK|{control_id}A|P|2.5.1\r"
    error = f"ERR||PID^1^5|{condition}^Doe\\S\\Colin^HL70357|E|||Doe Colin\r" if condition else ""
    return f"{head}MSA|{code}|{control_id}\r{error}".encode()


_SENT_INSTEAD = {
    Fault.HTTP: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    Fault.ENDLESS: START + b"MSH|" + b"x" * (1 << 17),
    Fault.EMPTY: START + END,
    Fault.NO_MSA: framed(b"MSH|^~\\&|ENGINE||||||ADT^A08|1|P|2.5.1\rPID|1||4711\r"),
    Fault.OTHER_ID: framed(_acknowledgment("AA", "SOMEBODYELSES", "")),
    Fault.NO_CODE: framed(_acknowledgment("OK", "1", "")),
}


class _Exchange(BaseRequestHandler):
    request: socket.socket

    def handle(self) -> None:
        engine: Engine = self.server.engine  # type: ignore[attr-defined] # set by `running_engine`
        told = engine.next_answer()
        unframer = Unframer()
        while data := self.request.recv(64 if told in _UNREAD else 65536):
            if told is Fault.CUT_BEFORE_LAST_BYTE:
                return self._reset()
            if told is Fault.HTTP:
                return self.request.sendall(_SENT_INSTEAD[Fault.HTTP])
            for message in unframer.feed(data):
                self._answer(engine, told, framed(engine.take(message, told)))
                return None
        return None

    def _answer(self, engine: Engine, told: Fault | str | None, answer: bytes) -> None:
        if told in _SENT_INSTEAD:
            self.request.sendall(_SENT_INSTEAD[Fault(told)])
        elif told in _CUT_AT:
            self.request.sendall(answer[: _CUT_AT[Fault(told)]])
        elif told is Fault.HANG:
            engine.ended.wait(30)
        elif told is Fault.SLOW:
            self._slowly(engine, answer)
        elif told is not Fault.CUT_AFTER_LAST_BYTE:
            self.request.sendall(answer)
            if told is Fault.RESET_AFTER_ANSWER:
                self._reset()

    def _slowly(self, engine: Engine, answer: bytes) -> None:
        for byte in answer:
            self.request.sendall(bytes([byte]))
            if engine.ended.wait(0.05):
                return

    def _reset(self) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.request.close()


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: whoever is answered slowly hangs up, and that is meant."""


@contextmanager
def running_engine(tls: ssl.SSLContext | None = None) -> Iterator[Engine]:
    """Let one listen on a free port of loopback."""
    with _Server(("127.0.0.1", 0), _Exchange) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        engine = Engine(port=server.server_address[1])
        server.engine = engine  # type: ignore[attr-defined] # for its handlers
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield engine
        finally:
            engine.ended.set()
            server.shutdown()
            thread.join()
