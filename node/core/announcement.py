"""What a peer says it has made: the lists in Storage Commitment requests, MPPS and IAN.

An announcement is evidence of completeness (witness d) and nothing else: it neither asks for an instance nor
vouches for one.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """By which service a list came."""

    COMMITMENT = "commitment"
    MPPS = "mpps"
    IAN = "ian"


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """One instance that a peer has made.

    Parameters
    ----------
    sop_instance_uid
        The instance.
    study_instance_uid, series_instance_uid
        Where it belongs; None where the service does not say (Storage Commitment).
    """

    sop_instance_uid: str
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """One list.

    Parameters
    ----------
    kind
        By which service it came.
    peer
        Name of the peer that sent it.
    instances
        What it lists, without doubles.
    """

    kind: Kind
    peer: str
    instances: tuple[Announced, ...]


class StepState(StrEnum):
    """Performed Procedure Step Status (0040,0252), PS3.3 C.4.14."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepChange:
    """What one N-CREATE or N-SET says about a Modality Performed Procedure Step.

    Parameters
    ----------
    sop_instance_uid
        The step.
    peer
        Name of the peer that performs it.
    state
        Its new status; None when an N-SET leaves it.
    study_instance_uid
        Of its first Scheduled Step Attributes; None in an N-SET, which may not change it.
    performed
        (Series Instance UID, SOP Instance UID) of every instance in the Performed Series Sequence; None when
        the sequence is absent, and what an earlier N-SET listed stands.
    """

    sop_instance_uid: str
    peer: str
    state: StepState | None
    study_instance_uid: str | None = None
    performed: tuple[tuple[str, str], ...] | None = None


class StepAnswer(StrEnum):
    """What became of a `StepChange`."""

    TAKEN = "taken"
    DUPLICATE = "duplicate"
    """N-CREATE of a step that is known."""
    UNKNOWN = "unknown"
    """N-SET of a step that is not, or that another peer performs."""
    OVER = "over"
    """N-SET of a step that is COMPLETED or DISCONTINUED already."""
