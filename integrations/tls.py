"""What a server shows when it is spoken to by TLS: its version, and until when its certificate holds."""

import math
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

from integrations.probe import Probe

SOON_DAYS = 30
"""A certificate that ends sooner is told: whoever renews it may need weeks."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where somebody listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def probe(
    address: Address,
    now: datetime,
    *,
    context: ssl.SSLContext | None = None,
    server_name: str | None = None,
    timeout_s: float = 10.0,
) -> tuple[Probe, ...]:
    """Shake hands with a server, and look at its certificate.

    Parameters
    ----------
    now
        The moment, with offset, against which its end is compared.
    context
        How we trust, and what we show; None for this machine's authorities.
    server_name
        The name that the certificate must have; None for the host.
    """
    trusted = context if context is not None else ssl.create_default_context()
    try:
        with (
            socket.create_connection((address.host, address.port), timeout_s) as plain,
            trusted.wrap_socket(plain, server_hostname=server_name or address.host) as wire,
        ):
            return (_version(wire), _certificate(wire, now))
    except ssl.SSLCertVerificationError as error:
        change = (
            f"{address}: renew the certificate, or give this node the authority that signed it; "
            "the name in it must be the one that is called"
        )
        return (Probe(name="certificate", passed=False, said=error.verify_message, change=change),)
    except ssl.SSLError as error:
        said = error.reason or type(error).__name__
        change = f"{address}: offer TLS 1.2 or 1.3, and trust the certificate of this node if one is wanted"
        return (Probe(name="TLS", passed=False, said=said, change=change),)
    except OSError as error:
        change = f"start the server at {address}, or open the way to it (firewall, address, port)"
        return (Probe(name="TLS", passed=False, said=type(error).__name__, change=change),)


def _version(wire: ssl.SSLSocket) -> Probe:
    version = wire.version() or "unknown"
    good = version in {"TLSv1.2", "TLSv1.3"}
    change = "" if good else "offer TLS 1.2 or 1.3 (PS3.15 B.12, RFC 9325)"
    return Probe(name="TLS", passed=good, said=version, change=change)


def _certificate(wire: ssl.SSLSocket, now: datetime) -> Probe:
    shown = wire.getpeercert() or {}
    ends = str(shown.get("notAfter", ""))
    if not ends:  # a context that verifies nobody is told nothing
        return Probe(name="certificate", passed=None, said="its end is not known")
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), tz=UTC)
    days = math.floor((end - now).total_seconds() / 86_400)
    said = f"valid until {end:%Y-%m-%d}, {days} days"
    if days >= SOON_DAYS:
        return Probe(name="certificate", passed=True, said=said)
    return Probe(name="certificate", passed=False, said=said, change="renew the certificate")
