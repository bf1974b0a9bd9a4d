"""The listener: the Storage SCP and what it offers besides."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, BinaryIO

from node.bootstrap.confirming import commitment_reports
from node.bootstrap.headers import header_reader
from node.bootstrap.state import database, make_durable
from node.bootstrap.tls import tls_context
from node.errors import SettingsInvalid
from node.settings import Settings
from node.telemetry import log

if TYPE_CHECKING:
    from node.core.study import Header
    from node.dicom.listener import Listener, Service


def listener(settings: Settings, number: int = 0) -> "Listener":
    """Wire the Storage SCP; it is not started yet.

    Parameters
    ----------
    number
        Which of the processes that share the port it is, from 0.

    Raises
    ------
    SettingsInvalid
        No peer has an AE title, so that nobody could send; or the TLS files cannot be used.
    """
    from node.dicom.admission import Admission, Caller
    from node.dicom.contexts import storage_classes
    from node.dicom.handlers import Handlers, Taking
    from node.dicom.listener import Endpoint, Listener
    from node.dicom.pixels import compare
    from node.pipeline.receive import receive, recover
    from node.store.files import FileStore
    from node.store.index import IntakeStore
    from node.store.room import DiskRoom

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

    def compare_with(path: str, arriving: BinaryIO) -> "tuple[Header, bool | None] | None":
        return compare(store.root / path, arriving)

    reader = header_reader(settings)
    recovered = recover(store, intake, reader.read, compare_with)
    broken = intake.break_open_associations()
    log("listener starts", count=broken, instances=recovered, port=table.port)
    share = -(-table.maximum_associations // table.processes)
    room = DiskRoom(store.root, high=table.disk_high, low=table.disk_low, full=table.disk_full)
    admission = Admission(
        ae_title=settings.node.ae_title, callers=callers, room=room, maximum_associations=share
    )
    handlers = Handlers(
        taking=Taking(
            incoming=store.incoming,
            receive=lambda arrival: receive(arrival, intake, compare_with),
            opened=intake.association_opened,
            ended=lambda association_id, released: intake.association_ended(
                association_id, released=released
            ),
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
    return Listener(settings.node.ae_title, endpoint, admission, handlers, services)


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
