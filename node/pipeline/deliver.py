"""Step 10: bring a result set to one destination; no delivery waits for another."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from integrations.context import Record
from integrations.destination import Destination, Receipt
from integrations.errors import Refused
from integrations.report import Instance, Report
from node.core.job import DeliveryClaim, DeliveryState, InstanceState, ResultInstance
from node.core.ports import Deliveries, Files, Hold
from node.errors import LeaseLost
from node.pipeline.records import from_record
from node.pipeline.retry import Again, Handled, decide
from node.telemetry import log


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
        It takes results back. False for an archive, which corrects what it holds.
    """

    destination: Destination
    record: Record | None = None
    withdraws: bool = False


def deliver_next(
    deliveries: Deliveries,
    files: Files,
    outlets: Mapping[str, Outlet],
    hold: Hold,
    lost_leases: int,
) -> bool:
    """Take the delivery that is due longest and do it; False when nothing was due.

    Parameters
    ----------
    lost_leases
        After so many workers that claimed a delivery and fell silent, it is parked.

    Raises
    ------
    OutOfResources
        The database could not be written; the lease ends and the delivery is claimed again.
    """
    claim = deliveries.claim()
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
        state = DeliveryState.CONFIRMED if receipt.confirmed else DeliveryState.SENT
        deliveries.finish(claim, state, asdict(receipt))
        log("delivered", delivery_id=claim.delivery_id, destination=claim.destination, state=state)
    except LeaseLost:
        log("lease lost", delivery_id=claim.delivery_id, transaction_uid=claim.transaction_uid)
    except Handled as error:
        _settle(claim, deliveries, error)
    return True


def _bring(
    claim: DeliveryClaim, deliveries: Deliveries, files: Files, outlets: Mapping[str, Outlet]
) -> Receipt:
    outlet = outlets.get(claim.destination)
    if outlet is None:
        raise Refused("UNKNOWN-DESTINATION", f"no peer {claim.destination} is configured")
    report = _verified(from_record(claim.report), outlet.record)
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
    return replace(receipt, references=(*brought, *receipt.references))


def _verified(report: Report, record: Record | None) -> Report:
    """Ask the record again who the patient is: it may have changed since the job was prepared."""
    if record is None:
        return report
    at = report.study.started or report.issued
    return replace(report, record_patient=record.context(report.study.patient, (), at).patient)


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


def _settle(claim: DeliveryClaim, deliveries: Deliveries, error: Exception) -> None:
    verdict = decide(error, claim.attempt)
    try:
        if isinstance(verdict, Again):
            deliveries.give_back(claim, verdict.reason, verdict.after_s)
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
