"""Step 10: bring a result set to one destination; no delivery waits for another."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from integrations.context import Record
from integrations.destination import READ_BACK, Destination, Receipt
from integrations.errors import Refused, SyntaxRefused
from integrations.report import Instance, Report
from node.core.form import is_notice
from node.core.job import DeliveryClaim, DeliveryState, InstanceState, ResultInstance
from node.core.lane import Backoff
from node.core.ports import Deliveries, Files, Hold
from node.core.withdrawal import NOT_ROUTED
from node.errors import LeaseLost
from node.pipeline.merged import MergedTo, known_as, not_merged
from node.pipeline.records import from_record
from node.pipeline.retry import Again, Handled, decide_sending, unanswered
from node.pipeline.wanted import Criteria, unwanted
from node.telemetry import log

COMMON = Backoff()
"""The pauses of a destination that has none of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherForms:
    """The forms of a result that one archive may be given.

    Parameters
    ----------
    names
        Its profiles; the first is tried first, each other one when the archive refuses those before it.
    owe
        Builds a claimed result in another form, and owes it instead; the claim is over. False when that cannot
        be built any more, and then nothing was changed.
    learn
        Remembers which profile the archive took when it had refused others.
    """

    names: tuple[str, ...]
    owe: Callable[[DeliveryClaim, str], bool]
    learn: Callable[[str], None]

    def instead(self, claim: DeliveryClaim) -> str | None:
        """Return the form that is wanted before the claimed one is tried; None when that one may be."""
        if claim.profile in self.names or is_notice(claim.profile) or _begun(claim):
            return None
        return self.names[0]

    def after(self, claim: DeliveryClaim) -> str | None:
        """Return the form that is tried when the claimed one was refused; None when there is none left."""
        if claim.profile not in self.names or _begun(claim):
            return None
        rest = self.names[self.names.index(claim.profile) + 1 :]
        return rest[0] if rest else None

    def owed(self, claim: DeliveryClaim, profile: str | None) -> bool:
        """Owe a claimed result in another form, where there is one; tell whether it is."""
        return profile is not None and self.owe(claim, profile)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """One configured destination.

    Parameters
    ----------
    destination
        Takes the results.
    record
        The patient record behind it: it verifies the patient again before anything is written there.
        None for an archive.
    withdraws
        The causes for which it takes results back; for others it keeps them.
    forms
        The forms that it may be given; None where every form tells it the same.
    takes
        Which results it gets: those that meet one of these; empty for all.
    backoff
        When what failed is tried again.
    merged_to
        Under which number a study's patient is known by now; an archive is not told, it corrects what it holds.
    """

    destination: Destination
    record: Record | None = None
    withdraws: frozenset[str] = frozenset()
    forms: OtherForms | None = None
    takes: Criteria = ()
    backoff: Backoff = COMMON
    merged_to: MergedTo = not_merged

    def report(self, record: Mapping[str, Any]) -> Report:
        """Return a report as it is told there now."""
        report = from_record(record)
        now = self.merged_to(report.study.study_instance_uid)
        return (
            report if now is None else replace(report, known_as=known_as(report.study.patient, now))
        )


def deliver_next(
    deliveries: Deliveries,
    files: Files,
    outlets: Mapping[str, Outlet],
    hold: Hold,
    lost_leases: int,
    destination: str | None = None,
) -> bool:
    """Take the delivery that is due longest and do it; False when nothing was due.

    Parameters
    ----------
    lost_leases
        After so many workers that claimed a delivery and fell silent, it is parked.
    destination
        The one whose turn it is; None for those that no lane serves.

    Raises
    ------
    OutOfResources
        The database could not be written; the lease ends and the delivery is claimed again.
    """
    claim = deliveries.claim(destination)
    if claim is None:
        return False
    try:
        if claim.lost_leases >= lost_leases:
            detail = (
                f"{claim.lost_leases} workers claimed this delivery and were not heard of again"
            )
            deliveries.park(claim, "WORKERS-LOST", detail)
            return True
        with hold(lambda: deliveries.renew(claim)):
            receipt = _bring(claim, deliveries, files, outlets)
        if receipt is None:
            return True
        state = DeliveryState.CONFIRMED if receipt.confirmed else DeliveryState.SENT
        deliveries.finish(claim, state, asdict(receipt))
        log("delivered", delivery_id=claim.delivery_id, destination=claim.destination, state=state)
    except LeaseLost:
        log("lease lost", delivery_id=claim.delivery_id, transaction_uid=claim.transaction_uid)
    except Handled as error:
        outlet = outlets.get(claim.destination)
        _settle(claim, deliveries, error, outlet.backoff if outlet else COMMON)
    return True


def _bring(
    claim: DeliveryClaim, deliveries: Deliveries, files: Files, outlets: Mapping[str, Outlet]
) -> Receipt | None:
    """Return what the destination gave; None when the result is owed to it in another form now.

    Raises
    ------
    Refused
        The destination is in the file no more, or says no.
    SyntaxRefused
        It takes none of its forms.
    """
    outlet = outlets.get(claim.destination)
    if outlet is None:
        raise Refused("UNKNOWN-DESTINATION", f"no peer {claim.destination} is configured")
    _require_wanted(claim, outlet)
    forms = outlet.forms
    if forms is not None and forms.owed(claim, forms.instead(claim)):
        return None
    try:
        receipt = _delivered(claim, deliveries, files, outlet)
    except SyntaxRefused:
        if forms is None or not forms.owed(claim, forms.after(claim)):
            raise
        return None
    if forms is not None and claim.profile in forms.names[1:]:
        forms.learn(claim.profile)
    return receipt


def _require_wanted(claim: DeliveryClaim, outlet: Outlet) -> None:
    """Let a destination have what its criteria want, and what follows what it has.

    Whoever was told that something is there is told as well when it is not any more. Of a notice the archive's
    profile decides alone.

    Raises
    ------
    Refused
        The result is not for it (``NOT-ROUTED``).
    """
    if not (claim.follows or is_notice(claim.profile) or _begun(claim)):
        why = unwanted(from_record(claim.report), outlet.takes)
        if why:
            raise Refused(NOT_ROUTED, why)


def _delivered(
    claim: DeliveryClaim, deliveries: Deliveries, files: Files, outlet: Outlet
) -> Receipt:
    report = _verified(_paged(outlet.report(claim.report), files), outlet.record)
    owed = [item for item, state in claim.instances if state is not InstanceState.SENT]
    doubtful = frozenset(
        item.sop_instance_uid for item, state in claim.instances if state is InstanceState.SENDING
    )
    receipt = outlet.destination.deliver(
        report,
        [_instance(item, files) for item in owed],
        in_doubt=doubtful,
        progress=lambda uid, state: deliveries.progress(claim, uid, InstanceState(state)),
    )
    # what an interrupted call had brought already belongs to the receipt: a withdrawal will need it
    brought = [
        item.sop_instance_uid for item, state in claim.instances if state is InstanceState.SENT
    ]
    if brought:  # of those, nobody was asked in this call
        awaits = receipt.awaits or READ_BACK
        receipt = replace(receipt, confirmed=False, awaits=awaits)
    return replace(receipt, references=(*brought, *receipt.references))


def _paged(report: Report, files: Files) -> Report:
    """Say where its page is on this disk; a page that retention removed is none."""
    path = None if report.page is None else files.root / report.page
    return replace(report, page=path if path is not None and path.is_file() else None)


def _begun(claim: DeliveryClaim) -> bool:
    """Whether something of it has left, or may have: then no other form is brought beside it."""
    return any(state is not InstanceState.OWED for _, state in claim.instances)


def _verified(report: Report, record: Record | None) -> Report:
    """Ask the record again who the patient is: it may have changed since the job was prepared."""
    if record is None:
        return report
    study = report.study
    at = study.started or report.issued
    patient = report.known_as or study.patient
    found = record.context(patient, (), at, accession_number=study.accession_number)
    return replace(report, record_patient=found.patient)


def _instance(item: ResultInstance, files: Files) -> Instance:
    path = files.root / item.path
    if not path.is_file():
        raise Refused("RESULT-FILE-GONE", f"{item.path} is not on the disk any more")
    return Instance(
        sop_class_uid=item.sop_class_uid,
        sop_instance_uid=item.sop_instance_uid,
        series_instance_uid=item.series_instance_uid,
        transfer_syntax_uid=item.transfer_syntax_uid,
        path=path,
    )


def _settle(
    claim: DeliveryClaim, deliveries: Deliveries, error: Exception, backoff: Backoff
) -> None:
    verdict = decide_sending(
        error, claim.attempt, lambda attempt: backoff.delay_s(attempt, claim.transaction_uid)
    )
    try:
        if isinstance(verdict, Again):
            away = unanswered(error)
            deliveries.give_back(claim, verdict.reason, verdict.after_s, unanswered=away)
        else:
            deliveries.park(claim, verdict.reason, verdict.detail)
    except LeaseLost:
        log("lease lost", delivery_id=claim.delivery_id, transaction_uid=claim.transaction_uid)
    log(
        "not delivered",
        delivery_id=claim.delivery_id,
        destination=claim.destination,
        reason=verdict.reason,
        attempt=claim.attempt,
    )
