"""A wire between the node and a peer that a test may cut, or on which it may hold answers back."""

import contextlib
import socket
import threading
from collections.abc import Iterator

CHUNK = 1 << 16


class Wire:
    """Carries every connection to a port of loopback on to another one.

    Parameters
    ----------
    port
        Where it listens while it is not cut.
    target_port
        Where the peer listens.
    """

    def __init__(self, port: int, target_port: int) -> None:
        self.port = port
        self._target_port = target_port
        self._server: socket.socket | None = None
        self._connections: list[socket.socket] = []
        self._held_method: bytes | None = None
        self._waiting: list[threading.Event] = []
        self._lock = threading.Lock()

    def mend(self) -> None:
        """Take connections."""
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def cut(self) -> None:
        """Refuse connections, and end those that stand."""
        self.let_go()
        if self._server is not None:
            # closing alone would not wake the thread that accepts
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
            self._server = None
        with self._lock:
            connections, self._connections = self._connections, []
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def hold_answers_to(self, method: str) -> None:
        """Hold back every answer on a connection whose next request has this HTTP method."""
        self._held_method = method.encode()

    def let_go(self) -> None:
        """Hold nothing back any more."""
        with self._lock:
            self._held_method = None
            waiting, self._waiting = self._waiting, []
        for gate in waiting:
            gate.set()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                near, _ = server.accept()
                far = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:
                return
            with self._lock:
                self._connections += [near, far]
            gate = threading.Event()
            gate.set()
            for work in ((self._ask, near, far, gate), (self._answer, far, near, gate)):
                threading.Thread(target=work[0], args=work[1:], daemon=True).start()

    def _ask(self, near: socket.socket, far: socket.socket, gate: threading.Event) -> None:
        for chunk in _chunks(near):
            with self._lock:
                # a client of HTTP/1.1 asks again only after the answer: a request begins with a chunk
                if self._held_method and chunk.startswith(self._held_method + b" "):
                    gate.clear()
                    self._waiting.append(gate)
            _send(far, chunk)
        with contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_WR)

    def _answer(self, far: socket.socket, near: socket.socket, gate: threading.Event) -> None:
        for chunk in _chunks(far):
            gate.wait(timeout=120)
            _send(near, chunk)
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_WR)


def _chunks(source: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK):
            yield chunk


def _send(target: socket.socket, chunk: bytes) -> None:
    with contextlib.suppress(OSError):
        target.sendall(chunk)


@contextlib.contextmanager
def wire(port: int, target_port: int) -> Iterator[Wire]:
    """Lay a wire, whole; it is cut at the end."""
    laid = Wire(port, target_port)
    laid.mend()
    try:
        yield laid
    finally:
        laid.cut()
