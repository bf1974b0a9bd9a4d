"""A study, its series and its instances, as the node sees them."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, BinaryIO, Protocol

from inference.selection import Value

IDENTITY_KEYWORDS = (
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
)
"""Whose study it is; the same for every instance of a study."""

STUDY_KEYWORDS = (
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "TimezoneOffsetFromUTC",
    "StudyPriorityID",
    "RequestedProcedurePriority",
)

SERIES_KEYWORDS = (
    "Modality",
    "SeriesDescription",
    "SeriesNumber",
    "ProtocolName",
    "BodyPartExamined",
    "Manufacturer",
    "ManufacturerModelName",
    "SequenceName",
    "ScanningSequence",
    "SequenceVariant",
    "ImageType",
    "MagneticFieldStrength",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "SliceThickness",
    "ConvolutionKernel",
    "ContrastBolusAgent",
    "BurnedInAnnotation",
    "QualityControlImage",
    "ViewPosition",
    "ViewCodeSequence",
    "AnatomicRegionSequence",
    "ProcedureCodeSequence",
    "SOPClassUID",
)
"""What rules and cards may ask of a series, beside the identity's and the study's attributes."""

GEOMETRY_KEYWORDS = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "FrameOfReferenceUID",
    "InstanceNumber",
)

GROUP_KEYWORDS = (
    "TemporalPositionIdentifier",
    "EchoNumbers",
    "DiffusionBValue",
    "NominalPercentageOfCardiacPhase",
    "TriggerTime",
    "AcquisitionNumber",
)
"""What tells frames at one position apart, with Echo Time: time, echo, b-value, phase, acquisition."""

COUNT_KEYWORDS = ("ImagesInAcquisition", "NumberOfSlices", "InConcatenationTotalNumber")
"""How many images there should be, in the standard's own attributes."""

NO_NUMBER = "no number"
"""Stands for a vendor's count that is no whole number: its text may be anything, and is not kept."""

HEADER_KEYWORDS = (
    *IDENTITY_KEYWORDS,
    *STUDY_KEYWORDS,
    *SERIES_KEYWORDS,
    *GEOMETRY_KEYWORDS,
    *GROUP_KEYWORDS,
    *COUNT_KEYWORDS,
)
"""Everything that is read from an instance at reception."""

NOT_IMAGES = ("SR", "SEG", "PR", "KO", "DOC", "PLAN", "REG", "FID", "RWV", "AU", "ECG", "HD")
"""Modalities whose objects speak about images; they open no study and reopen none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The head of one instance, read once at reception.

    Parameters
    ----------
    values
        Attributes by keyword, of those in `HEADER_KEYWORDS` that have a value.
    counts
        Vendors' counts of images by their configured name, a number or `NO_NUMBER`; empty unless configured.
    """

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    values: Mapping[str, Value]
    counts: Mapping[str, Value] = field(default_factory=dict)

    @property
    def identity(self) -> dict[str, Value]:
        """The attributes that say whose study this is."""
        return {key: self.values[key] for key in IDENTITY_KEYWORDS if key in self.values}

    @property
    def is_image(self) -> bool:
        """Whether the instance is an image that can open or reopen a study."""
        return self.values.get("Modality") not in NOT_IMAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One instance as it lies on disk.

    Parameters
    ----------
    header
        Its head.
    path
        Its file, relative to the store's root.
    size
        Bytes of the file.
    digest
        SHA-256 of the data set as received.
    association_id
        The association that brought it.
    peer
        Name of the peer that sent it.
    verdict
        Digest of another content under its UID, and what this one is beside it (`core.reception`); None
        until that is known to be needed.
    """

    header: Header
    path: str
    size: int
    digest: str
    association_id: str
    peer: str
    verdict: "tuple[str, Outcome] | None" = None


class Incoming(Protocol):
    """A file that is being received. It is ours alone until it has its final name."""

    @property
    def name(self) -> str:
        """Its first name."""

    @property
    def size(self) -> int:
        """Bytes so far."""

    def write(self, part: bytes | memoryview) -> None:
        """Append bytes.

        Raises
        ------
        OutOfResources
            The disk would not take them.
        """

    def reading(self) -> AbstractContextManager[BinaryIO]:
        """Open what was written, from its start."""

    def seal(self, association_id: str) -> None:
        """Make the file durable under its first name, with a receipt: from now on it is promised.

        Raises
        ------
        OutOfResources
            The disk would not take it; it is to be discarded.
        """

    def close(self) -> None:
        """Let go of it; whoever records it finds it by its name."""

    def keep(self, header: Header, digest: str) -> str:
        """Make the file durable under its final name; return the path relative to the store's root.

        Raises
        ------
        OutOfResources
            The disk would not take it; nothing of it is left.
        """

    def settle(self) -> None:
        """Note that it is recorded: a start-up has nothing to do about it any more."""

    def withdraw(self) -> None:
        """Give up the final name: it is recorded that we have this instance elsewhere."""

    def discard(self) -> None:
        """Remove what was written, unless it is promised or has its final name; else let go of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One instance as it came over an association.

    Parameters
    ----------
    header
        Its head.
    file
        It lies there, Part 10.
    association_id, peer
        Who brought it.
    """

    header: Header
    file: "Incoming"
    association_id: str
    peer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a listener tells of an instance that it answers with Success.

    Parameters
    ----------
    name
        First name of its file.
    header
        Its head.
    association_id, peer
        Who brought it.
    """

    name: str
    header: Header
    association_id: str
    peer: str


class Outcome(StrEnum):
    """What became of a C-STORE that was answered Success; every one is journaled."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    OWN = "own"
    CONFLICT = "conflict"
    FETCHED = "fetched"
    CORRECTION = "correction"


class SeriesState(StrEnum):
    """State of a series' arrival."""

    OPEN = "OPEN"
    COMPLETE = "COMPLETE"
    INCOMPLETE = "INCOMPLETE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveList:
    """What an archive says it holds of a series.

    Parameters
    ----------
    instances
        SOP Instance UIDs, as it said last.
    since, at
        When it said so first without saying anything else in between, and last; seconds since 1970.
    """

    instances: frozenset[str]
    since: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSeries:
    """One series and its instances, as the store knows them.

    Parameters
    ----------
    facts
        The first instance's attributes, with ``SeriesInstances`` added: what rules are asked about.
    instances
        (SOP Instance UID, SHA-256 of the data set) of each.
    planes
        Attributes of geometry, group and count of each instance.
    evidence
        Why it counts as complete, None while it is open for the first time.
    listed
        What the archive holds of it, None when it was not asked or did not answer.
    announced
        SOP Instance UIDs that a Storage Commitment request, an MPPS or an IAN names for it.
    perhaps_in_parts
        Storage Commitment is all that names them: a modality may ask for a series part by part.
    unplaced
        How many more a Storage Commitment request names beside some of this series: we do not hold them, and
        nobody has said that they belong to another.
    closed_at
        When it was closed last, None when it never was.
    waiting
        Names of the rules that wait for a better series; None when no rule was asked since it was closed.
    dispatched
        Whether every rule has decided.
    prior
        All of it came because we asked for it, to compare with.
    """

    series_instance_uid: str
    study_instance_uid: str
    peer: str
    state: SeriesState
    facts: Mapping[str, Value]
    instances: tuple[tuple[str, str], ...]
    planes: tuple[Mapping[str, Value], ...]
    evidence: Mapping[str, Any] | None
    last_arrival: float
    associations_open: int
    associations_broken: int
    listed: ArchiveList | None = None
    announced: frozenset[str] = frozenset()
    perhaps_in_parts: bool = False
    unplaced: int = 0
    closed_at: float | None = None
    waiting: tuple[str, ...] | None = None
    dispatched: bool = False
    prior: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesOfStudy:
    """One series as the routing of its siblings sees it.

    Parameters
    ----------
    closed_at
        When it was closed, seconds since 1970; None while it is open.
    last_arrival
        Seconds since 1970.
    """

    series_instance_uid: str
    facts: Mapping[str, Value]
    instances: int
    closed_at: float | None
    complete: bool
    last_arrival: float
