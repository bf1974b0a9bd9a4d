"""Step 6: fetch what a job wants to know before its bell rings, so that no worker waits for an EHR."""

from collections.abc import Callable, Mapping
from typing import Any

from inference.card import Card
from integrations.context import Record
from integrations.errors import Refused, Unavailable
from node.core.job import Claim, Readiness
from node.core.ports import Jobs
from node.pipeline.retry import Again, decide
from node.pipeline.translate import Source, context_as_record, patient_identity, started
from node.telemetry import log

ATTEMPTS = 3
"""How often a record that does not answer is asked before the job runs without context."""


def prepare(
    jobs: Jobs,
    cards: Mapping[str, Card],
    record_for: Callable[[Claim], Record | None],
    source_of: Callable[[str], Source],
) -> int:
    """Give every waiting job its context, or the reason why it has none; return how many are ready.

    Parameters
    ----------
    record_for
        The patient record that is asked for a job; None when the site has none.
    source_of
        What is configured of a peer, by its name.

    Raises
    ------
    OutOfResources
        The records could not be written; the next round tries again.
    """
    ready = 0
    for claim in jobs.unprepared():
        wanted = cards[claim.model].context if claim.model in cards else ()
        outcome = _ask(claim, wanted, record_for(claim), source_of(claim.peer))
        match outcome:
            case Again() if claim.attempt < ATTEMPTS:
                jobs.postpone_preparation(claim.job_id, outcome.after_s)
                continue
            case Again():
                context: Mapping[str, Any] = {"refused": outcome.reason}
            case _:
                context = outcome
        readiness = Readiness.UNAVAILABLE if "refused" in context else Readiness.READY
        jobs.prepared(claim.job_id, readiness, context)
        log("job prepared", job_id=claim.job_id, state=readiness, reason=context.get("refused"))
        ready += 1
    return ready


def _ask(
    claim: Claim, wanted: tuple[str, ...], record: Record | None, source: Source
) -> Mapping[str, Any] | Again:
    if record is None:
        return {"refused": "NO-RECORD-CONFIGURED"}
    at = started(claim.identity, source)
    if at is None:
        return {"refused": "STUDY-DATE-UNKNOWN"}
    try:
        answer = record.context(patient_identity(claim.identity, source), wanted, at)
    except Refused as error:  # NotVerified is one
        return {"refused": error.reason}
    except Unavailable as error:
        verdict = decide(error, claim.attempt)
        return verdict if isinstance(verdict, Again) else {"refused": verdict.reason}
    return context_as_record(answer)
