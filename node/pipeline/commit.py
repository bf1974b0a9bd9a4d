"""Storage Commitment: a request in, an answer that is kept before it is told."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from integrations.errors import Refused, Unavailable
from node.core.commitment import (
    Asked,
    CommitmentClaim,
    CommitmentRequest,
    FailureReason,
    Reference,
    judge,
)
from node.core.identifiers import data_set_digest
from node.core.ports import Commitments, Files, Hold
from node.errors import LeaseLost
from node.pipeline.retry import LONGEST_DELAY_S, Again, decide
from node.telemetry import log

Report = Callable[[CommitmentRequest, Mapping[str, FailureReason]], None]
"""Brings an answer to the peer that asked.

It raises `Unavailable` when the peer does not take it now, and `Refused` when it says no.
"""


def ask(request: CommitmentRequest, commitments: Commitments) -> Asked:
    """Owe a peer an answer; durable on return.

    Raises
    ------
    OutOfResources
        The database could not be written; the peer asks again.
    """
    asked = commitments.ask(request)
    log(
        "commitment asked",
        peer=request.peer,
        transaction_uid=request.transaction_uid,
        instances=len(request.references),
        outcome=asked,
    )
    return asked


AllRecorded = Callable[[float], bool]
"""Waits so long until all that was acknowledged by now is recorded; False when it is not."""

RECORDING_S = 2.0
"""How long a request waits for the records of what came before it."""

AGAIN_S = 5.0
"""When they are asked for again after that."""


def report_next(
    commitments: Commitments,
    files: Files,
    all_recorded: AllRecorded,
    report: Report,
    hold: Hold,
    hold_s: float,
) -> bool:
    """Take the transaction that is due longest, answer it, and tell the peer; False when nothing was due.

    The answer is given once and stored with the promise before the peer hears of it. A peer that does not
    take the report is told again for as long as the instances are held; no answer of ours is ever changed.

    Parameters
    ----------
    all_recorded
        An instance that was acknowledged may be asked for before it is on record.
    hold_s
        How long committed instances are kept.

    Raises
    ------
    OutOfResources
        The database could not be written; the lease ends and the transaction is claimed again.
    """
    claim = commitments.claim()
    if claim is None:
        return False
    request = claim.request
    try:
        with hold(lambda: commitments.renew(claim)):
            failures = claim.failures
            if failures is None:
                if not all_recorded(RECORDING_S):
                    commitments.give_back(claim, "RECORDS-FOLLOW", AGAIN_S)
                    return True
                found = _examine(request.references, commitments, files)
                failures = commitments.answer(claim, found, hold_s)
            report(request, failures)
        commitments.reported(claim)
        log(
            "commitment reported",
            peer=request.peer,
            transaction_uid=request.transaction_uid,
            instances=len(request.references),
            count=len(failures),
        )
    except LeaseLost:
        log("lease lost", peer=request.peer, transaction_uid=request.transaction_uid)
    except (Refused, Unavailable) as error:
        _settle(claim, commitments, error, hold_s)
    return True


def _examine(
    references: Sequence[Reference], commitments: Commitments, files: Files
) -> dict[str, FailureReason]:
    """Read every file again: a promise is made about bytes that are there, not about a record."""
    holdings = commitments.holdings(references)
    failures = {}
    for reference in references:
        holding = holdings.get(reference.sop_instance_uid)
        digest = None if holding is None else _digest(files.root / holding.path)
        failure = judge(reference, holding, digest)
        if failure is not None:
            failures[reference.sop_instance_uid] = failure
    return failures


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return data_set_digest(file)
    except OSError:
        return None


def _settle(
    claim: CommitmentClaim, commitments: Commitments, error: Refused | Unavailable, hold_s: float
) -> None:
    verdict = decide(error, claim.attempt)
    # a no may be mended at the peer, so it is asked again too, but as rarely as can be
    after_s = verdict.after_s if isinstance(verdict, Again) else LONGEST_DELAY_S
    try:
        if claim.age_s > hold_s:
            commitments.park(claim, verdict.reason)
        else:
            commitments.give_back(claim, verdict.reason, after_s)
    except LeaseLost:
        log("lease lost", peer=claim.request.peer, transaction_uid=claim.request.transaction_uid)
    log(
        "commitment not reported",
        peer=claim.request.peer,
        transaction_uid=claim.request.transaction_uid,
        reason=verdict.reason,
        attempt=claim.attempt,
    )
