"""STOW-RS over real connections: mutual TLS, large objects, and archives that are never done."""

import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from integrations.errors import Unavailable
from integrations.pacs.dicomweb import Dicomweb
from integrations.pacs.stow import StowDestination
from integrations.report import Instance
from node.bootstrap.reach import dicomweb
from node.settings import Peer
from tests.peers.certificates import Authority
from tests.unit.integrations.samples import report, write_instances

OF = report(52)
LARGE = 256 << 20
STORED = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
Serving = Callable[[socket.socket], None]


@contextmanager
def serving(serve: Serving) -> Iterator[int]:
    """Serve connections one after the other; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    near, _ = server.accept()
                except OSError:
                    return
                try:
                    serve(near)
                except OSError:
                    pass
                finally:
                    near.close()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def take(near: socket.socket) -> int:
    """Read one request; return how long its body was."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += near.recv(1)
    (length,) = (
        int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")
    )
    left = length
    while left:
        left -= len(near.recv(min(left, 1 << 20)))
    return length


def deliver(service: Dicomweb, instances: list[Instance]) -> None:
    StowDestination(service, None).deliver(
        OF, instances, in_doubt=frozenset(), progress=lambda _uid, _state: None
    )


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return write_instances(tmp_path, OF)[0]


def test_a_large_object_is_not_held_in_memory(instance: Instance) -> None:
    with instance.path.open("r+b") as file:
        file.truncate(LARGE)
    lengths: list[int] = []

    def serve(near: socket.socket) -> None:
        lengths.append(take(near))
        near.sendall(STORED)

    with serving(serve) as port:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        deliver(Dicomweb(f"http://127.0.0.1:{port}"), [instance])
        grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert lengths[0] > LARGE
    assert grown_mib < 32


def _in_drops(text: bytes) -> Serving:
    """Answer a byte at a time, for much longer than anybody would wait."""

    def serve(near: socket.socket) -> None:
        take(near)
        for place in range(len(text)):
            near.sendall(text[place : place + 1])
            time.sleep(0.02)

    return serve


def _never_read(near: socket.socket) -> None:
    near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    time.sleep(3)


HEAD = b"HTTP/1.1 200 OK\r\n" + b"X-Drop: 1\r\n" * 100
BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b" " * 200


@pytest.mark.parametrize(
    "serve", [_in_drops(HEAD), _in_drops(BODY), _never_read], ids=["head", "body", "request"]
)
def test_an_exchange_that_never_ends_is_ended(instance: Instance, serve: Serving) -> None:
    if serve is _never_read:
        with instance.path.open("r+b") as file:
            file.truncate(LARGE)
    began = time.monotonic()
    # a drop comes long before the wait for one part is over: only the whole is bounded
    with serving(serve) as port, pytest.raises(Unavailable):
        deliver(Dicomweb(f"http://127.0.0.1:{port}", read_timeout_s=0.3), [instance])
    assert time.monotonic() - began < 2.5


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("certificates"))
    made.found("ca")
    for name in ("localhost", "overread"):
        made.issue(name)
    return made


@pytest.fixture
def secured(authority: Authority) -> Iterator[int]:
    """Give the port of an archive that takes whoever shows a certificate of our authority."""
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cafile=str(authority.folder / "ca.pem")
    )
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(authority.folder / "localhost.pem", authority.folder / "localhost.key")

    def serve(near: socket.socket) -> None:
        with context.wrap_socket(near, server_side=True) as wire:
            take(wire)
            wire.sendall(STORED)

    with serving(serve) as port:
        yield port


def _service(port: int, **tls: str) -> Dicomweb:
    """Give the service of a peer as it is wired."""
    table: dict[str, Any] = {"url": f"https://localhost:{port}/web", "store": True, "tls": tls}
    peer = Peer.model_validate({"name": "cloud", "roles": ["archive"], "dicomweb": table})
    assert peer.dicomweb is not None
    return dicomweb(peer, peer.dicomweb)


def test_mutual_tls(authority: Authority, secured: int, instance: Instance) -> None:
    deliver(_service(secured, **authority.table("overread")), [instance])


def test_a_certificate_that_nobody_trusts_is_unavailable(
    authority: Authority, secured: int, instance: Instance
) -> None:
    ours = authority.table("overread")
    del ours["authorities"]
    with pytest.raises(Unavailable):
        deliver(_service(secured, **ours), [instance])
    with pytest.raises(Unavailable):  # we show none
        deliver(_service(secured, authorities=str(authority.folder / "ca.pem")), [instance])
