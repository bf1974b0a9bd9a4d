"""The keeper: it assembles, dispatches, prepares, rings, and tidies up at night."""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from node.bootstrap.archives import archives, await_priors, prior_searcher
from node.bootstrap.confirming import confirmers
from node.bootstrap.feed import merged_to
from node.bootstrap.models import routes
from node.bootstrap.notices import notices
from node.bootstrap.orders import Ordering, ordering
from node.bootstrap.reach import dicom_peer, record, source_of
from node.bootstrap.state import database, files
from node.bootstrap.step import Step
from node.core.completeness import QuietTimes
from node.settings import Settings

if TYPE_CHECKING:
    from integrations.context import Record
    from node.core.commitment import CommitmentRequest, FailureReason
    from node.core.job import Claim
    from node.core.ledger import Balance
    from node.core.ports import Expirable
    from node.core.retention import Policy
    from node.core.schedule import Daily
    from node.pipeline.apart import Apart
    from node.pipeline.frames import FrameLook
    from node.pipeline.identify import Verifier
    from node.pipeline.merged import MergedTo
    from node.pipeline.prepare import AwaitPriors
    from node.pipeline.priors import Searcher
    from node.pipeline.retrieve import Archive, Evidences
    from node.pipeline.routes import Routes
    from node.pipeline.translate import Source
    from node.store.database import Database
    from node.store.expectations import ExpectationStore
    from node.store.housekeeping import HousekeepingStore
    from node.store.index import IntakeStore
    from node.store.jobs import JobStore
    from node.store.outbox import OutboxStore
    from node.store.roles import RoleLease


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
    prune
        Forgets old lists, messages and orders; returns how many lines.
    ledger_at, retention_at
        When.
    """

    diary: "HousekeepingStore"
    balance: "Callable[[Callable[[int], None]], Balance]"
    expirable: "Expirable"
    policy: "Policy"
    prune: Callable[[], int]
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
    expectations: "ExpectationStore"
    frames: "FrameLook"
    merged_to: "MergedTo"
    archives: "Sequence[Archive]" = ()
    confirmers: Sequence[Step] = ()
    ordering: Ordering = field(default_factory=Ordering)
    verifier: "Verifier | None" = None
    notify: "Callable[[Apart], None] | None" = None
    searcher: "Searcher | None" = None
    await_priors: "AwaitPriors | None" = None


def keeper(settings: Settings) -> Keeping:
    """Wire the role that assembles, dispatches, prepares and rings.

    Raises
    ------
    SettingsInvalid
        A rule names a model that has no card, a card is wrong, or a token is not in the environment.
    """
    from node.dicom.frames import frames_of
    from node.pipeline.frames import FrameLook
    from node.store.evidence import EvidenceStore
    from node.store.expectations import ExpectationStore
    from node.store.index import IntakeStore
    from node.store.jobs import JobStore
    from node.store.outbox import OutboxStore
    from node.store.roles import RoleLease

    opened = database(settings)
    holder = f"{socket.gethostname()}:{os.getpid()}"
    intake = IntakeStore(opened, owner=holder)
    root = files(settings).root
    routed = routes(settings)
    return Keeping(
        intake=intake,
        jobs=JobStore(opened, settings.queue.lease_s, reissued=_reissued(settings)),
        outbox=OutboxStore(opened, settings.queue.ring_again_s),
        lease=RoleLease(opened, "keeper", holder, lease_s=5.0),
        routes=routed,
        quiet_of=lambda name: settings.peer_named(name).quiet,
        record_for=_record_for(settings),
        source_of=source_of(settings),
        report_commitment=_commitment_reporter(settings, opened),
        evidences=EvidenceStore(opened),
        expectations=ExpectationStore(opened),
        frames=FrameLook(intake, lambda path: frames_of(root / path)),
        archives=archives(settings, opened),
        confirmers=confirmers(settings, opened),
        ordering=ordering(settings, opened),
        verifier=_verifier(settings, opened),
        notify=notices(settings, opened),
        merged_to=merged_to(settings, opened),
        searcher=prior_searcher(settings, opened, routed),
        await_priors=await_priors(settings, opened),
        nights=_nights(settings, opened),
    )


def _reissued(settings: Settings) -> frozenset[str]:
    """Return who gets a corrected result although it had the former one: who keeps reports always does."""
    return frozenset(
        peer.name
        for peer in settings.peer
        if peer.roles & {"ehr", "oru"} or peer.on_correction == "reissue"
    )


def _commitment_reporter(settings: Settings, opened: "Database") -> Step:
    """Wire the step that answers one Storage Commitment request.

    Also when the service is off: what was taken while it was on is still owed.
    """
    from integrations.errors import Refused
    from node.pipeline.commit import report_next
    from node.store.commitments import CommitmentStore
    from node.store.promises import PromisedFiles

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
    all_recorded = PromisedFiles(store.root).all_recorded
    return lambda hold: report_next(commitments, store, all_recorded, report, hold, hold_s)


def _verifier(settings: Settings, opened: "Database") -> "Verifier":
    from node.pipeline.identify import Verifier
    from node.store.identities import IdentityStore

    return Verifier(
        identities=IdentityStore(opened),
        policy=settings.identity.policy,
        issuer_of=lambda name: settings.peer_named(name).default_issuer,
        merged_to=merged_to(settings, opened),
    )


def _nights(settings: Settings, opened: "Database") -> Nights:
    from node.core.schedule import Daily
    from node.store.housekeeping import HousekeepingStore
    from node.store.ledger import balance
    from node.store.retention import RetentionStore
    from node.store.safekeeping import held

    root = files(settings).root
    ledger, retention = settings.ledger, settings.retention
    return Nights(
        diary=HousekeepingStore(opened),
        balance=lambda watch: balance(opened, root, young_s=ledger.young_s, progress=watch),
        expirable=RetentionStore(opened, root, held),
        policy=settings.retention_policy,
        prune=_pruner(settings, opened),
        ledger_at=Daily(at=ledger.nightly_at, zone=ledger.time_zone),
        retention_at=Daily(at=retention.daily_at, zone=retention.time_zone),
    )


def _pruner(settings: Settings, opened: "Database") -> Callable[[], int]:
    from node.core.retention import DAY_S
    from node.store.announcements import AnnouncementStore
    from node.store.feed import FeedStore

    days = settings.retention.announcements_keep_days
    announcements, feed = AnnouncementStore(opened), FeedStore(opened, {})
    messages_s, orders_s = settings.hl7.keep_days * DAY_S, settings.orders.keep_days * DAY_S

    def prune() -> int:
        lists = 0 if days is None else announcements.prune(days * DAY_S)
        return lists + feed.prune(messages_s, orders_s)

    return prune


def _record_for(settings: Settings) -> "Callable[[Claim], Record | None]":
    records = {peer.name: record(peer) for peer in settings.peer if "ehr" in peer.roles}
    first = next(iter(records.values()), None)

    def record_for(claim: "Claim") -> "Record | None":
        return next((records[name] for name in claim.destinations if name in records), first)

    return record_for
