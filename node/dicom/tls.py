"""DICOM TLS: the BCP 195 profile (PS3.15 B.12), mutual, and reloaded without a restart."""

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from node.telemetry import log, log_failure

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2, those of RFC 9325 4.2; TLS 1.3 knows no others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Where certificates lie, PEM.

    Parameters
    ----------
    certificate, key
        Ours, with its chain; None for a client that shows none.
    authorities
        Whose certificates we trust: a peer must show one.
    """

    certificate: Path | None
    key: Path | None
    authorities: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that there are."""
        return tuple(one for one in (self.certificate, self.key, self.authorities) if one)


def server_context(certificates: Certificates) -> ssl.SSLContext:
    """Return a server's context: TLS 1.2 and 1.3, a certificate of the peer demanded.

    Raises
    ------
    OSError
        A file cannot be read, or is no certificate (`ssl.SSLError`).
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, certificates)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(certificates: Certificates, *, check_name: bool = True) -> ssl.SSLContext:
    """Return a client's context: the same, and our certificate shown where we have one.

    Parameters
    ----------
    check_name
        The peer's certificate must have the name that we call it by.

    Raises
    ------
    OSError
        A file cannot be read, or is no certificate (`ssl.SSLError`).
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, certificates)
    context.check_hostname = check_name
    return context


def _context(protocol: int, certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if certificates.certificate is not None:
        context.load_cert_chain(certificates.certificate, certificates.key)
    context.load_verify_locations(certificates.authorities)
    return context


class ReloadingContext:
    """The newest context of the certificates on the disk.

    New connections get the files as they are when these changed; files that cannot be used are told, and
    the last good ones stay.

    Parameters
    ----------
    certificates
        Where they lie.
    make
        Makes a context of them.

    Raises
    ------
    OSError
        They cannot be used.
    """

    def __init__(
        self,
        certificates: Certificates,
        make: Callable[[Certificates], ssl.SSLContext] = server_context,
    ) -> None:
        self._certificates = certificates
        self._make = make
        self._lock = threading.Lock()
        self._seen = self._state()
        self._context = make(certificates)

    def __call__(self) -> ssl.SSLContext:
        """Return the context for a connection that begins now."""
        with self._lock:
            try:
                seen = self._state()
                if seen != self._seen:
                    self._seen = seen
                    self._context = self._make(self._certificates)
                    log("certificates reloaded")
            except OSError as error:
                log_failure("certificates not reloaded", error)
            return self._context

    def _state(self) -> tuple[tuple[int, int], ...]:
        stats = map(Path.stat, self._certificates.files)
        return tuple((status.st_mtime_ns, status.st_ino) for status in stats)
