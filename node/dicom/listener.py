"""The Storage SCP as a server: started, bounded, drained."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pynetdicom import AE, _config
from pynetdicom.presentation import PresentationContext

from node.dicom.admission import Admission
from node.dicom.contexts import supported_contexts
from node.dicom.handlers import Handlers
from node.dicom.server import IntakeServer, asked

DRAIN_S = 10.0
"""How long running associations may finish after `drain`."""

BACKLOG = 128
"""Connections that the kernel holds until a process accepts them."""

CONNECTIONS_PER_ASSOCIATION = 4
"""How many connections, silent ones among them, are held for each association that may be served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Within which bounds a listener works.

    Parameters
    ----------
    maximum_pdu_bytes
        Maximum PDU length that we advertise (PS3.8 D.1); a longer one aborts the association.
    maximum_associations
        At one time; more are refused as transient.
    idle_timeout_s
        Silence after which an association is aborted, and the longest that one PDU may take.
    handshake_timeout_s
        How long a TLS handshake may take, and the wait for an A-ASSOCIATE-RQ.
    tls_context
        Returns the newest TLS context, None for a port without TLS.
    sop_classes
        Storage SOP classes that are taken besides those that everybody knows.
    """

    maximum_pdu_bytes: int
    maximum_associations: int
    idle_timeout_s: float
    handshake_timeout_s: float
    tls_context: Callable[[], ssl.SSLContext | None]
    sop_classes: tuple[str, ...] = ()


def open_port(host: str, port: int) -> socket.socket:
    """Listen on an address; the socket may be shared by several processes.

    Raises
    ------
    OSError
        The address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


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
        Its limits.
    admission
        Who may come in.
    handlers
        What is done.
    services
        What is offered besides storage.
    drained
        Called when the last association is over.
    """

    def __init__(
        self,
        ae_title: str,
        endpoint: Endpoint,
        admission: Admission,
        handlers: Handlers,
        services: Sequence[Service] = (),
        drained: Callable[[], None] = lambda: None,
    ) -> None:
        _config.LOG_REQUEST_IDENTIFIERS = False
        _config.LOG_RESPONSE_IDENTIFIERS = False
        _config.LOG_HANDLER_LEVEL = "none"  # its records quote data, and cost time for every PDU
        self._endpoint = endpoint
        self._admission = admission
        self._handlers = handlers
        self._ae = AE(ae_title=ae_title)
        self._ae.maximum_pdu_size = endpoint.maximum_pdu_bytes
        # its own count takes silent connections for associations; `Admission` counts
        self._ae.maximum_associations = CONNECTIONS_PER_ASSOCIATION * endpoint.maximum_associations
        self._ae.network_timeout = endpoint.idle_timeout_s
        self._ae.acse_timeout = endpoint.handshake_timeout_s
        self._services = services
        self._drained = drained
        self._server: IntakeServer | None = None

    def start(self, listening: socket.socket) -> None:
        """Serve the connections of a socket, in threads of this process."""
        endpoint = self._endpoint
        self._server = IntakeServer(
            self._ae,
            [
                *supported_contexts(endpoint.sop_classes),
                *(one for each in self._services for one in each.contexts()),
            ],
            [
                *self._handlers.bindings(),
                *(one for each in self._services for one in each.bindings()),
            ],
            listening=listening,
            begin=self._handlers.begin,
            tls_context=endpoint.tls_context,
            handshake_timeout_s=endpoint.handshake_timeout_s,
            pdu_timeout_s=endpoint.idle_timeout_s,
            maximum_connections=CONNECTIONS_PER_ASSOCIATION * endpoint.maximum_associations,
        )
        self._ae._servers.append(self._server)  # noqa: SLF001 - as AE.start_server does
        thread = threading.Thread(target=self._server.serve_forever, name="listener", daemon=True)
        thread.start()

    def active(self) -> int:
        """Return how many associations are served; connections that asked for none do not count."""
        return sum(map(asked, self._connections()))

    def drain(self) -> None:
        """Refuse new associations as transient, let running ones finish for `DRAIN_S`, then stop."""
        self._admission.draining = True
        deadline = time.monotonic() + DRAIN_S
        while self.active() and time.monotonic() < deadline:
            time.sleep(0.05)
        if self._server is not None:
            self._server.shutdown()
        for connection in self._connections():
            if not asked(connection):
                # an abort does not end its thread, on which the process would wait
                connection.dul.kill_dul()
        self._ae.shutdown()
        self._server = None
        self._drained()

    def _connections(self) -> list[Any]:
        return self._server.active_associations if self._server is not None else []
