"""One message to one receiver by MLLP, and its answer: whatever breaks between, it may be sent again."""

import socket
import ssl
from dataclasses import dataclass
from time import monotonic

from integrations.errors import Refused, Unavailable
from integrations.hl7.mllp import FramingError, Unframer, framed

LONGEST_ANSWER = 1 << 16
"""Bytes of an acknowledgment, which has some hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MllpPeer:
    """A receiver.

    Parameters
    ----------
    timeout_s
        Longest wait for each of connection and answer, however slowly the latter comes.
    tls
        How we trust it and what we show it; None without TLS.
    name
        The name that its certificate must have; None for `host`.
    """

    host: str
    port: int
    timeout_s: float = 30.0
    tls: ssl.SSLContext | None = None
    name: str | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def exchange(peer: MllpPeer, message: bytes) -> bytes:
    """Send a message on a connection of its own, and return what is answered.

    Raises
    ------
    Unavailable
        It could not be brought, or was not answered in time: whether it arrived nobody knows.
    Refused
        What answers speaks something else (``HL7-NOT-MLLP``).
    """
    block = framed(message)
    try:
        with _connected(peer) as wire:
            wire.sendall(block)
            return _answer(peer, wire)
    except FramingError:
        raise Refused("HL7-NOT-MLLP", f"{peer} answers with something else than MLLP") from None
    except OSError as error:  # time-outs and TLS are among them
        raise Unavailable(
            f"{peer} was not reached or did not answer: {type(error).__name__}"
        ) from error


def reach(peer: MllpPeer) -> None:
    """Connect, and send nothing.

    Raises
    ------
    Unavailable
        Nobody listens there, or TLS does not come about.
    """
    try:
        _connected(peer).close()
    except OSError as error:
        raise Unavailable(f"{peer} was not reached: {type(error).__name__}") from error


def _connected(peer: MllpPeer) -> socket.socket:
    plain = socket.create_connection((peer.host, peer.port), peer.timeout_s)
    if peer.tls is None:
        return plain
    try:
        return peer.tls.wrap_socket(plain, server_hostname=peer.name or peer.host)
    except BaseException:
        plain.close()
        raise


def _answer(peer: MllpPeer, wire: socket.socket) -> bytes:
    unframer = Unframer(largest=LONGEST_ANSWER)
    deadline = monotonic() + peer.timeout_s
    while (left := deadline - monotonic()) > 0:
        wire.settimeout(left)
        data = wire.recv(4096)
        if not data:
            cut = "within its answer" if unframer.within_message else "without an answer"
            raise Unavailable(f"{peer} ended the connection {cut}")
        for message in unframer.feed(data):
            return message
    raise Unavailable(f"{peer} did not answer within {peer.timeout_s:g} s")
