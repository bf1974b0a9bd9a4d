"""Step 6: fetch what a job wants to know before its bell rings, so that no worker waits for anybody."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from inference.card import Card
from integrations.context import Record
from integrations.errors import Refused, Unavailable
from integrations.report import PatientIdentity
from node.core.job import Claim, Readiness
from node.core.ports import Jobs
from node.pipeline.apart import Apart
from node.pipeline.merged import MergedTo, known_as, not_merged
from node.pipeline.retry import Again, decide
from node.pipeline.translate import (
    Source,
    accession_number,
    context_as_record,
    patient_identity,
    questions,
    started,
)
from node.telemetry import log

AwaitPriors = Callable[[Claim, Sequence[str]], bool]
"""Lets a job wait for earlier series, by the names of its card's priors; False when nobody can be asked."""


def no_priors(_: Claim, __: Sequence[str]) -> bool:
    """Return False: nobody is asked."""
    return False


ATTEMPTS = 3
"""How often a record that does not answer is asked before the job runs without context."""


def prepare(
    jobs: Jobs,
    cards: Mapping[str, Card],
    record_for: Callable[[Claim], Record | None],
    source_of: Callable[[str], Source],
    apart: Apart,
    merged_to: MergedTo = not_merged,
    await_priors: AwaitPriors = no_priors,
) -> None:
    """Give every waiting job its context, or the reason why it has none.

    A job whose card compares with earlier series waits for those first (`pipeline.priors`).

    Parameters
    ----------
    record_for
        The patient record that is asked for a job; None when the site has none.
    source_of
        What is configured of a peer, by its name.
    apart
        Keeps a job that meets a bug from stopping the others.
    merged_to
        Under which number a study's patient is known by now.
    await_priors
        Lets a job wait for earlier series.

    Raises
    ------
    OutOfResources
        The records could not be read or written; the next round tries again.
    """

    def asked(claim: Claim) -> Mapping[str, Any] | Again:
        record = record_for(claim)
        if id(record) in away:
            return away[id(record)]
        source = source_of(claim.peer)
        patient = known_as(
            patient_identity(claim.identity, source), merged_to(claim.study_instance_uid)
        )
        outcome = _ask(claim, cards.get(claim.model), record, source, patient)
        if isinstance(outcome, Again):
            away[id(record)] = outcome
        return outcome

    def wait(claim: Claim) -> bool:
        return _waits(claim, cards.get(claim.model), await_priors)

    # one that did not answer is not waited for again, once for each job of this round
    away: dict[int, Again] = {}

    for claim in jobs.unprepared():
        work = partial(_prepare, claim, jobs, asked, wait)
        apart.run(f"prepare {claim.job_id}", work, job_id=claim.job_id)


def _waits(claim: Claim, card: Card | None, await_priors: AwaitPriors) -> bool:
    """Let a job wait for the earlier series of its card, once; False when it need not, or has waited."""
    wanted = [one.name for one in card.priors] if card else []
    unasked = [one for one in wanted if one not in claim.priors and one not in claim.no_priors]
    return bool(unasked) and await_priors(claim, unasked)


def _prepare(
    claim: Claim,
    jobs: Jobs,
    asked: Callable[[Claim], Mapping[str, Any] | Again],
    wait: Callable[[Claim], bool],
) -> None:
    if wait(claim):
        log("job waits for priors", job_id=claim.job_id)
        return
    outcome = asked(claim)
    match outcome:
        case Again() if claim.attempt < ATTEMPTS:
            jobs.postpone_preparation(claim.job_id, outcome.after_s)
            return
        case Again():
            context: Mapping[str, Any] = {"refused": outcome.reason}
        case _:
            context = outcome
    readiness = Readiness.UNAVAILABLE if "refused" in context else Readiness.READY
    jobs.prepared(claim.job_id, readiness, context)
    log("job prepared", job_id=claim.job_id, state=readiness, reason=context.get("refused"))


def _ask(
    claim: Claim,
    card: Card | None,
    record: Record | None,
    source: Source,
    patient: PatientIdentity,
) -> Mapping[str, Any] | Again:
    if record is None:
        return {"refused": "NO-RECORD-CONFIGURED"}
    at = started(claim.identity, source)
    if at is None:
        return {"refused": "STUDY-DATE-UNKNOWN"}
    try:
        answer = record.context(
            patient,
            card.context if card else (),
            at,
            questions=questions(card) if card else {},
            accession_number=accession_number(claim.identity),
        )
    except Refused as error:  # NotVerified is one
        return {"refused": error.reason}
    except Unavailable as error:
        verdict = decide(error, claim.attempt)
        return verdict if isinstance(verdict, Again) else {"refused": verdict.reason}
    return context_as_record(answer)
