"""Settings in, wired services out: one function for each role.

The only place that constructs adapters. Imports stand inside the functions, so that a role's process holds
nothing of the others': a listener knows neither torch nor FHIR.
"""

import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from node.clock import SystemClock
from node.core.completeness import QuietTimes
from node.core.ports import Hold
from node.errors import SettingsInvalid
from node.settings import Peer, Settings, TlsTable
from node.telemetry import log, log_failure

if TYPE_CHECKING:
    from inference.card import Card
    from inference.results.objects import Equipment
    from inference.server import ModelServer
    from integrations.context import Record
    from integrations.fhir.client import FhirClient
    from integrations.pacs.peer import DicomPeer
    from node.core.commitment import CommitmentRequest, FailureReason
    from node.core.job import Claim
    from node.core.ledger import Balance
    from node.core.ports import Expirable
    from node.core.retention import Policy
    from node.core.schedule import Daily
    from node.core.study import Header
    from node.dicom.listener import Listener, Service
    from node.pipeline.deliver import Outlet
    from node.pipeline.dispatch import Routes
    from node.pipeline.retrieve import Archive, Evidences
    from node.pipeline.translate import Source
    from node.store.database import Database
    from node.store.deliveries import DeliveryStore
    from node.store.files import FileStore
    from node.store.housekeeping import HousekeepingStore
    from node.store.index import IntakeStore
    from node.store.jobs import JobStore
    from node.store.outbox import OutboxStore
    from node.store.overview import Overview
    from node.store.retention import RetentionStore
    from node.store.roles import RoleLease

Step = Callable[[Hold], bool]
"""Does one owed piece of work; False when nothing was owed."""


def database(settings: Settings) -> "Database":
    """Open the node's database at its newest schema."""
    from node.store.database import Database

    _make_durable(settings.node.data)
    opened = Database(settings.node.data / "overread.db")
    opened.migrate()
    return opened


def _make_durable(folder: Path) -> None:
    """Make a folder that survives power loss: the name of a new one is synced in its parent."""
    if folder.is_dir():
        return
    _make_durable(folder.parent)
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def files(settings: Settings) -> "FileStore":
    """Open the node's folder of files."""
    from node.store.files import FileStore

    _make_durable(settings.node.data)
    return FileStore(settings.node.data / "files")


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
    from node.dicom.handlers import Handlers, Taking
    from node.dicom.header import read_header
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
    _make_durable(settings.node.data)
    store = FileStore(settings.node.data / "files", listener=str(number), durable=table.fsync)
    intake = IntakeStore(database(settings), owner=f"listener:{table.port}:{number}")

    def compare_with(path: str, arriving: BinaryIO) -> "tuple[Header, bool | None] | None":
        return compare(store.root / path, arriving)

    recovered = recover(store, intake, read_header, compare_with)
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
        ),
        admission=admission,
        peers=peers,
    )
    endpoint = Endpoint(
        maximum_pdu_bytes=table.maximum_pdu_bytes,
        maximum_associations=share,
        idle_timeout_s=table.idle_timeout_s,
        handshake_timeout_s=table.handshake_timeout_s,
        tls_context=_tls(table.tls),
    )
    services = _services(settings, peers)
    return Listener(settings.node.ae_title, endpoint, admission, handlers, services)


def _tls(table: TlsTable | None) -> Callable[[], ssl.SSLContext | None]:
    from node.dicom.tls import Certificates, ReloadingContext

    if table is None:
        return lambda: None
    certificates = Certificates(
        certificate=table.certificate, key=table.key, authorities=table.authorities
    )
    try:
        return ReloadingContext(certificates)
    except OSError as error:
        raise SettingsInvalid((f"listener.tls: {error}",)) from error


def _services(settings: Settings, peers: Mapping[str, str]) -> "list[Service]":
    """Wire what the listener offers besides storage."""
    from node.dicom.announcements import Announcements, Commitments
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
    if settings.commitment.enabled:
        commitments = CommitmentStore(opened, settings.queue.lease_s)
        reachable = frozenset(peer.name for peer in settings.peer if peer.host and peer.port)
        services.append(
            Commitments(
                ask=lambda request: commit.ask(request, commitments),
                peers=peers,
                reachable=reachable,
            )
        )
    return services


@dataclass(frozen=True, slots=True, kw_only=True)
class Nights:
    """What the keeper does once a day.

    Parameters
    ----------
    diary
        What was done before.
    balance
        Draws up the ledger; calls what it is given as it goes on.
    expirable, policy
        What may be deleted.
    ledger_at, retention_at
        When.
    """

    diary: "HousekeepingStore"
    balance: "Callable[[Callable[[int], None]], Balance]"
    expirable: "Expirable"
    policy: "Policy"
    ledger_at: "Daily"
    retention_at: "Daily"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What the keeper works with."""

    intake: "IntakeStore"
    jobs: "JobStore"
    outbox: "OutboxStore"
    lease: "RoleLease"
    routes: "Routes"
    quiet_of: Callable[[str], QuietTimes]
    record_for: "Callable[[Claim], Record | None]"
    source_of: "Callable[[str], Source]"
    report_commitment: Step
    nights: Nights
    evidences: "Evidences"
    archives: "Sequence[Archive]" = ()


def keeper(settings: Settings) -> Keeping:
    """Wire the role that assembles, dispatches, prepares and rings.

    Raises
    ------
    SettingsInvalid
        A rule names a model that has no card, or a card is wrong.
    """
    from node.store.evidence import EvidenceStore
    from node.store.index import IntakeStore
    from node.store.jobs import JobStore
    from node.store.outbox import OutboxStore
    from node.store.roles import RoleLease

    opened = database(settings)
    holder = f"{socket.gethostname()}:{os.getpid()}"
    return Keeping(
        intake=IntakeStore(opened, owner=holder),
        jobs=JobStore(opened, settings.queue.lease_s),
        outbox=OutboxStore(opened, settings.queue.ring_again_s),
        lease=RoleLease(opened, "keeper", holder, lease_s=5.0),
        routes=routes(settings),
        quiet_of=lambda name: settings.peer_named(name).quiet,
        record_for=_record_for(settings),
        source_of=_source_of(settings),
        report_commitment=_commitment_reporter(settings, opened),
        evidences=EvidenceStore(opened),
        archives=_archives(settings),
        nights=_nights(settings, opened),
    )


def _commitment_reporter(settings: Settings, opened: "Database") -> Step:
    """Wire the step that answers one Storage Commitment request.

    Also when the service is off: what was taken while it was on is still owed.
    """
    from integrations.errors import Refused
    from node.pipeline.commit import report_next
    from node.store.commitments import CommitmentStore

    store = files(settings)
    commitments = CommitmentStore(opened, settings.queue.lease_s)

    def report(request: "CommitmentRequest", failures: "Mapping[str, FailureReason]") -> None:
        from integrations.pacs.commitment import Answer, report_commitment

        peer = settings.peer_named(request.peer)
        if not (peer.ae_title and peer.host and peer.port):
            raise Refused("UNKNOWN-DESTINATION", f"peer {peer.name} has no address any more")
        answers = [
            Answer(
                sop_class_uid=one.sop_class_uid,
                sop_instance_uid=one.sop_instance_uid,
                failure_reason=failures.get(one.sop_instance_uid),
            )
            for one in request.references
        ]
        report_commitment(dicom_peer(settings, peer), request.transaction_uid, answers)

    hold_s = settings.commitment.hold_s
    return lambda hold: report_next(commitments, store, report, hold, hold_s)


def routes(settings: Settings) -> "Routes":
    """Wire what decides which model reads a series.

    Raises
    ------
    SettingsInvalid
        A rule names a model that has no card, or a card is wrong.
    """
    from node.pipeline.dispatch import Routes

    return Routes(
        rules=settings.rules,
        cards=cards(settings),
        results_to=lambda name: settings.peer_named(name).results_to,
        exclusions=settings.exclude.exclusions,
        priority_of=lambda name: settings.peer_named(name).priority,
        quiet_of=lambda name: settings.peer_named(name).quiet,
    )


def _nights(settings: Settings, opened: "Database") -> Nights:
    from node.core.schedule import Daily
    from node.store.commitments import held
    from node.store.housekeeping import HousekeepingStore
    from node.store.ledger import balance
    from node.store.retention import RetentionStore

    root = files(settings).root
    ledger, retention = settings.ledger, settings.retention
    return Nights(
        diary=HousekeepingStore(opened),
        balance=lambda watch: balance(opened, root, young_s=ledger.young_s, progress=watch),
        expirable=RetentionStore(opened, root, held),
        policy=settings.retention_policy,
        ledger_at=Daily(at=ledger.nightly_at, zone=ledger.time_zone),
        retention_at=Daily(at=retention.daily_at, zone=retention.time_zone),
    )


def analyser(settings: Settings) -> Step:
    """Wire the step that does one job.

    Raises
    ------
    SettingsInvalid
        A card is wrong.
    """
    from inference.results.objects import Equipment
    from node.pipeline.analyse import Bench, analyse_next
    from node.store.jobs import JobStore

    store = files(settings)
    jobs = JobStore(database(settings), settings.queue.lease_s)
    equipment = Equipment(
        model_name="Overread",
        device_serial_number=settings.node.station_name,
        software_versions=(version("overread"),),
    )
    installed = cards(settings)
    _rehearse(installed, equipment)  # meanwhile the server loads its models
    bench = Bench(
        cards=installed,
        server=model_server(settings),
        equipment=equipment,
        uid_root=settings.node.uid_root,
        source_of=_source_of(settings),
        lost_leases=settings.queue.attempts,
    )
    return lambda hold: analyse_next(jobs, store, bench, hold, SystemClock())


def _rehearse(installed: "Mapping[str, Card]", equipment: "Equipment") -> None:
    """Let the first bell be answered as fast as the others; that one card cannot is no reason to stop."""
    from inference.errors import InferenceError
    from inference.rehearsal import rehearse

    for card in list(installed.values())[:1]:
        try:
            rehearse(card, equipment)
        except (InferenceError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
            log_failure("analysis not rehearsed", error, model=card.key)


def deliverer(settings: Settings) -> Step:
    """Wire the step that does one delivery.

    Raises
    ------
    SettingsInvalid
        A peer's token is not in the environment.
    """
    from node.pipeline.deliver import deliver_next
    from node.store.deliveries import DeliveryStore

    store = files(settings)
    deliveries = DeliveryStore(database(settings), settings.queue.lease_s)
    outlets = {
        peer.name: _outlet(settings, peer)
        for peer in settings.peer
        if peer.roles & {"archive", "ehr"}
    }
    lost_leases = settings.queue.attempts
    return lambda hold: deliver_next(deliveries, store, outlets, hold, lost_leases)


def retention_store(settings: Settings) -> "RetentionStore":
    """Open what retention may delete."""
    from node.store.commitments import held
    from node.store.retention import RetentionStore

    return RetentionStore(database(settings), files(settings).root, held)


def delivery_store(settings: Settings) -> "DeliveryStore":
    """Open what is owed to destinations, for `overread retry`."""
    from node.store.deliveries import DeliveryStore

    return DeliveryStore(database(settings), settings.queue.lease_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewing:
    """What the status page shows."""

    overview: "Overview"
    files: "FileStore"


def viewing(settings: Settings) -> Viewing:
    """Wire the status page."""
    from node.store.overview import Overview

    return Viewing(overview=Overview(database(settings)), files=files(settings))


def cards(settings: Settings) -> "Mapping[str, Card]":
    """Read the models' cards and hold the rules against them.

    Raises
    ------
    SettingsInvalid
        A rule names a model that has no card, or a card is wrong.
    """
    from inference.card import load_all
    from inference.errors import CardInvalid

    try:
        found = load_all(settings.inference.models)
    except CardInvalid as error:
        raise SettingsInvalid((str(error),)) from error
    unknown = [rule for rule in settings.rules if rule.model not in found]
    if unknown:
        known = ", ".join(found) or "none"
        raise SettingsInvalid(
            tuple(
                f"rule {rule.name}: no card for the model {rule.model} in "
                f"{settings.inference.models} (found: {known})"
                for rule in unknown
            )
        )
    return found


def model_server(settings: Settings) -> "ModelServer":
    """Return the server that runs the networks, or the same models in process when there is none."""
    from inference.server import InProcessServer, TritonServer
    from inference.triton import installed

    table = settings.inference
    local = table.host in {"127.0.0.1", "localhost", "::1"}
    if table.server == "in-process" or (local and not installed()):
        return InProcessServer(table.models)
    server = TritonServer(f"{table.host}:{table.grpc_port}", shared_memory=local)
    names = tuple(cards(settings))
    deadline = time.monotonic() + table.ready_timeout_s
    while not all(server.ready(name) for name in names):
        if time.monotonic() > deadline:
            log("triton not ready, models run in process", seconds=table.ready_timeout_s)
            return InProcessServer(table.models)
        time.sleep(0.2)
    log("triton ready", server=server.name)
    return server


def dicom_peer(settings: Settings, peer: Peer) -> "DicomPeer":
    """Return a peer as the PACS library knows it."""
    from integrations.pacs.peer import DicomPeer

    return DicomPeer(
        ae_title=peer.ae_title or "",
        host=peer.host or "",
        port=peer.port or 0,
        calling_ae_title=settings.node.ae_title,
        dimse_timeout_s=peer.timeout_s,
    )


def _outlet(settings: Settings, peer: Peer) -> "Outlet":
    from node.pipeline.deliver import Outlet

    if "ehr" in peer.roles:
        from integrations.fhir.destination import FhirDestination

        return Outlet(destination=FhirDestination(fhir_client(peer)), record=record(peer))
    from integrations.pacs.query import DicomArchiveIndex
    from integrations.pacs.storage import StorageDestination

    pacs = dicom_peer(settings, peer)
    return Outlet(destination=StorageDestination(pacs, DicomArchiveIndex(pacs)))


def record(peer: Peer) -> "Record":
    """Return the patient record behind a peer with the role `ehr`.

    Raises
    ------
    SettingsInvalid
        The peer's token is not in the environment.
    """
    from integrations.fhir.context import FhirRecord

    return FhirRecord(fhir_client(peer), peer.fhir.identifier_systems if peer.fhir else {})


def fhir_client(peer: Peer) -> "FhirClient":
    """Return a client of a peer's FHIR endpoint.

    Raises
    ------
    SettingsInvalid
        The peer has none, or its token is not in the environment.
    """
    from integrations.fhir.auth import BearerToken, NoAuth
    from integrations.fhir.client import FhirClient

    if peer.fhir is None:
        raise SettingsInvalid((f"peer {peer.name}: fhir.url is missing",))
    token = os.environ.get(peer.fhir.token_env) if peer.fhir.token_env else None
    if peer.fhir.token_env and not token:
        raise SettingsInvalid((f"peer {peer.name}: {peer.fhir.token_env} is not set",))
    auth = BearerToken(token) if token else NoAuth()
    return FhirClient(peer.fhir.url, auth=auth, read_timeout_s=peer.fhir.timeout_s)


def _archives(settings: Settings) -> "list[Archive]":
    """Return every archive that may be asked whether a series is whole."""
    from integrations.pacs.query import DicomArchiveIndex
    from integrations.pacs.retrieve import DicomRetriever
    from node.pipeline.retrieve import Archive

    held: dict[str, set[str]] = {}
    for source in settings.peer:
        if source.archive is not None:
            held.setdefault(source.archive, set()).add(source.name)
    archives = []
    for name, sources in held.items():
        pacs = dicom_peer(settings, settings.peer_named(name))
        archives.append(
            Archive(
                name=name,
                sources=frozenset(sources),
                index=DicomArchiveIndex(pacs),
                retrieve=DicomRetriever(pacs, settings.node.ae_title).retrieve,
            )
        )
    return archives


def _record_for(settings: Settings) -> "Callable[[Claim], Record | None]":
    records = {peer.name: record(peer) for peer in settings.peer if "ehr" in peer.roles}
    first = next(iter(records.values()), None)

    def record_for(claim: "Claim") -> "Record | None":
        return next((records[name] for name in claim.destinations if name in records), first)

    return record_for


def _source_of(settings: Settings) -> "Callable[[str], Source]":
    from node.pipeline.translate import Source

    def source_of(name: str) -> Source:
        peer = settings.peer_named(name)
        return Source(default_issuer=peer.default_issuer, time_zone=peer.time_zone)

    return source_of
