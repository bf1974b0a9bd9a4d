"""DICOM TLS: the BCP 195 profile (PS3.15 B.12), mutual, and reloaded without a restart."""

import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

from node.telemetry import log, log_failure

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2, those of RFC 9325 4.2; TLS 1.3 knows no others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Where a listener's certificates lie, PEM.

    Parameters
    ----------
    certificate, key
        Ours, with its chain.
    authorities
        Whose certificates we trust: a peer must show one.
    """

    certificate: Path
    key: Path
    authorities: Path


def server_context(certificates: Certificates) -> ssl.SSLContext:
    """Return a server's context: TLS 1.2 and 1.3, a certificate of the peer demanded.

    Raises
    ------
    OSError
        A file cannot be read, or is no certificate (`ssl.SSLError`).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.load_cert_chain(certificates.certificate, certificates.key)
    context.load_verify_locations(certificates.authorities)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class ReloadingContext:
    """The newest context of the certificates on the disk.

    New connections get the files as they are when these changed; files that cannot be used are told, and
    the last good ones stay.

    Parameters
    ----------
    certificates
        Where they lie.

    Raises
    ------
    OSError
        They cannot be used.
    """

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._lock = threading.Lock()
        self._seen = self._state()
        self._context = server_context(certificates)

    def __call__(self) -> ssl.SSLContext:
        """Return the context for a connection that begins now."""
        with self._lock:
            try:
                seen = self._state()
                if seen != self._seen:
                    self._seen = seen
                    self._context = server_context(self._certificates)
                    log("certificates reloaded")
            except OSError as error:
                log_failure("certificates not reloaded", error)
            return self._context

    def _state(self) -> tuple[tuple[int, int], ...]:
        files = (
            self._certificates.certificate,
            self._certificates.key,
            self._certificates.authorities,
        )
        return tuple((status.st_mtime_ns, status.st_ino) for status in map(Path.stat, files))
