"""The role `hl7` in this process, on a loopback port, and somebody who sends to it."""

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from integrations.hl7.message import Message, parse
from integrations.hl7.mllp import Unframer, framed
from node import bootstrap
from node.settings import Settings
from tests.contract.stores import sqlite

RIS: Mapping[str, Any] = {
    "name": "ris",
    "roles": ["orders"],
    "host": "127.0.0.1",
    "default_issuer": "EXAMPLE",
    "feed": {"application": "RIS", "facility": "HOSP"},
}


class Line:
    """One connection of a sender."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        wire: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            wire = context.wrap_socket(wire, server_hostname="localhost")
        self.wire = wire
        self._unframer = Unframer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.close()

    def send(self, raw: bytes) -> bytes:
        """Send one message; return its answer."""
        self.wire.sendall(framed(raw))
        return self.answer()

    def answer(self) -> bytes:
        """Wait for an answer; empty when the server ends instead."""
        while True:
            data = self.wire.recv(1 << 16)
            if not data:
                return b""
            for message in self._unframer.feed(data):
                return message

    def ended(self) -> bool:
        """Whether the server ends the connection without an answer."""
        try:
            return self.answer() == b""
        except TimeoutError:
            return False
        except OSError:
            return True


def code(answer: bytes) -> str:
    """MSA-1."""
    return str(acknowledged(answer).raw(1))


def acknowledged(answer: bytes) -> Any:
    """MSA."""
    read: Message = parse(answer)
    return read.first("MSA")


def reason(answer: bytes) -> str:
    """ERR-5.1; empty without one."""
    error = parse(answer).first("ERR")
    return "" if error is None else error.text(5)


@contextmanager
def running_feed(
    folder: Path, *, peers: tuple[Mapping[str, Any], ...] = (RIS,), **hl7: Any
) -> Iterator[int]:
    """Serve, in this process; give the port."""
    settings = Settings.model_validate({
        "node": {"data": folder},
        "hl7": {"enabled": True, **hl7},
        "peer": peers,
    })
    folder.mkdir(exist_ok=True)
    sqlite(folder)
    server = bootstrap.feed_server(settings)
    listening = socket.create_server(("127.0.0.1", 0))
    port = int(listening.getsockname()[1])
    server.start(listening)
    try:
        yield port
    finally:
        server.drain()
