"""The listener as a server: what a peer may do to it, and what it answers."""

import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import MRImageStorage, Verification

from node.core.study import Arrival, Outcome
from node.dicom.admission import Admission, Caller
from node.dicom.handlers import Handlers, Taking
from node.dicom.listener import Endpoint, Listener, open_port
from node.dicom.tls import Certificates, ReloadingContext
from tests.peers import program, wait_for
from tests.peers.certificates import Authority
from tests.unit.node.dicom.test_admission import Room
from tests.unit.node.samples import MemoryFile

SECOND = 1.0
TOLD: list[str] = []
"""What the listener's threads told; they print nothing while pytest swaps its streams."""


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    TOLD.clear()

    def note(event: str, **fields: object) -> None:
        TOLD.append(f"{event} " + " ".join(f"{key}={value}" for key, value in fields.items()))

    for module in ("server", "handlers", "upper_layer"):
        monkeypatch.setattr(f"node.dicom.{module}.log", note)


@dataclass
class Served:
    """A listener on a free port, and what came to it."""

    port: int
    listener: Listener
    admission: Admission
    room: Room
    received: list[Arrival] = field(default_factory=list)
    ended: list[bool] = field(default_factory=list)

    def echo_s(self, *, tls: ssl.SSLContext | None = None) -> float:
        """Return how long an association with a C-ECHO takes."""
        ae = AE("MODALITY")
        ae.add_requested_context(Verification)
        began = time.monotonic()
        arguments = {"tls_args": (tls, "localhost")} if tls else {}
        assoc = ae.associate("127.0.0.1", self.port, ae_title="OVERREAD", **arguments)
        assert assoc.is_established
        assert assoc.send_c_echo().Status == 0
        assoc.release()
        return time.monotonic() - began

    def raw(self) -> socket.socket:
        """Return a connection on which nothing was said yet."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    running: list[Listener] = []

    def start(tls: Callable[[], ssl.SSLContext | None] = lambda: None, **changes: int) -> Served:
        received: list[Arrival] = []
        ended: list[bool] = []
        room = Room()

        def receive(arrival: Arrival) -> Outcome:
            received.append(arrival)
            return Outcome.STORED

        admission = Admission(
            ae_title="OVERREAD",
            callers={"MODALITY": Caller(), "STORESCU": Caller()},
            room=room,
            maximum_associations=changes.get("associations", 10),
        )
        handlers = Handlers(
            taking=Taking(
                incoming=lambda _: MemoryFile(b""),
                receive=receive,
                opened=lambda *_: None,
                ended=lambda _, released: ended.append(released),
            ),
            admission=admission,
            peers={"MODALITY": "modality", "STORESCU": "modality"},
        )
        endpoint = Endpoint(
            maximum_pdu_bytes=changes.get("pdu", 1 << 20),
            maximum_associations=changes.get("associations", 10),
            idle_timeout_s=changes.get("idle_s", 30),
            handshake_timeout_s=changes.get("handshake_s", 10),
            tls_context=tls,
        )
        listener = Listener("OVERREAD", endpoint, admission, handlers)
        listening = open_port("127.0.0.1", 0)
        listener.start(listening)
        running.append(listener)
        return Served(listening.getsockname()[1], listener, admission, room, received, ended)

    yield start
    for one in running:
        one.drain()


@pytest.fixture
def served(serve: Serve) -> Served:
    return serve()


def associate(served: Served) -> socket.socket:
    """Return a connection with an established association for MR images."""
    ae = AE("MODALITY")
    ae.add_requested_context(MRImageStorage)
    assoc = ae.associate("127.0.0.1", served.port, ae_title="OVERREAD")
    assert assoc.is_established
    assoc.dul.kill_dul()  # from here on the bytes are ours
    assoc.dul.join()
    wire = assoc.dul.socket.socket
    wire.settimeout(10)
    assert isinstance(wire, socket.socket)
    return wire


def is_over(wire: socket.socket) -> bytes:
    """Return what a peer is told before its connection is closed."""
    told = b""
    try:
        while part := wire.recv(4096):
            told += part
    except ConnectionResetError:
        pass
    return told


def test_a_c_echo_is_answered_within_a_moment(served: Served) -> None:
    assert min(served.echo_s() for _ in range(5)) < 0.2


@pytest.mark.parametrize("length", [(1 << 20) + 1, 0xFFFFFFFF])
def test_a_pdu_longer_than_advertised_is_aborted_before_its_body_comes(
    served: Served, length: int
) -> None:
    wire = associate(served)
    wire.sendall(struct.pack(">BBI", 4, 0, length))  # and not one byte of its body
    assert is_over(wire)[:1] == b"\x07"  # A-ABORT
    assert served.echo_s() < SECOND


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\xff" * 4096,
        struct.pack(">BBI", 1, 0, 1 << 30),
        struct.pack(">BBI", 1, 0, 4) + b"\0\0\0\0",
        struct.pack(">BBI", 4, 0, 6) + struct.pack(">IBB", 2, 1, 3),
        struct.pack(">BBI", 9, 0, 4),
        struct.pack(">BBI", 7, 0, 5) + b"\0" * 5,
    ],
)
def test_garbage_costs_its_connection_and_no_more(served: Served, garbage: bytes) -> None:
    with served.raw() as wire:
        wire.sendall(garbage)
        is_over(wire)
    assert served.echo_s() < SECOND


@pytest.mark.parametrize(
    "fragment",
    [
        b"\0\0",
        struct.pack(">IBB", 0, 1, 3),
        struct.pack(">IBB", 0xFFFFFFFF, 1, 3),
        struct.pack(">IBB", 42, 1, 3) + b"\xff" * 40,
    ],
)
def test_garbage_inside_an_association_aborts_it(served: Served, fragment: bytes) -> None:
    wire = associate(served)
    wire.sendall(struct.pack(">BBI", 4, 0, len(fragment)) + fragment)
    assert is_over(wire)[:1] == b"\x07"
    assert served.echo_s() < SECOND


def test_half_a_pdu_and_then_silence_ends_after_the_idle_time(serve: Serve) -> None:
    served = serve(idle_s=1)
    wire = associate(served)
    wire.sendall(struct.pack(">BBI", 4, 0, 1000) + b"\0" * 10)
    began = time.monotonic()
    is_over(wire)
    assert 0.5 < time.monotonic() - began < 5


def test_a_drip_of_bytes_does_not_hold_an_association_for_ever(serve: Serve) -> None:
    served = serve(idle_s=1)
    wire = associate(served)
    wire.sendall(struct.pack(">BBI", 4, 0, 1000))
    wait_for(partial(_drip, wire), timeout_s=8, what="the end of the association")


def _drip(wire: socket.socket) -> bool:
    """Send one byte more; tell whether nobody takes it any longer."""
    try:
        wire.sendall(b"\0")
    except OSError:
        return True
    return False


def test_a_silent_association_is_aborted(serve: Serve) -> None:
    wire = associate(serve(idle_s=1))
    assert is_over(wire)[:1] == b"\x07"


def test_a_connection_without_a_request_is_closed(serve: Serve) -> None:
    served = serve(handshake_s=1)
    with served.raw() as wire:
        assert is_over(wire) == b""


def test_silent_connections_take_no_association_away(serve: Serve) -> None:
    served = serve(associations=2)
    silent = [served.raw() for _ in range(6)]
    assert served.echo_s() < SECOND
    for wire in silent:
        wire.close()


def test_more_connections_than_there_is_room_for_are_closed(serve: Serve) -> None:
    served = serve(associations=1)
    silent = [served.raw() for _ in range(4)]
    wait_for(lambda: served.listener.active() == 0, timeout_s=1, what="nobody asked")
    with served.raw() as wire:
        assert is_over(wire) == b""
    for wire in silent:
        wire.close()
    wait_for(lambda: _echoes(served), timeout_s=10, what="room again")


def _echoes(served: Served) -> bool:
    try:
        return served.echo_s() > 0
    except AssertionError:
        return False


def test_a_disk_that_is_nearly_full_refuses_for_now(served: Served) -> None:
    served.room.nearly = True
    ae = AE("MODALITY")
    ae.add_requested_context(Verification)
    assoc = ae.associate("127.0.0.1", served.port, ae_title="OVERREAD")
    assert assoc.is_rejected
    assert assoc.acceptor.primitive.result == 2  # transient
    served.room.nearly = False
    assert served.echo_s() < SECOND


def test_a_user_identity_opens_and_closes_nothing(served: Served) -> None:
    identity = UserIdentityNegotiation()
    identity.user_identity_type = 2
    identity.primary_field, identity.secondary_field = b"erika", b"secret"
    ae = AE("MODALITY")
    ae.add_requested_context(Verification)
    assoc = ae.associate("127.0.0.1", served.port, ae_title="OVERREAD", ext_neg=[identity])
    assert assoc.is_established
    assoc.release()
    assert any("user and passcode" in line for line in TOLD)
    assert not any("secret" in line for line in TOLD)


# ------------------------------------------------------------------------------ TLS
@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("certificates"))
    for name in ("ca", "other-ca"):
        made.found(name)
    for name in ("node", "modality"):
        made.issue(name)
    made.issue("stranger", by="other-ca")
    made.issue("late", days=-1)
    return made


@pytest.fixture
def secure(serve: Serve, authority: Authority) -> Served:
    certificates = Certificates(
        certificate=authority.folder / "node.pem",
        key=authority.folder / "node.key",
        authorities=authority.folder / "ca.pem",
    )
    return serve(ReloadingContext(certificates), handshake_s=3)


def client(authority: Authority, name: str | None = "modality") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.folder / "ca.pem"))
    context.check_hostname = False
    if name:
        context.load_cert_chain(authority.folder / f"{name}.pem", authority.folder / f"{name}.key")
    return context


def test_a_peer_with_a_certificate_comes_in(secure: Served, authority: Authority) -> None:
    assert secure.echo_s(tls=client(authority)) < SECOND


def test_dcmtk_comes_in(secure: Served, authority: Authority) -> None:
    folder = authority.folder
    tls = ["+tls", str(folder / "modality.key"), str(folder / "modality.pem")]
    command = [str(program("echoscu", "dcmtk")), *tls, "+cf", str(folder / "ca.pem"), "-ic"]
    command += ["-aet", "MODALITY", "-aec", "OVERREAD", "127.0.0.1", str(secure.port)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("stranger", "CERTIFICATE_VERIFY_FAILED"),
        ("late", "CERTIFICATE_VERIFY_FAILED"),
        (None, "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
    ],
)
def test_who_cannot_prove_who_it_is_does_not_come_in(
    secure: Served,
    authority: Authority,
    name: str | None,
    reason: str,
) -> None:
    with secure.raw() as wire:
        assert not _talks(client(authority, name), wire)
    wait_for(partial(_told, reason), timeout_s=5, what=reason)


def _talks(context: ssl.SSLContext, wire: socket.socket) -> bool:
    try:
        shaken = context.wrap_socket(wire)
        return shaken.recv(1) != b""  # TLS 1.3 tells a client after its handshake
    except OSError:
        return False


def _told(reason: str) -> bool:
    return any(f"reason={reason}" in line for line in TOLD)


def test_plain_text_on_a_tls_port_does_not_come_in(secure: Served, authority: Authority) -> None:
    ae = AE("MODALITY")
    ae.add_requested_context(Verification)
    assert not ae.associate("127.0.0.1", secure.port, ae_title="OVERREAD").is_established
    wait_for(partial(_told, "WRONG_VERSION_NUMBER"), timeout_s=5, what="the reason")
    assert secure.echo_s(tls=client(authority)) < SECOND


def test_an_older_tls_does_not_come_in(secure: Served, authority: Authority) -> None:
    old = client(authority)
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with secure.raw() as wire, pytest.raises(OSError, match=r"."):
        old.wrap_socket(wire)


def test_fifty_silent_connections_delay_nobody(serve: Serve, authority: Authority) -> None:
    folder = authority.folder
    certificates = Certificates(
        certificate=folder / "node.pem", key=folder / "node.key", authorities=folder / "ca.pem"
    )
    served = serve(ReloadingContext(certificates), associations=50)
    silent = [served.raw() for _ in range(50)]
    assert served.echo_s(tls=client(authority)) < SECOND
    for wire in silent:
        wire.close()


def test_a_certificate_is_one_peers_own(secure: Served, authority: Authority) -> None:
    secure.admission.__init__(  # type: ignore[misc]  # the same admission, of other callers
        ae_title="OVERREAD",
        callers={"MODALITY": Caller(certificate_names=frozenset({"modality"}))},
        room=secure.room,
        maximum_associations=10,
    )
    authority.issue("scanner")
    assert secure.echo_s(tls=client(authority)) < SECOND
    ae = AE("MODALITY")
    ae.add_requested_context(Verification)
    tls = (client(authority, "scanner"), "localhost")
    assert ae.associate("127.0.0.1", secure.port, ae_title="OVERREAD", tls_args=tls).is_rejected


def test_new_certificates_are_taken_without_a_restart(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    for name in ("node.pem", "node.key", "ca.pem"):
        (tmp_path / name).write_bytes((authority.folder / name).read_bytes())
    certificates = Certificates(
        certificate=tmp_path / "node.pem",
        key=tmp_path / "node.key",
        authorities=tmp_path / "ca.pem",
    )
    served = serve(ReloadingContext(certificates), handshake_s=3)
    assert served.echo_s(tls=client(authority)) < SECOND
    (tmp_path / "ca.pem").write_text("no certificate")  # half a roll-out: the last good ones stay
    assert served.echo_s(tls=client(authority)) < SECOND
    (tmp_path / "ca.pem").write_bytes((authority.folder / "other-ca.pem").read_bytes())
    context = client(authority, "stranger")
    assert served.echo_s(tls=context) < SECOND


def test_draining_lets_what_runs_finish_and_refuses_what_comes(served: Served) -> None:
    ae = AE("MODALITY")
    ae.add_requested_context(Verification)
    running = ae.associate("127.0.0.1", served.port, ae_title="OVERREAD")
    drained = threading.Thread(target=served.listener.drain)
    drained.start()
    wait_for(lambda: served.admission.draining, timeout_s=2, what="draining")
    late = ae.associate("127.0.0.1", served.port, ae_title="OVERREAD")
    assert late.is_rejected
    assert running.send_c_echo().Status == 0
    running.release()
    drained.join(10)
    assert not drained.is_alive()
