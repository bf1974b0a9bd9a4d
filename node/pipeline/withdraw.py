"""Take back what stands at a destination and should not."""

from collections.abc import Mapping
from dataclasses import asdict

from integrations.destination import Receipt
from integrations.errors import Refused
from integrations.report import Instance
from node.clock import at
from node.core.lane import Backoff
from node.core.ports import Files, Hold, Withdrawals
from node.core.withdrawal import WithdrawalClaim, WithdrawalState
from node.errors import LeaseLost
from node.pipeline.deliver import COMMON, Outlet
from node.pipeline.retry import Again, Handled, decide_sending, unanswered
from node.pipeline.translate import Source, patient_identity
from node.telemetry import log

AS_RECEIVED = Source(default_issuer=None, time_zone=None)
"""Completes nothing: the objects that stand at the destination name no more than they received."""


def withdraw_next(
    withdrawals: Withdrawals,
    files: Files,
    outlets: Mapping[str, Outlet],
    hold: Hold,
    lost_leases: int,
    destination: str | None = None,
) -> bool:
    """Take the withdrawal that is due longest and do it; False when nothing was due.

    Parameters
    ----------
    lost_leases
        After so many workers that claimed a withdrawal and fell silent, it is parked.
    destination
        The one whose turn it is; None for those that no lane serves.

    Raises
    ------
    OutOfResources
        The database could not be written; the lease ends and the withdrawal is claimed again.
    """
    claim = withdrawals.claim(destination)
    if claim is None:
        return False
    try:
        if claim.lost_leases >= lost_leases:
            detail = (
                f"{claim.lost_leases} workers claimed this withdrawal and were not heard of again"
            )
            withdrawals.park(claim, "WORKERS-LOST", detail)
            return True
        with hold(lambda: withdrawals.renew(claim)):
            receipt = _take_back(claim, files, outlets)
        state = WithdrawalState.KEPT if receipt is None else WithdrawalState.WITHDRAWN
        withdrawals.finish(claim, state, None if receipt is None else asdict(receipt))
        log("withdrawn", destination=claim.destination, state=state, reason=claim.cause)
    except LeaseLost:
        log("lease lost", destination=claim.destination, transaction_uid=claim.transaction_uid)
    except Handled as error:
        outlet = outlets.get(claim.destination)
        _settle(claim, withdrawals, error, outlet.backoff if outlet else COMMON)
    return True


def _take_back(
    claim: WithdrawalClaim, files: Files, outlets: Mapping[str, Outlet]
) -> Receipt | None:
    """Return what the destination has withdrawn; None when it keeps what it holds for this cause.

    Raises
    ------
    Refused
        The destination is in the file no more, or takes nothing back.
    Unavailable
        It cannot be reached now.
    """
    outlet = outlets.get(claim.destination)
    if outlet is None:
        raise Refused("UNKNOWN-DESTINATION", f"no peer {claim.destination} is configured")
    if claim.cause not in outlet.withdraws:
        return None
    given = claim.receipt
    receipt = (
        Receipt(**{**given, "references": tuple(given["references"])})
        if given is not None
        else None
    )
    instances = [
        Instance(
            sop_class_uid=item.sop_class_uid,
            sop_instance_uid=item.sop_instance_uid,
            series_instance_uid=item.series_instance_uid,
            transfer_syntax_uid=item.transfer_syntax_uid,
            path=files.root / item.path,
        )
        for item in claim.instances
    ]
    return outlet.destination.withdraw(
        outlet.report(claim.report),
        receipt,
        claim.cause,
        instances=instances,
        owed_at=at(claim.owed_at),
        patient=patient_identity(claim.identity, AS_RECEIVED) if claim.identity else None,
    )


def _settle(
    claim: WithdrawalClaim, withdrawals: Withdrawals, error: Exception, backoff: Backoff
) -> None:
    verdict = decide_sending(
        error, claim.attempt, lambda attempt: backoff.delay_s(attempt, claim.transaction_uid)
    )
    try:
        if isinstance(verdict, Again):
            away = unanswered(error)
            withdrawals.give_back(claim, verdict.reason, verdict.after_s, unanswered=away)
        else:
            withdrawals.park(claim, verdict.reason, verdict.detail)
    except LeaseLost:
        log("lease lost", destination=claim.destination, transaction_uid=claim.transaction_uid)
    log(
        "not withdrawn",
        destination=claim.destination,
        reason=verdict.reason,
        attempt=claim.attempt,
    )
