"""Which studies are expected to be analysed by when, and why one was not.

A rule with a deadline *expects* a study as soon as one of its series could become what it wants: no exclusion
takes the series out, and every criterion of the rule and of its model's card holds, save those over how many
instances there are, which nobody knows while a series arrives. The deadline runs from the reception of the
study's first instance. The expectation is met by a result of the rule's model that is there in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from inference.selection import Facts
from node.core.completeness import QuietTimes, lacks
from node.core.criteria import Criteria
from node.core.job import JobState, Readiness
from node.core.routing import Rule
from node.core.study import SeriesState, StoredSeries


class Missed(StrEnum):
    """Why there was no result in time; the values are reason codes."""

    STILL_RECEIVING = "STILL-RECEIVING"
    SERIES_INCOMPLETE = "SERIES-INCOMPLETE"
    NO_CANDIDATE = "NO-CANDIDATE"
    NOT_ROUTED = "NOT-ROUTED-YET"
    WAITING = "WAITS-FOR-BETTER-SERIES"
    CONTEXT = "CONTEXT-PENDING"
    QUEUED = "NO-WORKER-FREE"
    RUNNING = "STILL-RUNNING"
    CANCELED = "ANALYSIS-CANCELED"


PENDING = (Missed.CONTEXT, Missed.QUEUED, Missed.RUNNING)
"""Reasons with which a job goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A study that a rule expects to be analysed.

    Parameters
    ----------
    deadline_s
        Seconds from the reception of the study's first instance.
    """

    rule: str
    model: str
    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """A series about which the rules with a deadline were not asked yet."""

    series_instance_uid: str
    study_instance_uid: str
    facts: Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStanding:
    """A job of the study for the expected model.

    Parameters
    ----------
    faulty
        Whether it was ordered canceled, because something is missing of its series.
    ended_at
        Seconds since 1970, None while it is not over.
    """

    state: JobState
    readiness: Readiness
    reason: str | None
    detail: str | None
    faulty: bool
    ended_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """An expectation whose deadline is over.

    Parameters
    ----------
    series
        Those of the study.
    jobs
        Those of the study for the model, the newest first, without the ones that another took the place of.
    """

    study_instance_uid: str
    rule: str
    model: str
    deadline_at: float
    series: Sequence[StoredSeries]
    jobs: Sequence[JobStanding]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What became of an expectation.

    Parameters
    ----------
    state
        ``MET``, ``MISSED``, or ``DROPPED``: nobody expects it any more.
    reason, detail
        Why it was missed; the detail names no patient.
    """

    state: str
    reason: Missed | None = None
    detail: str = ""


MET = Judgement(state="MET")
DROPPED = Judgement(state="DROPPED")


def expectations(criteria: Criteria, newcomer: Newcomer) -> list[Expected]:
    """Return what is expected of a study because of one of its series."""
    return [
        Expected(rule=rule.name, model=rule.model, deadline_s=rule.deadline_s)
        for rule in criteria.rules
        if rule.deadline_s is not None and criteria.may_match(rule, newcomer.facts)
    ]


def judge(due: Due, criteria: Criteria, quiet: QuietTimes) -> Judgement:
    """Say what became of an expectation at its deadline.

    Parameters
    ----------
    quiet
        The quiet times of the peer that sent the study.
    """
    if any(_in_time(job, due.deadline_at) for job in due.jobs):
        return MET
    rule = next((rule for rule in criteria.rules if rule.name == due.rule), None)
    if rule is None:
        return DROPPED
    if due.jobs:
        return _of_job(due.jobs[0])
    hopeful = [one for one in due.series if criteria.may_match(rule, one.facts)]
    # an exclusion by number is sure only now
    asked = [one for one in hopeful if _open(one) or not criteria.excluded(one.facts)]
    if not asked:
        return DROPPED
    found = [_of_series(one, rule, criteria, quiet) for one in asked]
    return max(found, key=lambda one: _NEAREST.index(one.reason))


_NEAREST = (
    None,
    Missed.NO_CANDIDATE,
    Missed.STILL_RECEIVING,
    Missed.SERIES_INCOMPLETE,
    Missed.NOT_ROUTED,
    Missed.WAITING,
)
"""Of several series the one counts that came nearest to being read."""


def _in_time(job: JobStanding, deadline_at: float) -> bool:
    return (
        job.state is JobState.COMPLETED and job.ended_at is not None and job.ended_at <= deadline_at
    )


def _open(series: StoredSeries) -> bool:
    return series.state is SeriesState.OPEN


def _of_job(job: JobStanding) -> Judgement:
    told = f"{job.reason}: {job.detail or ''}".rstrip(": ") if job.reason else ""
    match job.state:
        case JobState.CANCELED:
            reason = Missed.SERIES_INCOMPLETE if job.faulty else Missed.CANCELED
        case JobState.SCHEDULED:
            pending = job.readiness is Readiness.INCOMPLETE
            reason = Missed.CONTEXT if pending else Missed.QUEUED
        case _:  # in progress, or done too late
            reason = Missed.RUNNING
    return Judgement(state="MISSED", reason=reason, detail=told or _WORDS[reason])


_WORDS = {
    Missed.CONTEXT: "its context is still being fetched",
    Missed.QUEUED: "no worker has claimed the job",
    Missed.RUNNING: "the job was not done by then",
    Missed.CANCELED: "the job was canceled",
    Missed.SERIES_INCOMPLETE: "something is missing",
}


def _of_series(
    series: StoredSeries, rule: Rule, criteria: Criteria, quiet: QuietTimes
) -> Judgement:
    """Say how far a series came that could have been what the rule wants, and has no job."""
    name = f"series {series.series_instance_uid}"
    count = f"{len(series.instances)} instances"
    if _open(series):
        lacking = lacks(series, quiet)
        if lacking:
            return _missed(Missed.SERIES_INCOMPLETE, f"{name}, not closed yet: {count}; {lacking}")
        return _missed(Missed.STILL_RECEIVING, f"{name}: {count} so far")
    if series.waiting and rule.name in series.waiting:
        return _missed(Missed.WAITING, f"{name}: a better one may come")
    failures = criteria.ask(rule, series.facts).failures
    if failures:
        return _missed(Missed.NO_CANDIDATE, f"{name}: {'; '.join(failures)}")
    if not series.dispatched:
        return _missed(Missed.NOT_ROUTED, f"{name} is closed, and not dispatched")
    return _missed(Missed.NO_CANDIDATE, f"{name} was dispatched before the rule wanted it")


def _missed(reason: Missed, detail: str) -> Judgement:
    return Judgement(state="MISSED", reason=reason, detail=detail)
