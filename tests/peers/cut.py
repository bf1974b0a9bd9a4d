"""A wire that is cut once, at a chosen stage of a chosen request: what loses a request or its answer.

It reads along as much as it must to know where it is: PDUs (PS3.8 9.3) on an association, Content-Length on
a connection of HTTP. When it has cut, it carries everything.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from tests.peers import wait_for


class Stage(StrEnum):
    """Where the connection ends."""

    BEFORE_LAST_BYTE = "before the last byte of the request"
    AFTER_LAST_BYTE = "after the last byte of the request, when it was answered"
    WITHIN_HEAD = "within the head of the response"
    WITHIN_BODY = "within the body of the response"
    AFTER_RESPONSE = "after the response, before anything else"


class Ended(Exception):
    """A side ended the connection."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is carried at once.

    Parameters
    ----------
    content
        Its bytes: a PDU, or an HTTP message.
    head
        How many of them are its head.
    decisive
        It is the last, or only, one of a request of the kind that is counted.
    """

    content: bytes
    head: int
    decisive: bool


Reading = Callable[[socket.socket], Message]
"""Reads one message.

Raises
------
Ended
    There is none.
"""

_P_DATA_TF = 4
_LAST_OF_DATA_SET = 2
"""Message control header (PS3.8 E.2): bit 0 is clear, this is no command; bit 1 is set, the last fragment."""


def dicom(source: socket.socket) -> Message:
    """Read one PDU; the last P-DATA-TF of a data set is decisive, which a C-STORE request ends with."""
    header = _exactly(source, 6)
    body = _exactly(source, int.from_bytes(header[2:], "big"))
    return Message(header + body, 6, header[0] == _P_DATA_TF and _ends_data_set(body))


def _ends_data_set(body: bytes) -> bool:
    place = 0
    while place < len(body):
        length = int.from_bytes(body[place : place + 4], "big")
        if body[place + 5] & 3 == _LAST_OF_DATA_SET:
            return True
        place += 4 + length
    return False


def http(source: socket.socket) -> Message:
    """Read one HTTP message whole; a POST is decisive."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += _exactly(source, 1)
    lines = head.lower().split(b"\r\n")
    lengths = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
    body = _exactly(source, lengths[0]) if lengths else b""
    return Message(head + body, len(head), head.startswith(b"POST "))


def _exactly(source: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        try:
            more = source.recv(count - len(content))
        except OSError:
            more = b""
        if not more:
            raise Ended
        content += more
    return content


class CutWire:
    """Carries connections to a port of loopback on to another one, and cuts one of them.

    Parameters
    ----------
    target_port
        Where the peer listens.
    reading
        `dicom` or `http`.
    stage
        Where it cuts.
    request
        Which of the requests that are counted is the one, from 1, over all connections.
    """

    def __init__(
        self, target_port: int, reading: Reading, stage: Stage, *, request: int = 1
    ) -> None:
        self._target_port = target_port
        self._reading = reading
        self._stage = stage
        self._left = request
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.has_cut = False
        """Whether it has cut yet."""
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end(self._server)
        with self._lock:
            left, self._open = self._open, set()
        self._end(*left)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:
                return
            with self._lock:
                self._open |= {near, far}
            threading.Thread(target=self._serve, args=(near, far), daemon=True).start()

    def _serve(self, near: socket.socket, far: socket.socket) -> None:
        """Carry requests; every answer is carried beside, but the one to the request that is the one."""
        decided = threading.Event()
        answers = threading.Thread(target=self._answer, args=(near, far, decided), daemon=True)
        answers.start()
        with contextlib.suppress(Ended, OSError):
            while not decided.is_set():
                message = self._reading(near)
                if message.decisive and self._is_the_one():
                    decided.set()
                    if self._stage is Stage.BEFORE_LAST_BYTE:
                        far.sendall(message.content[:-1])
                        self._cut(near, far)
                        return
                far.sendall(message.content)
            answers.join()
            return
        with contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_WR)

    def _is_the_one(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left == 0

    def _answer(self, near: socket.socket, far: socket.socket, decided: threading.Event) -> None:
        with contextlib.suppress(Ended, OSError):
            while True:
                answer = self._reading(far)
                if decided.is_set():
                    near.sendall(answer.content[: self._carried(answer)])
                    self._cut(near, far)
                    return
                near.sendall(answer.content)
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_WR)

    def _carried(self, answer: Message) -> int:
        """How many bytes of the answer to the one request are carried."""
        whole = len(answer.content)
        match self._stage:
            case Stage.WITHIN_HEAD:
                return answer.head // 2
            case Stage.WITHIN_BODY:
                return answer.head + (whole - answer.head) // 2
            case Stage.AFTER_RESPONSE:
                return whole
            case _:
                return 0

    def _cut(self, *sockets: socket.socket) -> None:
        self.has_cut = True
        self._end(*sockets)

    def _end(self, *sockets: socket.socket) -> None:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        with self._lock:
            self._open -= set(sockets)


@contextlib.contextmanager
def cut_wire(
    target_port: int, reading: Reading, stage: Stage, *, request: int = 1
) -> Iterator[CutWire]:
    """Lay a wire; it must have cut by the end."""
    with CutWire(target_port, reading, stage, request=request) as laid:
        yield laid
        wait_for(lambda: laid.has_cut, timeout_s=10, what=f"the cut {stage}")
