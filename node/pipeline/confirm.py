"""Step 11: what was sent becomes certain, by the archive's commitment or by its own list."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from integrations.archive import ArchiveIndex
from integrations.errors import Refused, Unavailable
from node.core.confirmation import (
    LOOKS,
    NOT_CONFIRMED,
    NOT_NAMED,
    CommitmentReport,
    ConfirmationClaim,
    ConfirmationState,
    Told,
    Way,
)
from node.core.lane import Backoff
from node.core.ports import Confirmations, Hold
from node.errors import LeaseLost
from node.pipeline.retry import Again, decide
from node.telemetry import log

NO_REPORT = "NO-COMMITMENT-REPORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmer:
    """One archive as what confirms.

    Parameters
    ----------
    peer
        Its name.
    request
        Asks it to commit instances; None when it is no SCP of Storage Commitment. It raises `Unavailable` and
        `Refused`; asking twice under one Transaction UID has one effect.
    within_s
        How long its report is awaited.
    index
        Where it is asked for what it holds.
    backoff
        When it is asked again after it did not answer.
    """

    peer: str
    request: Callable[[ConfirmationClaim], None] | None
    within_s: float
    index: ArchiveIndex
    backoff: Backoff = field(default_factory=Backoff)


def confirm_next(confirmations: Confirmations, archive: Confirmer, hold: Hold) -> bool:
    """Take the transaction with an archive that is due longest, and go one step; False when none was due.

    Raises
    ------
    OutOfResources
        The database could not be written; the lease ends and the transaction is claimed again.
    """
    claim = confirmations.claim(archive.peer)
    if claim is None:
        return False
    try:
        with hold(lambda: confirmations.renew(claim)):
            if claim.way is Way.COMMITMENT:
                _request(claim, confirmations, archive)
            else:
                _look(claim, confirmations, archive)
    except LeaseLost:
        log("lease lost", peer=claim.peer, transaction_uid=claim.transaction_uid)
    return True


def take_report(report: CommitmentReport, confirmations: Confirmations) -> Told:
    """Take what an archive reports; durable on return.

    Raises
    ------
    OutOfResources
        The database could not be written; the archive reports again.
    """
    told = confirmations.report(report)
    log(
        "commitment report taken",
        peer=report.peer,
        transaction_uid=report.transaction_uid,
        instances=len(report.committed),
        count=len(report.failed),
        outcome=told,
    )
    return told


def _request(claim: ConfirmationClaim, confirmations: Confirmations, archive: Confirmer) -> None:
    over = claim.state is ConfirmationState.ASKED or claim.age_s > archive.within_s
    if archive.request is None or over:
        confirmations.read_back_instead(claim, NO_REPORT)
        return
    try:
        archive.request(claim)
    except Refused as error:
        _tell("commitment refused", claim, error.reason)
        confirmations.read_back_instead(claim, error.reason)
    except Unavailable as error:
        _again(claim, confirmations, archive, error)
    else:
        _tell("commitment requested", claim, None)
        confirmations.asked(claim, archive.within_s)


def _look(claim: ConfirmationClaim, confirmations: Confirmations, archive: Confirmer) -> None:
    """Compare with the archive's list, which may name late what it took: nothing is sent again for that."""
    series = dict.fromkeys(one.series_instance_uid for one in claim.instances)
    try:
        there = frozenset[str]().union(
            *(archive.index.instances(claim.study_instance_uid, uid) for uid in series)
        )
    except Refused as error:
        detail = f"the archive can be asked neither way: {claim.fallback or ''} {error.reason}"
        confirmations.leave_sent(claim, NOT_CONFIRMED, detail)
        return
    except Unavailable as error:
        _again(claim, confirmations, archive, error)
        return
    uids = [one.sop_instance_uid for one in claim.instances]
    failures = {uid: NOT_NAMED for uid in uids if uid not in there}
    if failures and claim.attempt <= len(LOOKS):
        confirmations.give_back(claim, NOT_CONFIRMED, LOOKS[claim.attempt - 1])
        return
    _tell("read back", claim, NOT_CONFIRMED if failures else None)
    confirmations.settle(claim, failures)


def _again(
    claim: ConfirmationClaim, confirmations: Confirmations, archive: Confirmer, error: Unavailable
) -> None:
    delay = partial(archive.backoff.delay_s, key=claim.transaction_uid)
    verdict = decide(error, claim.attempt, delay)
    if isinstance(verdict, Again):
        _tell("not confirmed yet", claim, verdict.reason)
        confirmations.give_back(claim, verdict.reason, verdict.after_s)


def _tell(event: str, claim: ConfirmationClaim, reason: str | None) -> None:
    log(
        event,
        peer=claim.peer,
        delivery_id=claim.delivery_id,
        transaction_uid=claim.transaction_uid,
        instances=len(claim.instances),
        reason=reason,
        attempt=claim.attempt,
    )
