"""pynetdicom's association server on a socket that it is given, with every handshake in its own thread."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from pynetdicom import evt
from pynetdicom.association import MODE_ACCEPTOR, Association
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from node.dicom.fragments import Begin
from node.dicom.upper_layer import Doorbell, UpperLayer
from node.telemetry import log

YIELD_S, LONGEST_YIELD_S = 0.002, 0.02
"""Pause before a connection is accepted, for each one that this process has: a less busy process that
listens on the same socket is faster, and so gets it."""


class IntakeAssociation(Association):  # type: ignore[misc]  # pynetdicom has no types
    """An acceptor whose C-STOREs go straight to their files.

    Parameters
    ----------
    ae
        pynetdicom's application entity.
    begin
        Takes the instance of a C-STORE, on this association.
    pdu_timeout_s
        How long one PDU may take to arrive.
    left
        Told when the association is over, whatever became of it.
    """

    def __init__(
        self,
        ae: Any,
        begin: Callable[[Any], Begin],
        pdu_timeout_s: float,
        left: Callable[[], None],
    ) -> None:
        super().__init__(ae, MODE_ACCEPTOR)
        self._left = left
        doorbell = Doorbell()
        self._reactor_checkpoint = doorbell
        self.dul = UpperLayer(
            self,
            begin=begin(self),
            maximum_pdu_bytes=ae.maximum_pdu_size,
            pdu_timeout_s=pdu_timeout_s,
            doorbell=doorbell,
        )
        # the new layer's timers learn theirs by these
        self.network_timeout = ae.network_timeout
        self.acse_timeout = ae.acse_timeout

    def served(self) -> int:
        """Return how many associations this process serves, this one included."""
        return sum(map(asked, self._server.active_associations)) if self._server else 0

    def run_reactor(self) -> None:
        """Run until the association is over."""
        try:
            super().run_reactor()
        finally:
            self._left()


class Connection(RequestHandler):  # type: ignore[misc]  # pynetdicom has no types
    """One connection from its acceptance to its association's start."""

    server: "IntakeServer"
    request: socket.socket

    def handle(self) -> None:
        """Shake hands when the port speaks TLS, then start the association."""
        if self._shaken():
            super().handle()
        else:
            self.server.left()
            self.server.shutdown_request(self.request)

    def _shaken(self) -> bool:
        context = self.server.tls_context()
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request.settimeout(self.server.handshake_timeout_s)
        if context is not None:
            try:
                self.request = context.wrap_socket(self.request, server_side=True)
            except (OSError, ValueError) as error:
                reason = getattr(error, "reason", None) or type(error).__name__
                detail = getattr(error, "verify_message", None)
                log("TLS refused", address=self.client_address[0], reason=reason, detail=detail)
                return False
        self.request.settimeout(self.ae.network_timeout)
        return True

    def _create_association(self) -> Association:
        server = self.server
        assoc = IntakeAssociation(self.ae, server.begin, server.pdu_timeout_s, server.left)
        assoc._server = server  # noqa: SLF001 - as pynetdicom's own request handler does
        assoc.name = f"AcceptorThread@{time.monotonic_ns()}"
        assoc.set_socket(AssociationSocket(assoc, client_socket=self.request))
        acceptor = assoc.acceptor
        acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.ae_title = server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.implementation_version_name = self.ae.implementation_version_name
        # shared: negotiation reads them, and a copy of 170 contexts costs more than an image
        acceptor.supported_contexts = server.contexts
        assoc.requestor.address_info = self.remote
        for event, handlers in server._handlers.items():  # noqa: SLF001
            if isinstance(event, evt.NotificationEvent):
                for handler, arguments in handlers:
                    assoc.bind(event, handler, arguments)
            elif handlers:
                assoc.bind(event, *handlers)
        return assoc


def asked(connection: Any) -> bool:
    """Whether a peer asked for an association; a balancer that probes the port does not."""
    return connection.requestor.primitive is not None


class IntakeServer(ThreadedAssociationServer):  # type: ignore[misc]  # pynetdicom has no types
    """Accepts connections on a socket that other processes may share.

    Parameters
    ----------
    ae, contexts, bindings
        As pynetdicom wants them.
    listening
        A socket that listens already; whoever made it keeps it.
    begin
        Makes, for an association, what takes its instances.
    tls_context
        Returns the newest TLS context, None for a port without TLS.
    handshake_timeout_s, pdu_timeout_s
        How long a TLS handshake, and one PDU, may take.
    maximum_connections
        More are closed as they come.
    """

    socket: Any
    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        ae: Any,
        contexts: list[Any],
        bindings: list[Any],
        *,
        listening: socket.socket,
        begin: Callable[[Any], Begin],
        tls_context: Callable[[], ssl.SSLContext | None],
        handshake_timeout_s: float,
        pdu_timeout_s: float,
        maximum_connections: int,
    ) -> None:
        self._listening = listening
        self.begin = begin
        self.tls_context = tls_context
        self.handshake_timeout_s = handshake_timeout_s
        self.pdu_timeout_s = pdu_timeout_s
        self._maximum_connections = maximum_connections
        self._open = 0
        self._lock = threading.Lock()
        address = listening.getsockname()
        super().__init__(
            ae, address, ae.ae_title, contexts, evt_handlers=bindings, request_handler=Connection
        )

    def server_bind(self) -> None:
        """Take the socket that was given instead of the one that socketserver made."""
        if self.socket is not None:
            self.socket.close()
        self.socket = self._listening
        self.socket.setblocking(False)  # another process may be faster
        self.server_address = self.socket.getsockname()

    def server_activate(self) -> None:
        """Do nothing: it listens already."""

    def get_request(self) -> tuple[Any, Any]:
        """Accept; a TLS handshake is not for this thread, in which everybody waits."""
        time.sleep(min(YIELD_S * len(self.active_associations), LONGEST_YIELD_S))
        accepted: tuple[Any, Any] = self.socket.accept()
        return accepted

    def verify_request(self, _: Any, client_address: Any) -> bool:
        """Whether there is room for one more connection."""
        with self._lock:
            if self._open >= self._maximum_connections:
                log("connection refused", address=client_address[0], reason="TOO-MANY-CONNECTIONS")
                return False
            self._open += 1
        return True

    def left(self) -> None:
        """Note that a connection is over."""
        with self._lock:
            self._open -= 1

    def server_close(self) -> None:
        """Leave the listening socket to whoever made it."""
        with contextlib.suppress(OSError):
            self._listening.close()
