"""A DICOM application entity that we call, and the association with it."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification

from integrations.errors import Refused, SyntaxRefused, Unavailable

_REJECTED_PERMANENT = 1
"""A-ASSOCIATE-RJ Result (PS3.8 9.3.4): 1 is rejected-permanent, 2 rejected-transient."""

_MAXIMUM_PDU_BYTES = 1 << 20
"""What we offer to receive; a bound, because 0 would mean any length that a peer cares to declare."""

_FAREWELL_S = 1.0
"""For what is under way when an association is given up: an A-ABORT leaves at once where anything can."""

_NO_CONTEXT = "NO-PRESENTATION-CONTEXT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How the connection to a peer is secured.

    Parameters
    ----------
    context
        Gives the context for a connection that begins now: its certificates may have been replaced.
    name
        Name that the peer's certificate must have; None where the context does not look at it.
    """

    context: Callable[[], ssl.SSLContext]
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomPeer:
    """An application entity and how long we wait for it.

    Parameters
    ----------
    ae_title, host, port
        Called AE title and address.
    calling_ae_title
        The title by which we introduce ourselves.
    connection_timeout_s
        For the TCP connection.
    acse_timeout_s
        For the answer to an association or release request.
    dimse_timeout_s
        For the response to a message, once its bytes can have arrived.
    tls
        DICOM TLS (PS3.15 B.12); None for a connection without.
    """

    ae_title: str
    host: str
    port: int
    calling_ae_title: str = "OVERREAD"
    connection_timeout_s: float = 10.0
    acse_timeout_s: float = 30.0
    dimse_timeout_s: float = 60.0
    tls: Tls | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.ae_title} at {self.host}:{self.port}"


@contextlib.contextmanager
def associated(
    peer: DicomPeer,
    contexts: Sequence[PresentationContext],
    roles: Sequence[Any] = (),
    handlers: Sequence[Any] = (),
) -> Iterator[Any]:
    """Open a pynetdicom association, and release it at the end.

    Parameters
    ----------
    contexts
        Presentation contexts to propose; at least one is accepted when the association is given.
    roles
        SCP/SCU role selections to propose (PS3.7 D.3.3.4), for a service that we provide.
    handlers
        What is done with requests of the peer, as pynetdicom wants it.

    Raises
    ------
    Unavailable
        No connection, no answer, aborted, or rejected as transient (PS3.8 9.3.4).
    SyntaxRefused
        The association would be accepted, but no presentation context.
    Refused
        Rejected as permanent (``ASSOCIATION-REJECTED``), such as a title that the peer does not know.
    RuntimeError
        Somebody's mistake while the association stands; nobody's to catch.
    """
    entity = AE(ae_title=peer.calling_ae_title)
    entity.connection_timeout = peer.connection_timeout_s
    entity.acse_timeout = peer.acse_timeout_s
    entity.dimse_timeout = peer.dimse_timeout_s
    association = entity.associate(
        peer.host,
        peer.port,
        contexts=list(contexts),
        ae_title=peer.ae_title,
        max_pdu=_MAXIMUM_PDU_BYTES,
        ext_neg=list(roles),
        tls_args=None if peer.tls is None else (peer.tls.context(), peer.tls.name),
        evt_handlers=[
            (evt.EVT_CONN_OPEN, _send_at_once),
            (evt.EVT_CONN_OPEN, _end_in_time),
            *handlers,
        ],
    )
    if not association.is_established:
        _explain(peer, association)
    keep_answers(association)
    keep_pauses(association)
    try:
        yield association
    except RuntimeError as lost:
        # pynetdicom's word for a request on an association that the peer has ended
        if association.is_established:
            raise
        raise Unavailable(f"{peer} ended the association") from lost
    finally:
        association.release()


def echo(peer: DicomPeer) -> None:
    """Verify that the peer answers (C-ECHO, PS3.4 Annex A).

    Raises
    ------
    Unavailable
        It does not answer now.
    Refused
        It rejects us, has no verification service, or answers with a failure (``PACS-0210``).
    """
    with associated(peer, [build_context(Verification)]) as association:
        status = status_of(association.send_c_echo(), peer)
    if status != 0:
        raise Refused(reason_code(status), f"{peer} refused the echo")


def status_of(answer: Any, peer: DicomPeer) -> int:
    """Read the status of a DIMSE response.

    Raises
    ------
    Unavailable
        There was no response: the peer timed out, aborted, or sent something else.
    """
    if "Status" not in answer:
        raise Unavailable(f"{peer} did not answer a request")
    return int(answer.Status)


def reason_code(status: int) -> str:
    """Name a DIMSE status as a reason code: ``PACS-A900``."""
    return f"PACS-{status:04X}"


def _send_at_once(event: Any) -> None:
    """Switch Nagle's algorithm off: every message ends in a small write that it would hold back for 40 ms."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _end_in_time(event: Any) -> None:
    """Shut a connection down when it does not end by itself soon after it is given up.

    Every wait of pynetdicom's is bounded but the last: it gives an association up and then waits for the
    thread that reads and writes. A peer that stops within a PDU, drips or reads no further would hold that
    for as long as it likes.
    """
    association, wire = event.assoc, event.assoc.dul.socket.socket
    end = association.kill

    def end_in_time() -> None:
        watch = threading.Timer(_FAREWELL_S, _shut_down, [wire])
        watch.daemon = True
        watch.start()
        try:
            end()
        finally:
            watch.cancel()

    association.kill = end_in_time


def _shut_down(wire: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may be closed by now
        wire.shutdown(socket.SHUT_RDWR)


def keep_answers(association: Any) -> None:
    """Keep pynetdicom's own thread from taking a response off the queue before whoever waits for it.

    It is to pause while a request is under way, but may be past the place where it looks whether it should:
    the response is then thrown away, and the wait for it ends with the time-out. A request of the peer's, of
    which a C-GET brings some, comes while one of ours is under way.
    """
    take = association.dimse.get_msg
    association.dimse.get_msg = lambda block=False: take(block) if block else (None, None)


def keep_pauses(association: Any) -> None:
    """Let pynetdicom's own thread stay paused although a request of the peer's is answered meanwhile.

    An N-EVENT-REPORT is served in a thread of its own, which says at its end that nobody pauses. Whoever wants
    to release, or to send, at that moment waits for the pause without end.
    """
    serve = association._serve_request  # noqa: SLF001

    def serve_beside_a_pause(message: Any, context_id: int) -> None:
        serve(message, context_id)
        if not association._reactor_checkpoint.is_set():  # noqa: SLF001
            association._is_paused = True  # noqa: SLF001

    association._serve_request = serve_beside_a_pause  # noqa: SLF001


def _explain(peer: DicomPeer, association: Any) -> None:
    """Raise why an association was not established.

    Raises
    ------
    Unavailable
        It may work later.
    Refused
        It will not.
    SyntaxRefused
        No presentation context was accepted.
    """
    answer = association.acceptor.primitive
    if answer is None:
        raise Unavailable(f"{peer} cannot be reached, or did not answer the association request")
    if answer.result == 0:
        raise SyntaxRefused(_NO_CONTEXT, f"{peer} accepted no presentation context")
    said = f"{peer} rejected the association: {answer.result_str}, {answer.reason_str}"
    if answer.result == _REJECTED_PERMANENT:
        raise Refused("ASSOCIATION-REJECTED", said)
    raise Unavailable(said)
