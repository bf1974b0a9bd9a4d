"""A destination behind a wire that misbehaves: hangs, answers a byte at a time, lets nobody in, says 500.

The peer itself is well, and everything that reaches it is counted there.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

CHUNK = 1 << 16
REJECTED = bytes.fromhex("0300000000040001" + "0107")
"""A-ASSOCIATE-RJ (PS3.8 9.3.4): permanent, by the service user, called AE title not recognised."""
WELL, DOWN, HANGING, SLOW, REFUSING = "well", "down", "hanging", "slow", "refusing"
REASONS = {
    401: "Unauthorized",
    409: "Conflict",
    412: "Precondition Failed",
    429: "Too Many Requests",
    500: "Internal Server Error",
}


class SickWire:
    """Carries connections to a port of loopback on to another one, unless it is told otherwise.

    Parameters
    ----------
    target_port
        Where the peer listens.
    slow_s
        Pause after each byte of an answer, when it is slow.
    """

    def __init__(self, target_port: int, *, slow_s: float = 1.0) -> None:
        self._target_port = target_port
        self._slow_s = slow_s
        self._mode: str | int = WELL
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._ended = False
        self.attempts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def mode(self) -> str | int:
        """How it behaves: one of the words of this module, or an HTTP status."""
        return self._mode

    def become(self, mode: str | int) -> None:
        """Behave so from now on; connections that stand are ended."""
        self._mode = mode
        self._drop()

    def end(self) -> None:
        """End it."""
        self._ended = True
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._drop()

    def _drop(self) -> None:
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while not self._ended:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            self.attempts += 1
            with self._lock:
                self._sockets.add(near)
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        match self._mode:
            case "down":
                # the kernel would say so at once if nobody listened; a reset is the same to who calls
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                near.close()
            case "hanging":
                return  # held, and never read
            case "refusing":
                with contextlib.suppress(OSError):
                    near.recv(CHUNK)
                    near.sendall(REJECTED)
                    near.recv(CHUNK)
            case int() as status:
                self._answer(near, status)
            case mode:
                self._carry(near, self._slow_s if mode == SLOW else 0.0)

    def _answer(self, near: socket.socket, status: int) -> None:
        """Answer every request of an HTTP connection with one status."""
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Length: 0\r\n\r\n".encode()
        with contextlib.suppress(OSError):
            while _request(near):
                near.sendall(head)

    def _carry(self, near: socket.socket, pause_s: float) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._target_port))
        except OSError:
            near.close()
            return
        with self._lock:
            self._sockets.add(far)
        threading.Thread(target=_pipe, args=(near, far, 0.0), daemon=True).start()
        _pipe(far, near, pause_s)
        with self._lock:
            self._sockets -= {near, far}
        near.close()
        far.close()


def _pipe(source: socket.socket, target: socket.socket, pause_s: float) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK):
            if not pause_s:
                target.sendall(chunk)
                continue
            for place in range(len(chunk)):
                target.sendall(chunk[place : place + 1])
                time.sleep(pause_s)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _request(near: socket.socket) -> bool:
    """Read one HTTP request with its body; False when there is none."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = near.recv(CHUNK)
        if not more:
            return False
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ),
        0,
    )
    while len(body) < length:
        more = near.recv(CHUNK)
        if not more:
            return False
        body += more
    return True


@contextlib.contextmanager
def sick_wire(target_port: int, *, slow_s: float = 1.0) -> Iterator[SickWire]:
    """Lay a wire that is well, and end it."""
    wire = SickWire(target_port, slow_s=slow_s)
    try:
        yield wire
    finally:
        wire.end()
