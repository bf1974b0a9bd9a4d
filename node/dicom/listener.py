"""The Storage SCP as a server: started, bounded, drained."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pynetdicom import AE, _config
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import ThreadedAssociationServer

from node.dicom.contexts import supported_contexts
from node.dicom.handlers import Handlers

DRAIN_S = 10.0
"""How long running associations may finish after `drain`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to listen, and within which bounds.

    Parameters
    ----------
    host, port
        Address to listen on.
    maximum_pdu_bytes
        Maximum PDU length that we advertise (PS3.8 D.1).
    maximum_associations
        At one time; more are refused as transient.
    idle_timeout_s
        Silence after which an association is aborted.
    """

    host: str
    port: int
    maximum_pdu_bytes: int
    maximum_associations: int
    idle_timeout_s: float


class Service(Protocol):
    """What the listener offers besides storage."""

    def contexts(self) -> list[PresentationContext]:
        """Return what it accepts."""

    def bindings(self) -> list[Any]:
        """Return its handlers as pynetdicom wants them."""


class Listener:
    """Accepts associations from known peers.

    Parameters
    ----------
    ae_title
        Ours; a peer that calls another one is refused.
    endpoint
        Address and limits.
    calling_ae_titles
        Who may call.
    handlers
        What is done.
    services
        What is offered besides storage.
    """

    def __init__(
        self,
        ae_title: str,
        endpoint: Endpoint,
        calling_ae_titles: Sequence[str],
        handlers: Handlers,
        services: Sequence[Service] = (),
    ) -> None:
        _config.LOG_REQUEST_IDENTIFIERS = False
        _config.LOG_RESPONSE_IDENTIFIERS = False
        self._endpoint = endpoint
        self._ae = AE(ae_title=ae_title)
        self._ae.supported_contexts = supported_contexts()
        self._ae.require_called_aet = True
        self._ae.require_calling_aet = list(calling_ae_titles)
        self._ae.maximum_pdu_size = endpoint.maximum_pdu_bytes
        self._ae.maximum_associations = endpoint.maximum_associations
        self._ae.network_timeout = endpoint.idle_timeout_s
        self._bindings: list[Any] = handlers.bindings()
        for service in services:
            self._ae.supported_contexts = [*self._ae.supported_contexts, *service.contexts()]
            self._bindings += service.bindings()
        self._server: ThreadedAssociationServer | None = None

    def start(self) -> None:
        """Listen, in threads of this process.

        Raises
        ------
        OSError
            The address is taken or not ours.
        """
        address = (self._endpoint.host, self._endpoint.port)
        self._server = self._ae.start_server(address, block=False, evt_handlers=self._bindings)

    def drain(self) -> None:
        """Refuse new associations as transient, let running ones finish for `DRAIN_S`, then stop."""
        self._ae.maximum_associations = 1  # the least that pynetdicom takes; a running one fills it
        deadline = time.monotonic() + DRAIN_S
        while any(map(_asked, self._connections())) and time.monotonic() < deadline:
            time.sleep(0.05)
        if self._server is not None:
            self._server.shutdown()
        for connection in self._connections():
            if not _asked(connection):
                # an abort does not end its thread, on which the process would wait
                connection.dul.kill_dul()
        self._ae.shutdown()
        self._server = None

    def _connections(self) -> list[Any]:
        return self._server.active_associations if self._server is not None else []


def _asked(connection: Any) -> bool:
    """Whether the peer asked for an association; a balancer that probes the port does not."""
    return connection.requestor.primitive is not None
