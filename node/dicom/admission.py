"""Who may come in, and when: one question for each association, one for each instance."""

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

PERMANENT, TRANSIENT = 0x01, 0x02
"""Result of an A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an association is refused (PS3.8 9.3.4).

    Parameters
    ----------
    reason
        Ours, for the log.
    result, source, diagnostic
        What the peer is told.
    """

    reason: str
    result: int
    source: int
    diagnostic: int


DRAINING = Refusal("DRAINING", TRANSIENT, 0x03, 0x01)
NO_ROOM = Refusal("DISK-NEARLY-FULL", TRANSIENT, 0x03, 0x01)
TOO_MANY = Refusal("TOO-MANY-ASSOCIATIONS", TRANSIENT, 0x03, 0x02)
NOT_CALLED = Refusal("CALLED-AE-TITLE-UNKNOWN", PERMANENT, 0x01, 0x07)
NOT_KNOWN = Refusal("CALLING-AE-TITLE-UNKNOWN", PERMANENT, 0x01, 0x03)
WRONG_ADDRESS = Refusal("ADDRESS-NOT-OF-THIS-AE-TITLE", PERMANENT, 0x01, 0x03)
WRONG_CERTIFICATE = Refusal("CERTIFICATE-NOT-OF-THIS-AE-TITLE", PERMANENT, 0x01, 0x03)


class Room(Protocol):
    """What is free on the disk."""

    def nearly_full(self) -> bool:
        """Whether new associations are to be refused for now."""

    def require(self) -> None:
        """Refuse an instance when the disk is full.

        Raises
        ------
        OutOfResources
            It is.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What is known of a peer that may call.

    Parameters
    ----------
    networks
        Where it calls from; empty for anywhere.
    certificate_names
        Names of its TLS certificate, one of which must be there; empty for any that our CA signed.
    """

    networks: Networks = ()
    certificate_names: frozenset[str] = frozenset()


class Admission:
    """Decides over associations and instances.

    Parameters
    ----------
    ae_title
        Ours.
    callers
        Who may call, by AE title.
    room
        What is free on the disk.
    maximum_associations
        How many may be served at one time.
    """

    def __init__(
        self,
        *,
        ae_title: str,
        callers: Mapping[str, Caller],
        room: Room,
        maximum_associations: int,
    ) -> None:
        self._ae_title = ae_title
        self._callers = callers
        self._room = room
        self._maximum = maximum_associations
        self.draining = False

    def require_room(self) -> None:
        """Refuse an instance when the disk is full.

        Raises
        ------
        OutOfResources
            It is.
        """
        self._room.require()

    def refusal(self, assoc: Any) -> Refusal | None:
        """Say why an association is refused, None to admit it.

        Parameters
        ----------
        assoc
            pynetdicom's association, whose request has been read.
        """
        request = assoc.requestor.primitive
        caller = self._callers.get(str(request.calling_ae_title).strip())
        if str(request.called_ae_title).strip() != self._ae_title:
            return NOT_CALLED
        if caller is None:
            return NOT_KNOWN
        if caller.networks and not _within(assoc.requestor.address, caller.networks):
            return WRONG_ADDRESS
        if caller.certificate_names and not caller.certificate_names & certificate_names(assoc):
            return WRONG_CERTIFICATE
        return self._not_now(assoc)

    def _not_now(self, assoc: Any) -> Refusal | None:
        if self.draining:
            return DRAINING
        if self._room.nearly_full():
            return NO_ROOM
        return TOO_MANY if assoc.served() > self._maximum else None


def certificate_names(assoc: Any) -> frozenset[str]:
    """Return the names of the certificate that a peer showed: DNS names and the subject's common name."""
    wire = assoc.dul.socket.socket
    shown = wire.getpeercert() if isinstance(wire, ssl.SSLSocket) else None
    if not shown:
        return frozenset()
    fields: Any = shown
    common = {
        value for name in fields.get("subject", ()) for key, value in name if key == "commonName"
    }
    return frozenset(common | {value for _, value in fields.get("subjectAltName", ())})


def _within(address: str, networks: Networks) -> bool:
    try:
        called_from = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(called_from in network for network in networks)
