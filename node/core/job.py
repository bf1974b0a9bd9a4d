"""Jobs, result sets and deliveries: their states, and the tables of what may follow what.

The words are those of the Unified Procedure Step (PS3.4 CC.1.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from node.core.form import EarlierReport
from node.errors import IllegalTransition


class JobState(StrEnum):
    """Procedure Step State (0074,1000)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"


class Readiness(StrEnum):
    """Input Readiness State (0040,4041)."""

    INCOMPLETE = "INCOMPLETE"
    READY = "READY"
    UNAVAILABLE = "UNAVAILABLE"


class ResultState(StrEnum):
    """Whether a result set is the one to look at."""

    CURRENT = "CURRENT"
    SUPERSEDED = "SUPERSEDED"
    RETRACTED = "RETRACTED"


class DeliveryState(StrEnum):
    """How far a result set is on its way to one destination."""

    OWED = "OWED"
    SENT = "SENT"
    CONFIRMED = "CONFIRMED"
    PARKED = "PARKED"
    WITHDRAWN = "WITHDRAWN"


class InstanceState(StrEnum):
    """How far one object is on its way to one destination; SENDING after a crash means in doubt."""

    OWED = "OWED"
    SENDING = "SENDING"
    SENT = "SENT"


State = TypeVar("State", JobState, Readiness, ResultState, DeliveryState, InstanceState)

TRANSITIONS: Mapping[type[StrEnum], Mapping[StrEnum, frozenset[StrEnum]]] = {
    JobState: {
        # SCHEDULED again: the job was given back; IN PROGRESS again: its lease had ended
        JobState.SCHEDULED: frozenset({JobState.IN_PROGRESS, JobState.CANCELED}),
        JobState.IN_PROGRESS: frozenset({
            JobState.IN_PROGRESS,
            JobState.SCHEDULED,
            JobState.COMPLETED,
            JobState.CANCELED,
        }),
        JobState.COMPLETED: frozenset(),
        JobState.CANCELED: frozenset(),
    },
    Readiness: {
        Readiness.INCOMPLETE: frozenset({Readiness.READY, Readiness.UNAVAILABLE}),
        Readiness.READY: frozenset(),
        Readiness.UNAVAILABLE: frozenset(),
    },
    ResultState: {
        ResultState.CURRENT: frozenset({ResultState.SUPERSEDED, ResultState.RETRACTED}),
        ResultState.SUPERSEDED: frozenset({ResultState.RETRACTED}),
        ResultState.RETRACTED: frozenset(),
    },
    DeliveryState: {
        DeliveryState.OWED: frozenset({
            DeliveryState.SENT,
            DeliveryState.CONFIRMED,
            DeliveryState.PARKED,
        }),
        # OWED again: the archive answered Success and has it not
        DeliveryState.SENT: frozenset({
            DeliveryState.CONFIRMED,
            DeliveryState.WITHDRAWN,
            DeliveryState.OWED,
            DeliveryState.PARKED,
        }),
        # from CONFIRMED so only where it was read back, and the archive's own report says otherwise later
        DeliveryState.CONFIRMED: frozenset({
            DeliveryState.WITHDRAWN,
            DeliveryState.OWED,
            DeliveryState.PARKED,
        }),
        DeliveryState.PARKED: frozenset({DeliveryState.OWED}),
        DeliveryState.WITHDRAWN: frozenset(),
    },
    InstanceState: {
        InstanceState.OWED: frozenset({InstanceState.SENDING, InstanceState.SENT}),
        InstanceState.SENDING: frozenset({InstanceState.SENDING, InstanceState.SENT}),
        # OWED again: the archive answered Success and has it not
        InstanceState.SENT: frozenset({InstanceState.OWED}),
    },
}
"""What may follow what, for each kind of state; the store asks this table before it writes a state."""


def move(state: State, to: State) -> State:
    """Return `to` when the table allows it after `state`.

    Raises
    ------
    IllegalTransition
        It does not; the caller has a bug.
    """
    if to not in TRANSITIONS[type(state)][state]:
        raise IllegalTransition(f"{type(state).__name__}: {state} -> {to}")
    return to


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job as dispatch orders it.

    Parameters
    ----------
    inputs
        SOP Instance UIDs by the name of the card's input.
    digest
        `core.identifiers.input_digest` over all inputs.
    request
        0 when a rule asked.
    destinations
        Names of the peers that get the result.
    canceled
        Reason code and detail when the job is over before it begins; None to run it.
    deadline_s
        Seconds from now in which it should be done; None without a deadline.
    """

    job_id: str
    study_instance_uid: str
    series_instance_uid: str
    model: str
    version: str
    rule: str
    inputs: Mapping[str, tuple[str, ...]]
    digest: str
    request: int
    priority: int
    destinations: tuple[str, ...]
    evidence: Mapping[str, Any]
    canceled: tuple[str, str] | None = None
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job that one worker holds until its lease ends.

    Parameters
    ----------
    transaction_uid
        Fences every later write: it is made only while the job still carries this UID.
    files
        Paths relative to the store's root, by input name.
    context
        What `pipeline.prepare` stored.
    identity
        The study's identifying attributes, as received.
    attempt
        1 for the first claim of this job.
    lost_leases
        How many workers claimed this job and were not heard of again.
    revision
        How many results there are already of the same series from the same model.
    earlier
        The reports of the one that is current, in each of its forms.
    order
        What the study's order says (`placer_order_number`, `filler_order_number`, `urgency`, `reason`); empty
        when none is known.
    priors
        Paths of the earlier series that it compares with, by the name of the card's prior.
    no_priors
        Reason codes of those that it was not given.
    """

    job_id: str
    transaction_uid: str
    study_instance_uid: str
    series_instance_uid: str
    peer: str
    model: str
    version: str
    request: int
    revision: int
    attempt: int
    lost_leases: int
    files: Mapping[str, tuple[str, ...]]
    context: Mapping[str, Any]
    identity: Mapping[str, Any]
    evidence: Mapping[str, Any]
    destinations: tuple[str, ...]
    earlier: tuple[EarlierReport, ...] = ()
    order: Mapping[str, str] = field(default_factory=dict)
    priors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    no_priors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultInstance:
    """One result object on disk: created once, sent unchanged."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    kind: str
    path: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSet:
    """What a worker publishes when a job is done: its result in one form.

    Parameters
    ----------
    profile
        Name of the form.
    instances
        In the order in which they must be delivered.
    report
        The report in plain values (`pipeline.translate`).
    picture
        Path of the overlay picture, relative to the store's root; None when none was made.
    seconds
        Duration of each stage of the analysis.
    answer
        Path of the file from which further forms can be built, relative to the store's root; None when another
        set of the same job has it.
    destinations
        Who is to get the result in this form.
    """

    result_set_id: str
    profile: str
    instances: tuple[ResultInstance, ...]
    report: Mapping[str, Any]
    picture: str | None
    seconds: Mapping[str, float]
    server: str
    answer: str | None = None
    destinations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a result set comes from: what is needed to make another form of it.

    Parameters
    ----------
    job
        The job as it was, with no Transaction UID.
    answer
        Path of the model's answer, relative to the store's root.
    """

    job: Claim
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryClaim:
    """A delivery that one worker holds until its lease ends.

    Parameters
    ----------
    profile
        The form of the result set.
    lost_leases
        How many workers claimed this delivery and were not heard of again.
    follows
        Whether another result of the same question has gone there, or may have.
    """

    delivery_id: str
    transaction_uid: str
    result_set_id: str
    job_id: str
    profile: str
    study_instance_uid: str
    destination: str
    attempt: int
    lost_leases: int
    report: Mapping[str, Any]
    instances: tuple[tuple[ResultInstance, InstanceState], ...]
    follows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unnoticed:
    """A job without a result, of which its archives are to be told.

    Parameters
    ----------
    job
        The job, under no Transaction UID.
    reason
        Reason code.
    delayed
        It goes on: only the time is over in which a result was expected.
    """

    job: Claim
    reason: str
    delayed: bool = False
