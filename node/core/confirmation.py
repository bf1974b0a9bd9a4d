"""How a delivery becomes certain: what an archive is asked about the instances that it took, and what it says.

An archive that is an SCP of Storage Commitment (PS3.4 Annex J) is asked to commit them; one that is none, or
that does not report in time, is asked what it holds. The same request asks an archive for the instances of its
own that we hold for somebody, so that we need not hold them any longer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from node.core.commitment import Reference

RESENDINGS = 3
"""How often what an archive did not commit is sent again before somebody has to look at it."""

FIRST_RESENDING_S = 10.0
"""Before the first of them; each later one waits six times as long."""

LOOKS = (10.0, 60.0, 600.0)
"""Seconds between the looks into an archive's list that does not name every instance yet."""

_HOPELESS = frozenset({0x0119, 0x0122})
"""Class/instance conflict, and SOP class not supported: the same object again would fail again."""

NOT_CONFIRMED = "NOT-CONFIRMED"
"""Reason code: the archive does not list what it took, or cannot be asked."""

NOT_NAMED = 0x0112
"""What an instance counts as that is in neither list of a report, or not in the archive's: it is not there."""


class ConfirmationState(StrEnum):
    """How far one transaction is."""

    OWED = "OWED"
    """The archive is to be asked."""
    ASKED = "ASKED"
    """It has the request for commitment; its report is awaited."""
    CONFIRMED = "CONFIRMED"
    """It has every instance."""
    FAILED = "FAILED"
    """It has some of them not: those are sent again."""
    PARKED = "PARKED"
    """Nobody could find out, or it went wrong too often."""
    DROPPED = "DROPPED"
    """Nothing depends on the answer any more."""


class Way(StrEnum):
    """How the archive is asked."""

    COMMITMENT = "COMMITMENT"
    READ_BACK = "READ BACK"


class Told(StrEnum):
    """What became of a report of an archive's."""

    TAKEN = "taken"
    KNOWN = "known"
    """It was settled before: by the same report, or because nothing depends on it any more."""
    UNKNOWN = "unknown"
    """No transaction of ours with this peer has this UID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An instance that an archive is asked about."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationClaim:
    """One transaction, held by whoever asks.

    Parameters
    ----------
    transaction_uid
        Its Transaction UID (0008,1195), which was stored before anybody could be told.
    claim_uid
        Fence: every later write of whoever asks is conditional on it.
    peer
        The archive that is asked.
    state, way
        How far it is, and how it is asked.
    fallback
        Reason code why it is read back although commitment was wanted; None when it was not.
    delivery_id
        The delivery that waits; None where instances are held for somebody else.
    study_instance_uid, instances
        What it is about.
    attempt
        1 for the first since the way was chosen.
    age_s
        Seconds since it was stored.
    """

    transaction_uid: str
    claim_uid: str
    peer: str
    state: ConfirmationState
    way: Way
    fallback: str | None
    delivery_id: str | None
    study_instance_uid: str
    instances: tuple[Listed, ...]
    attempt: int
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentReport:
    """What an N-EVENT-REPORT says.

    Parameters
    ----------
    peer
        Name of the peer that reports.
    transaction_uid
        Whose transaction it answers.
    committed
        Referenced SOP Sequence (0008,1199).
    failed
        Failure Reason (0008,1197) by SOP Instance UID, of the Failed SOP Sequence (0008,1198).
    """

    peer: str
    transaction_uid: str
    committed: frozenset[Reference]
    failed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Resend:
    """Bring what the archive has not once more, after a while."""

    after_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Somebody has to look at it."""

    reason: str


def failures_of(instances: Sequence[Listed], report: CommitmentReport) -> dict[str, int]:
    """Return Failure Reasons by SOP Instance UID: of all that is not committed beyond doubt.

    The Event Type is not asked: one that says "all committed" over a list that lacks some would not make them
    safe. One that is in both lists is not safe either.
    """
    failures = {}
    for one in instances:
        uid = one.sop_instance_uid
        if uid in report.failed:
            failures[uid] = report.failed[uid]
        elif Reference(uid, one.sop_class_uid) not in report.committed:
            failures[uid] = NOT_NAMED
    return failures


def decide(failures: Mapping[str, int], resent: int, way: Way) -> Resend | GiveUp:
    """Say what is done about instances that an archive took and has not.

    Parameters
    ----------
    failures
        Failure Reason of each; not empty.
    resent
        How often some of them were sent again already.
    way
        How it is known: a list tells no reasons.
    """
    worst = next((one for one in failures.values() if one in _HOPELESS), None)
    reason = f"COMMITMENT-{worst or next(iter(failures.values())):04X}"
    if way is Way.READ_BACK:
        reason = NOT_CONFIRMED
    if worst is not None or resent >= RESENDINGS:
        return GiveUp(reason)
    return Resend(FIRST_RESENDING_S * 6**resent, reason)
