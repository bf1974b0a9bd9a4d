"""What may be deleted, and when. Nothing that is owed, under way, parked, waiting or committed ever may."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.core.job import DeliveryState, JobState
from node.core.withdrawal import QUIET

DAY_S = 86_400.0
DELIVERED = "DELIVERED-AND-KEPT"
"""Reason of a deletion: every delivery was confirmed, and the period after it is over."""
UNROUTED = "UNROUTED-AND-KEPT"
"""Reason of a deletion: no rule wanted the series, and its own period is over."""

SETTLED_JOBS = {"OVERTAKEN"}
SETTLED_DELIVERIES = QUIET
"""Reasons of what stopped because something newer took its place, or it was taken back: nobody has to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long a site keeps what it received.

    Parameters
    ----------
    keep_days
        Days after the last delivery was confirmed; None for ever.
    unrouted_keep_days
        Days of series that no rule wanted; None for ever.
    rules
        Days by the name of a rule; None for ever. A job of several rules is kept for the longest.
    """

    keep_days: float | None = None
    unrouted_keep_days: float | None = None
    rules: Mapping[str, float | None]

    def days(self, rule: str) -> float | None:
        """Return the days of a job, by the names of the rules that ordered it; None for ever."""
        names = [rule] if rule in self.rules else rule.split(", ")
        return longest([self.rules.get(name, self.keep_days) for name in names])


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A job that reads a series, or a delivery of its results.

    Parameters
    ----------
    state, reason
        As recorded; reason is empty when there is none.
    model
        The job's model; empty for a delivery.
    rule
        The rules that ordered it; empty for a delivery.
    ended_at
        Seconds since 1970; None while it is not over.
    """

    state: str
    reason: str = ""
    model: str = ""
    rule: str = ""
    ended_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One series, and everything that may forbid to delete it.

    Parameters
    ----------
    instances, size
        How many instances it has on record, and how many bytes.
    dispatched
        Whether it is closed and every rule was asked about it.
    last_at
        When something of it arrived, or it was closed or dispatched, whichever is latest.
    ordered
        How many jobs were ever ordered for it, by the account that nobody can delete from.
    held
        Whether an instance of it is promised to be kept (Storage Commitment).
    """

    series_instance_uid: str
    study_instance_uid: str
    instances: int
    size: int
    dispatched: bool
    last_at: float
    jobs: Sequence[Work]
    deliveries: Sequence[Work]
    ordered: int
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a series goes, and why it goes or stays.

    Parameters
    ----------
    due_at
        When its period ends; None when none runs.
    """

    goes: bool
    reason: str
    due_at: float | None = None


def decide(holding: Holding, policy: Policy, now: float) -> Verdict:
    """Say whether a series may be deleted now."""
    stays = _stays(holding)
    if stays:
        return Verdict(goes=False, reason=stays)
    ended = [work.ended_at for work in (*holding.jobs, *holding.deliveries) if work.ended_at]
    of_jobs = [policy.days(job.rule) for job in holding.jobs]
    days = longest(of_jobs) if of_jobs else policy.unrouted_keep_days
    if days is None:
        return Verdict(goes=False, reason="KEPT-FOREVER")
    due_at = max([holding.last_at, *ended]) + days * DAY_S
    if now < due_at:
        return Verdict(goes=False, reason="PERIOD-RUNS", due_at=due_at)
    return Verdict(goes=True, reason=DELIVERED if holding.jobs else UNROUTED, due_at=due_at)


def _stays(holding: Holding) -> str | None:
    """Return the reason that no period can overrule; None when there is none."""
    open_jobs = {JobState.SCHEDULED, JobState.IN_PROGRESS}
    checks = (
        ("STILL-WAITING", not holding.dispatched),
        ("LEDGER-DIFFERS", holding.ordered > len(holding.jobs)),
        ("JOB-OWED", any(job.state in open_jobs for job in holding.jobs)),
        ("JOB-PARKED", any(_parked(job, holding.jobs) for job in holding.jobs)),
        ("DELIVERY-PARKED", any(_stuck(one) for one in holding.deliveries)),
        ("DELIVERY-OWED", any(_unconfirmed(one) for one in holding.deliveries)),
        ("HELD-BY-COMMITMENT", holding.held),
    )
    return next((reason for reason, stays in checks if stays), None)


def _parked(job: Work, jobs: Sequence[Work]) -> bool:
    # a job that failed is answered by a later one of the same model that did not
    answered = any(
        other.state == JobState.COMPLETED
        and other.model == job.model
        and (other.ended_at or 0.0) > (job.ended_at or 0.0)
        for other in jobs
    )
    return job.state == JobState.CANCELED and job.reason not in SETTLED_JOBS and not answered


def _stuck(delivery: Work) -> bool:
    return delivery.state == DeliveryState.PARKED and delivery.reason not in SETTLED_DELIVERIES


def _unconfirmed(delivery: Work) -> bool:
    # SENT is not enough: nobody asked the destination whether it has it
    return delivery.state in {DeliveryState.OWED, DeliveryState.SENT}


def longest(days: Sequence[float | None]) -> float | None:
    """Return the longest of some periods, of which None means for ever."""
    ending = [day for day in days if day is not None]
    return max(ending) if ending and len(ending) == len(days) else None
