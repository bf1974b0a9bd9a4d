"""What the listener does when something happens on an association.

C-STORE goes by `StoreMessages` to an `InstanceReception`; the rest comes as pynetdicom's events.
Intervention handlers (C-ECHO) return a status, notification handlers (release, abort, close) nothing.
"""

import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pynetdicom import evt
from pynetdicom.events import Event

from node.core.study import Incoming
from node.dicom.admission import Admission
from node.dicom.command_set import StoreRequest
from node.dicom.fragments import Begin
from node.dicom.header import HeaderReader
from node.dicom.reception import InstanceReception, Receive
from node.dicom.status import SUCCESS
from node.errors import ClassNotTaken, Rejected
from node.telemetry import log, log_failure

_IDENTITIES = {1: "user", 2: "user and passcode", 3: "Kerberos", 4: "SAML", 5: "JWT"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """What stands behind the listener.

    Parameters
    ----------
    incoming
        Opens a file for an instance of an association.
    receive
        Makes one instance durable, and sees to its records.
    opened, ended
        Told of the first instance of an association, and of how it ended.
    reader
        Reads the headers.
    sop_classes
        Which storage SOP classes are taken; None for all that their presentation contexts let through.
    """

    incoming: Callable[[str], Incoming]
    receive: Receive
    opened: Callable[[str, str], None]
    ended: Callable[[str, bool], None]
    reader: HeaderReader = field(default_factory=HeaderReader)
    sop_classes: frozenset[str] | None = None


@dataclass(slots=True)
class _Known:
    """One association: its identifier, its peer, and whether it is on record."""

    association_id: str
    peer: str
    opened: bool = False


class Handlers:
    """The listener's answers.

    Parameters
    ----------
    taking
        What is done with instances.
    admission
        Who may come in.
    peers
        Name of each peer by its AE title.
    """

    def __init__(self, *, taking: Taking, admission: Admission, peers: Mapping[str, str]) -> None:
        self._taking = taking
        self._admission = admission
        self._peers = peers
        self._associations: dict[Any, _Known] = {}
        self._lock = threading.Lock()

    def bindings(self) -> list[Any]:
        """Return the handlers as pynetdicom wants them."""
        return [
            (evt.EVT_REQUESTED, self.requested),
            (evt.EVT_C_ECHO, self.echo),
            (evt.EVT_RELEASED, self.released),
            (evt.EVT_ABORTED, self.broken),
            (evt.EVT_CONN_CLOSE, self.broken),
        ]

    def begin(self, assoc: Any) -> Begin:
        """Return what takes the instances of an association."""
        return partial(self._begin, assoc)

    def requested(self, event: Event) -> None:
        """Refuse an association that may not come in, or not now; note a user identity (PS3.7 D.3.3.7).

        Of an identity its type is told: its text is a person's name, a password or a ticket. It opens
        nothing, and nothing is refused for it: who may come in is known by AE title, address, certificate.
        """
        identity = event.assoc.requestor.user_identity
        if identity is not None:
            kind = _IDENTITIES.get(identity.user_identity_type, "unknown type")
            log("user identity given", address=event.assoc.requestor.address, detail=kind)
        refusal = self._admission.refusal(event.assoc)
        if refusal is not None:
            log("association refused", address=event.assoc.requestor.address, reason=refusal.reason)
            event.assoc.acse.send_reject(refusal.result, refusal.source, refusal.diagnostic)
            event.assoc.kill()

    def echo(self, _: Event) -> int:
        """C-ECHO (PS3.4 A.4): always Success."""
        return SUCCESS

    def released(self, event: Event) -> None:
        """Note that the peer released the association: it has sent what it wanted."""
        self._end(event, released=True)

    def broken(self, event: Event) -> None:
        """Note that the association ended in another way, unless it was released before."""
        self._end(event, released=False)

    def _begin(
        self, assoc: Any, request: StoreRequest, transfer_syntax_uid: str
    ) -> InstanceReception:
        known = self._known(assoc)
        return InstanceReception(
            request,
            transfer_syntax_uid,
            assoc.requestor.ae_title.strip(),
            incoming=partial(self._incoming, known, request.sop_class_uid),
            receive=self._taking.receive,
            association=(known.association_id, known.peer),
            reader=self._taking.reader,
        )

    def _incoming(self, known: _Known, sop_class_uid: str) -> Incoming:
        """Open a file; an association is on record before its first instance is.

        Raises
        ------
        ClassNotTaken
            The instance is of another class than those that were negotiated, and we know it not.
        OutOfResources
            There is no room, or the association cannot be recorded.
        """
        taken = self._taking.sop_classes
        if taken is not None and sop_class_uid not in taken:
            raise ClassNotTaken(f"storage of the SOP class {sop_class_uid} is not offered")
        self._admission.require_room()
        if not known.opened:
            self._taking.opened(known.association_id, known.peer)
            known.opened = True
            log("association opened", association_id=known.association_id, peer=known.peer)
        return self._taking.incoming(known.association_id)

    def _known(self, assoc: Any) -> _Known:
        with self._lock:
            known = self._associations.get(assoc)
            if known is None:
                peer = self._peers[assoc.requestor.ae_title.strip()]
                known = self._associations[assoc] = _Known(uuid.uuid4().hex, peer)
            return known

    def _end(self, event: Event, *, released: bool) -> None:
        with self._lock:
            known = self._associations.pop(event.assoc, None)
        if known is None or not known.opened:
            return
        try:
            self._taking.ended(known.association_id, released)
        except Rejected as error:
            # the series then waits for its long quiet time; nothing is lost
            log_failure("association end not recorded", error, association_id=known.association_id)
        outcome = "released" if released else "broken"
        log(
            "association ended",
            association_id=known.association_id,
            peer=known.peer,
            outcome=outcome,
        )
