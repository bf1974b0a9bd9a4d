"""A peer that sends a byte now and then, or stops within its answer, holds nobody for ever."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from integrations.errors import Unavailable
from integrations.fhir.client import FhirClient
from integrations.fhir.oauth import OAuthTokens, SharedSecret, carrier
from integrations.hl7.sending import MllpPeer, exchange
from integrations.pacs.dicomweb import Dicomweb
from integrations.pacs.orthanc import OrthancDeletion
from integrations.pacs.peer import DicomPeer, echo
from integrations.pacs.qido import QidoArchiveIndex
from integrations.pacs.storage import StorageDestination
from tests.peers.committer import running_committer
from tests.unit.integrations.samples import report, write_instances

PATIENCE_S = 0.2
"""For one read."""
DRIP_S = 0.05
LONGEST_S = 4.0
"""Whoever waits for the last byte waits for ten seconds and more."""
HEAD = b"HTTP/1.1 200 OK\r\nX-Filler: " + b"x" * 400 + b"\r\nContent-Length: 2\r\n\r\n{}"
BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n" + b" " * 400
ACCEPTED = b"\x02\x00\x00\x00\x01\x00" + bytes(256)
"""The A-ASSOCIATE-AC (PS3.8 9.3.3) of an acceptor that takes its time."""
ACKNOWLEDGED = b"\x0bMSH|" + b"x" * 400 + b"\x1c\r"


@contextlib.contextmanager
def dripping(answer: bytes, at_once: int = 0, *, stops: bool = False) -> Iterator[int]:
    """Give the port of a server that answers everybody byte by byte, or stops within its answer."""
    ended = threading.Event()

    def serve(near: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            near.recv(1 << 16)
            near.sendall(answer[:at_once])
            for place in range(at_once, len(answer)):
                if ended.wait(3600 if stops else DRIP_S):
                    return
                near.sendall(answer[place : place + 1])

    def accept() -> None:
        while True:
            try:
                near, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(near,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            ended.set()
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)


def fhir(port: int) -> None:
    with FhirClient(f"http://127.0.0.1:{port}", read_timeout_s=PATIENCE_S) as client:
        client.search("Patient", {})


def fhir_of_a_patient_one_that_ends(port: int) -> None:
    with FhirClient(f"http://127.0.0.1:{port}", read_timeout_s=60) as client, client.within(0.5):
        client.search("Patient", {})


def token(port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    OAuthTokens(
        url,
        SharedSecret("node", "s3cret"),
        ["system/Patient.rs"],
        token_url=f"{url}/token",
        http=carrier(PATIENCE_S, None),
        wall=time.time,
    ).header()


def qido(port: int) -> None:
    index = QidoArchiveIndex(Dicomweb(f"http://127.0.0.1:{port}", read_timeout_s=PATIENCE_S))
    index.instances("2.25.1", "2.25.2")


def orthanc(port: int) -> None:
    with TemporaryDirectory() as folder:
        instances = write_instances(Path(folder), report())
        delete = OrthancDeletion(f"http://127.0.0.1:{port}", read_timeout_s=PATIENCE_S)
        delete(report(), instances, "X")


def dicom(port: int) -> None:
    echo(peer_at(port))


def mllp(port: int) -> None:
    exchange(MllpPeer(host="127.0.0.1", port=port, timeout_s=PATIENCE_S), b"MSH|")


def peer_at(port: int, ae_title: str = "DRIP") -> DicomPeer:
    return DicomPeer(
        ae_title=ae_title,
        host="127.0.0.1",
        port=port,
        connection_timeout_s=PATIENCE_S,
        acse_timeout_s=PATIENCE_S,
        dimse_timeout_s=PATIENCE_S,
    )


WEB = (fhir, fhir_of_a_patient_one_that_ends, token, qido, orthanc)
CASES = [
    *((one, HEAD, 0) for one in WEB),
    *((one, BODY, len(BODY) - 400) for one in (token, qido, orthanc)),
    (dicom, ACCEPTED, 0),
    (mllp, ACKNOWLEDGED, 0),
]


@pytest.mark.parametrize(("asks", "answer", "at_once"), CASES)
def test_an_answer_that_drips_is_not_waited_for(
    asks: Callable[[int], None], answer: bytes, at_once: int
) -> None:
    with dripping(answer, at_once) as port, ends_in_time(), pytest.raises(Unavailable):
        asks(port)


@pytest.mark.parametrize("at_once", [3, 50])
def test_an_association_that_stops_within_a_pdu_is_not_waited_for(at_once: int) -> None:
    with (
        dripping(ACCEPTED, at_once, stops=True) as port,
        ends_in_time(),
        pytest.raises(Unavailable),
    ):
        dicom(port)


@pytest.mark.long
def test_an_archive_that_reads_no_further_is_not_waited_for(tmp_path: Path) -> None:
    seg, sr = write_instances(tmp_path, report())
    pad(seg.path, 6 << 20)
    with (
        running_committer(commits=False) as archive,
        reading(archive.port, most=1 << 16) as port,
        ends_in_time(12),
        pytest.raises(Unavailable),
    ):
        StorageDestination(peer_at(port, archive.ae_title), None).deliver(
            report(), [seg, sr], in_doubt=frozenset(), progress=lambda uid, state: None
        )
    assert archive.stored == {}


@contextlib.contextmanager
def ends_in_time(longest_s: float = LONGEST_S) -> Iterator[None]:
    """Look how long a block takes."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < longest_s


def pad(path: Path, size: int) -> None:
    """Make an object large, by an element that nobody looks at (Data Set Trailing Padding, FFFC,FFFC)."""
    with path.open("ab") as file:
        file.write(b"\xfc\xff\xfc\xffOB\x00\x00" + size.to_bytes(4, "little") + bytes(size))


@contextlib.contextmanager
def reading(target_port: int, most: int) -> Iterator[int]:
    """Carry connections on to a port until so many bytes were read; then hold them, and read nothing."""
    ended = threading.Event()

    def accept() -> None:
        while True:
            try:
                near, _ = server.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", target_port))
            ask = partial(hold_after, most, ended, near, far)
            for work in (ask, partial(pipe, far, near)):
                threading.Thread(target=work, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # of what it accepts
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            ended.set()
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)


def hold_after(most: int, ended: threading.Event, near: socket.socket, far: socket.socket) -> None:
    """Carry so many bytes on, and then hold the connection."""
    read = 0
    with near, far, contextlib.suppress(OSError):
        while read < most and (chunk := near.recv(1 << 16)):
            far.sendall(chunk)
            read += len(chunk)
        ended.wait(3600)
        for one in (near, far):  # closing alone wakes nobody who reads
            one.shutdown(socket.SHUT_RDWR)


def pipe(source: socket.socket, target: socket.socket) -> None:
    """Carry everything on."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(1 << 16):
            target.sendall(chunk)
