"""A server of MLLP: connections, their limits, and one answer for each message, in order."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from integrations.hl7.mllp import FramingError, Unframer, framed
from node.pipeline.feed import Caller
from node.telemetry import log, log_failure

LOOK_S = 0.25
"""How often a connection that waits looks whether the server drains."""

DRAIN_S = 5.0
"""How long messages that are being taken may need when the server drains."""

CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Limits of the server.

    Parameters
    ----------
    maximum_message_bytes
        Of one message; a longer one ends its connection.
    maximum_connections
        At one time; more are closed as they come.
    idle_timeout_s
        Silence after which a connection is closed.
    message_timeout_s
        Longest time for one message to arrive, from its first byte to its last, and for its answer to leave.
    handshake_timeout_s
        Longest TLS handshake.
    tls_context
        Returns the newest TLS context; None for a port without TLS.
    """

    maximum_message_bytes: int
    maximum_connections: int
    idle_timeout_s: float
    message_timeout_s: float
    handshake_timeout_s: float
    tls_context: Callable[[], ssl.SSLContext | None]


class MllpServer:
    """Accepts connections on a socket, and gives each of them a thread.

    Parameters
    ----------
    endpoint
        Its limits.
    admits
        Whether somebody may call from an address at all.
    answer
        Takes one message of a caller and returns its answer.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        admits: Callable[[str], bool],
        answer: Callable[[bytes, Caller], bytes],
    ) -> None:
        self._endpoint = endpoint
        self._admits = admits
        self._answer = answer
        self._stopping = threading.Event()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._acceptor: threading.Thread | None = None

    def start(self, listening: socket.socket) -> None:
        """Begin to accept; the socket listens already, and is closed by `drain`."""
        listening.settimeout(LOOK_S)
        self._acceptor = threading.Thread(target=self._accept, args=(listening,), daemon=True)
        self._acceptor.start()

    def drain(self) -> None:
        """Accept no more; messages that are being taken are answered first."""
        self._stopping.set()
        deadline = time.monotonic() + DRAIN_S
        with self._lock:
            running = [one for one in (self._acceptor, *self._threads) if one is not None]
        for thread in running:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _accept(self, listening: socket.socket) -> None:
        with listening:
            while not self._stopping.is_set():
                try:
                    connection, (address, *_) = listening.accept()
                except TimeoutError:
                    continue
                except (
                    OSError
                ) as error:  # out of descriptors: the connections that end give some back
                    log_failure("connection not accepted", error)
                    self._stopping.wait(LOOK_S)
                    continue
                self._begin(connection, str(address))

    def _begin(self, connection: socket.socket, address: str) -> None:
        reason = self._refusal(address)
        if reason is not None:
            log("connection refused", address=address, reason=reason)
            connection.close()
            return
        thread = threading.Thread(target=self._guard, args=(connection, address), daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _refusal(self, address: str) -> str | None:
        if not self._admits(address):
            return "WRONG-ADDRESS"
        with self._lock:
            full = len(self._threads) >= self._endpoint.maximum_connections
        return "TOO-MANY-CONNECTIONS" if full else None

    def _guard(self, connection: socket.socket, address: str) -> None:
        # the outermost frame of a connection's thread: whatever it meets costs this connection and no other
        try:
            with connection, self._secured(connection) as wire:
                _Connection(wire, address, self._endpoint, self._stopping).serve(self._answer)
        except FramingError as error:
            log("connection ended", address=address, reason="NOT-MLLP", detail=str(error))
        except OSError as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            log("connection ended", address=address, reason=reason)
        except Exception as error:
            log_failure("connection fails", error, address=address)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    @contextlib.contextmanager
    def _secured(self, connection: socket.socket) -> Iterator[socket.socket]:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = self._endpoint.tls_context()
        if context is None:
            yield connection
            return
        connection.settimeout(self._endpoint.handshake_timeout_s)
        with context.wrap_socket(connection, server_side=True) as wire:
            yield wire


class _Connection:
    """One connection, from its first byte on."""

    def __init__(
        self, wire: socket.socket, address: str, endpoint: Endpoint, stopping: threading.Event
    ) -> None:
        self._wire = wire
        self._caller = Caller(address=address, certificate_names=certificate_names(wire))
        self._endpoint = endpoint
        self._stopping = stopping

    def serve(self, answer: Callable[[bytes, Caller], bytes]) -> None:
        """Answer message after message, until the peer ends, is silent, or breaks off.

        Raises
        ------
        FramingError
            What comes is no MLLP.
        OSError
            The connection is lost, or a message takes too long (`TimeoutError`).
        """
        unframer = Unframer(largest=self._endpoint.maximum_message_bytes)
        begun = time.monotonic()
        while True:
            data = self._receive(begun, within=unframer.within_message)
            if not data:
                if unframer.within_message:
                    log("connection ended", address=self._caller.address, reason="MESSAGE-CUT")
                return
            if not unframer.within_message:
                begun = time.monotonic()
            for message in unframer.feed(data):
                self._wire.settimeout(self._endpoint.message_timeout_s)
                self._wire.sendall(framed(answer(message, self._caller)))
                begun = time.monotonic()

    def _receive(self, begun: float, *, within: bool) -> bytes:
        """Wait for bytes; none when the peer has ended, or when the server drains between two messages.

        Raises
        ------
        TimeoutError
            The peer is silent for too long.
        """
        endpoint = self._endpoint
        deadline = begun + (endpoint.message_timeout_s if within else endpoint.idle_timeout_s)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if self._stopping.is_set() and not within:
                return b""
            self._wire.settimeout(min(left, LOOK_S))
            try:
                return self._wire.recv(CHUNK)
            except TimeoutError:
                continue


def certificate_names(wire: socket.socket) -> frozenset[str]:
    """Return the names of the certificate that a peer showed: alternative names and the common name."""
    shown = wire.getpeercert() if isinstance(wire, ssl.SSLSocket) else None
    fields: Any = shown or {}
    subject = [value for part in fields.get("subject", ()) for value in part]
    common = {value for key, value in subject if key == "commonName"}
    return frozenset(common | {value for _, value in fields.get("subjectAltName", ())})
