"""Mutual TLS of what we call: a FHIR server, and an archive (DICOM TLS, PS3.15 B.12), let in by certificate."""

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from integrations.errors import Unavailable
from integrations.fhir.client import FhirClient
from integrations.pacs.peer import DicomPeer, Tls, echo
from tests.peers.certificates import Authority

STRANGERS = [None, "foreign"]
"""No certificate, and one of an authority that the server does not know."""


class _Nobody(BaseHTTPRequestHandler):
    """A FHIR server that has found nobody."""

    def do_GET(self) -> None:
        body = b'{"resourceType": "Bundle", "type": "searchset"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/fhir+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("certificates"))
    made.found("ca")
    made.found("other")
    made.issue("server")
    made.issue("node")
    made.issue("foreign", by="other")
    return made


def _demanding(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


@pytest.fixture(scope="module")
def record(authority: Authority) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Nobody)
    context = _demanding(authority.folder)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture(scope="module")
def archive(authority: Authority) -> Iterator[int]:
    entity = AE(ae_title="ARCHIVE")
    entity.add_supported_context(Verification)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, ssl_context=_demanding(authority.folder)
    )
    yield server.server_address[1]
    server.shutdown()


def _found(record: str, tls: ssl.SSLContext) -> int:
    with FhirClient(record, tls=tls) as client:
        return len(client.search("Patient", {"identifier": "nobody"}))


def _peer(port: int, tls: Tls | None) -> DicomPeer:
    return DicomPeer(ae_title="ARCHIVE", host="127.0.0.1", port=port, acse_timeout_s=2, tls=tls)


def test_a_fhir_server_lets_our_certificate_in(authority: Authority, record: str) -> None:
    assert _found(record, authority.client("node")) == 0


@pytest.mark.parametrize("name", STRANGERS)
def test_a_fhir_server_lets_no_other_in(
    authority: Authority, record: str, name: str | None
) -> None:
    with pytest.raises(Unavailable):
        _found(record, authority.client(name))


def test_an_archive_lets_our_certificate_in(authority: Authority, archive: int) -> None:
    echo(_peer(archive, Tls(context=lambda: authority.client("node"))))


@pytest.mark.parametrize("name", STRANGERS)
def test_an_archive_lets_no_other_in(authority: Authority, archive: int, name: str | None) -> None:
    with pytest.raises(Unavailable):
        echo(_peer(archive, Tls(context=lambda: authority.client(name))))
