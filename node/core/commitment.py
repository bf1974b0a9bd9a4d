"""Storage Commitment (PS3.4 Annex J): which instances we may take into safekeeping."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class FailureReason(IntEnum):
    """Failure Reason (0008,1197), PS3.3 C.14.1.1."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119


class CommitmentState(StrEnum):
    """How far one transaction is."""

    OWED = "OWED"
    """Asked for; the answer is not with the peer yet."""
    REPORTED = "REPORTED"
    """The peer took our report."""
    PARKED = "PARKED"
    """The peer did not take it for as long as the instances were held."""


class Asked(StrEnum):
    """What became of a request for commitment."""

    TAKEN = "taken"
    KNOWN = "known"
    """The same request again, before it was answered: nothing more is owed."""
    DUPLICATE = "duplicate"
    """A Transaction UID that was used before."""
    TOO_MANY = "too many"
    """The peer has `MOST_OWED` transactions open."""


MOST_OWED = 1000
"""Transactions of one peer that may wait for their report."""


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """An item of the Referenced SOP Sequence (0008,1199)."""

    sop_instance_uid: str
    sop_class_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """What an N-ACTION asks for.

    Parameters
    ----------
    peer
        Name of the peer that asks, and that gets the report.
    transaction_uid
        Its Transaction UID (0008,1195).
    references
        What it wants to be safe, without doubles.
    """

    peer: str
    transaction_uid: str
    references: tuple[Reference, ...]

    @property
    def commitment_id(self) -> str:
        """Its key: a Transaction UID belongs to the peer that made it."""
        return hashlib.sha256(f"{self.peer}|{self.transaction_uid}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What the records say about an instance.

    Parameters
    ----------
    study_instance_uid, sop_class_uid
        Of the instance.
    path
        Its file, relative to the root of the files.
    digest
        SHA-256 of its data set.
    disputed
        Another object came under the same UID: nobody can say which of the two the peer means.
    """

    study_instance_uid: str
    sop_class_uid: str
    path: str
    digest: str
    disputed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentClaim:
    """One transaction, held by whoever answers it.

    Parameters
    ----------
    claim_uid
        Fence: every later write is conditional on it.
    request
        What was asked.
    attempt
        1 for the first.
    age_s
        Seconds since it was asked.
    failures
        The answer, once given: reason by SOP Instance UID of what is not committed. None before.
    """

    claim_uid: str
    request: CommitmentRequest
    attempt: int
    age_s: float
    failures: Mapping[str, FailureReason] | None


def judge(
    reference: Reference, holding: Holding | None, digest_on_disk: str | None
) -> FailureReason | None:
    """Say why an instance cannot be committed; None when it is safe.

    Parameters
    ----------
    holding
        What is recorded under its UID; None when nothing is.
    digest_on_disk
        SHA-256 of the data set in its file, just read; None when the file is not there.
    """
    if holding is None:
        return FailureReason.NO_SUCH_OBJECT_INSTANCE
    if holding.sop_class_uid != reference.sop_class_uid:
        return FailureReason.CLASS_INSTANCE_CONFLICT
    if holding.disputed:
        return FailureReason.PROCESSING_FAILURE
    if digest_on_disk != holding.digest:
        return FailureReason.NO_SUCH_OBJECT_INSTANCE
    return None
