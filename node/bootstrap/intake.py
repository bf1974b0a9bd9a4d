"""The listener: the Storage SCP, what it offers besides, and the recorder behind it."""

import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING

from node.bootstrap.confirming import commitment_reports
from node.bootstrap.headers import comparer, header_reader
from node.bootstrap.state import database, make_durable
from node.bootstrap.tls import tls_context
from node.errors import SettingsInvalid
from node.settings import Settings
from node.telemetry import log

if TYPE_CHECKING:
    from node.dicom.listener import Listener, Service

GATHER_S = 0.03
"""What is told within this time is recorded together."""

LOOK_S = 1.0
"""After so long the recorder looks for what nobody told it of."""


def listener(
    settings: Settings, number: int = 0, telling: socket.socket | None = None
) -> "Listener":
    """Wire the Storage SCP; it is not started yet.

    Parameters
    ----------
    number
        Which of the processes that share the port it is, from 0.
    telling
        Where it tells the recorder; None for one in a thread of this process.

    Raises
    ------
    SettingsInvalid
        No peer has an AE title, so that nobody could send; or the TLS files cannot be used.
    """
    from node.dicom.admission import Admission, Caller
    from node.dicom.contexts import storage_classes
    from node.dicom.handlers import Handlers, Taking
    from node.dicom.listener import Endpoint, Listener
    from node.pipeline.receive import recover
    from node.store import channel
    from node.store.files import FileStore
    from node.store.index import IntakeStore
    from node.store.room import DiskRoom
    from node.store.spool import Spool

    table = settings.listener
    callers = {
        peer.ae_title: Caller(networks=peer.calls_from, certificate_names=peer.certificate_names)
        for peer in settings.peer
        if peer.ae_title
    }
    if not callers:  # an empty list would admit everybody
        raise SettingsInvalid(("peer: nobody may send: give at least one peer an ae_title",))
    peers = {peer.ae_title: peer.name for peer in settings.peer if peer.ae_title}
    for peer in settings.peer:  # a commitment service may have a title of its own
        title = peer.commits.ae_title if peer.commits is not None else None
        if title is not None and title not in peers:
            peers[title] = peer.name
            callers[title] = Caller(certificate_names=peer.certificate_names)
    make_durable(settings.node.data)
    store = FileStore(settings.node.data / "files", listener=str(number), durable=table.fsync)
    intake = IntakeStore(database(settings), owner=f"listener:{table.port}:{number}")

    store.begin()
    reader = header_reader(settings)
    # what an earlier version gave its name without a receipt
    recovered = recover(store, intake, reader.read, comparer(store.root))
    broken = intake.break_open_associations()
    if telling is None:
        telling, end = _record_beside(settings)
    else:
        end = _nothing
    spool = Spool(
        store,
        tell=partial(channel.tell, telling),
        ended=lambda association_id, released: intake.association_ended(
            association_id, released=released
        ),
    )
    log("listener starts", count=broken, instances=recovered, port=table.port)
    share = -(-table.maximum_associations // table.processes)
    room = DiskRoom(store.root, high=table.disk_high, low=table.disk_low, full=table.disk_full)
    admission = Admission(
        ae_title=settings.node.ae_title, callers=callers, room=room, maximum_associations=share
    )
    handlers = Handlers(
        taking=Taking(
            incoming=spool.incoming,
            receive=spool.promise,
            opened=intake.association_opened,
            ended=spool.ended,
            reader=reader,
            sop_classes=frozenset(storage_classes(table.sop_classes)),
        ),
        admission=admission,
        peers=peers,
    )
    endpoint = Endpoint(
        maximum_pdu_bytes=table.maximum_pdu_bytes,
        maximum_associations=share,
        idle_timeout_s=table.idle_timeout_s,
        handshake_timeout_s=table.handshake_timeout_s,
        tls_context=tls_context("listener.tls", table.tls),
        sop_classes=table.sop_classes,
    )
    services = _services(settings, peers)

    def drained() -> None:
        spool.close()
        store.end()
        end()

    return Listener(settings.node.ae_title, endpoint, admission, handlers, services, drained)


def record_arrivals(
    settings: Settings,
    hearing: socket.socket,
    ended: Callable[[], bool] = lambda: False,
    begun: Callable[[], object] = lambda: None,
) -> None:
    """Record what is promised, as the only one who does, until it ends or no listener is left.

    Parameters
    ----------
    hearing
        Where the listeners tell of it.
    ended
        Whether it ends before that; what is left then waits for the next start.
    begun
        Called when what an earlier life left is recorded.
    """
    from node.pipeline.record import Recorder
    from node.store import channel
    from node.store.index import IntakeStore
    from node.store.promises import PromisedFiles

    root = settings.node.data / "files"
    make_durable(root)
    promises = PromisedFiles(root, durable=settings.listener.fsync)
    recorder = Recorder(
        promises,
        IntakeStore(database(settings), owner="recorder"),
        header_reader(settings).read,
        comparer(promises.root),
    )
    with promises.alone(ended) as alone:
        if not alone:
            return
        recorder.begin()
        begun()
        looked = time.monotonic()
        with contextlib.suppress(EOFError):
            while not ended():
                if told := channel.hear(hearing, LOOK_S):
                    time.sleep(GATHER_S)
                    told += channel.more(hearing)
                if time.monotonic() - looked < LOOK_S:
                    recorder.record(told)
                else:
                    recorder.look(told)
                    looked = time.monotonic()
        recorder.look()


def _record_beside(settings: Settings) -> tuple[socket.socket, Callable[[], None]]:
    """Start a recorder in a thread; return where it is told, and what ends it."""
    from node.store import channel

    hearing, telling = channel.pair()
    ended = Event()
    thread = Thread(
        target=record_arrivals, args=(settings, hearing, ended.is_set), name="recorder", daemon=True
    )
    thread.start()

    def end() -> None:
        ended.set()
        thread.join()
        hearing.close()
        telling.close()

    return telling, end


def _nothing() -> None:
    """Leave the recorder to the process that started it."""


def _services(settings: Settings, peers: Mapping[str, str]) -> "list[Service]":
    """Wire what the listener offers besides storage."""
    from node.dicom.announcements import Announcements
    from node.dicom.commitments import Commitments, Requests
    from node.pipeline import announce, commit
    from node.store.announcements import AnnouncementStore
    from node.store.commitments import CommitmentStore

    opened = database(settings)
    announced = AnnouncementStore(opened)
    services: list[Service] = [
        Announcements(
            announce=lambda announcement: announce.announce(announcement, announced),
            begin_step=lambda change: announce.begin_step(change, announced),
            change_step=lambda change: announce.change_step(change, announced),
            peers=peers,
        )
    ]
    requests = None
    if settings.commitment.enabled:
        commitments = CommitmentStore(opened, settings.queue.lease_s)
        requests = Requests(
            ask=lambda request: commit.ask(request, commitments),
            reachable=frozenset(peer.name for peer in settings.peer if peer.host and peer.port),
        )
    reports = commitment_reports(settings, opened)
    if requests is not None or reports is not None:
        services.append(Commitments(requests=requests, reports=reports, peers=peers))
    return services
