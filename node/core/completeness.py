"""When is a series complete? By a witness, never by a clock alone.

Geometry only vetoes: every prefix of a series that arrives in order is gapless.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from inference.geometry import Fault, Plane, StackFault, examine
from node.core.study import StoredSeries

ENHANCED_SOP_CLASSES = frozenset({
    "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT
    "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR
    "1.2.840.10008.5.1.4.1.1.128.1",  # Enhanced PET
    "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT
    "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR
    "1.2.840.10008.5.1.4.1.1.128.2",  # Legacy Converted Enhanced PET
})

VETOES = frozenset({Fault.GAP, Fault.UNEVEN_SPACING})
"""Faults that mean that something is missing, rather than that the series is no volume."""


class Witness(StrEnum):
    """Who says that a series is complete, strongest first; (a) to (f) of the design."""

    ENHANCED_OBJECT = "one-enhanced-object"
    IMAGES_IN_ACQUISITION = "images-in-acquisition"
    ARCHIVE_LIST = "archive-list-equal-twice"
    ANNOUNCED_LIST = "announced-list"
    ASSOCIATION_RELEASED = "association-released-and-quiet"
    LONG_QUIET = "long-quiet"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietTimes:
    """How long a peer must be silent, in seconds.

    Parameters
    ----------
    short_s
        After the release of every association that brought images of the series.
    long_s
        When nothing else testifies.
    """

    short_s: float
    long_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Why a series counts as complete, or as incomplete; kept with every job that reads it.

    Parameters
    ----------
    witness
        Who said so.
    instances
        How many instances there were.
    end_slice_may_be_missing
        True under witnesses that cannot see the end of a series.
    fault, detail
        The geometry's veto, None when there is none.
    """

    witness: Witness
    instances: int
    end_slice_may_be_missing: bool
    fault: str | None = None
    detail: str | None = None

    def as_record(self) -> dict[str, Any]:
        """Return plain values for the store."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Evidence":
        """Read what `as_record` wrote."""
        return cls(**{**record, "witness": Witness(record["witness"])})

    def __str__(self) -> str:
        end = ", an end slice may be missing" if self.end_slice_may_be_missing else ""
        veto = f", {self.fault}: {self.detail}" if self.fault else ", no gap"
        return f"{self.instances} instances, witness {self.witness}{veto}{end}"


def decide(series: StoredSeries, quiet: QuietTimes, now: float) -> Evidence | None:
    """Say whether a series is complete, and by whose word; None means: wait.

    An evidence with a `fault` means that the waiting is over and something is missing.

    Parameters
    ----------
    series
        What has arrived.
    quiet
        The quiet times of the peer that sent it.
    now
        Seconds since 1970.
    """
    count = len(series.instances)
    if count == 1 and series.facts.get("SOPClassUID") in ENHANCED_SOP_CLASSES:
        return Evidence(
            witness=Witness.ENHANCED_OBJECT, instances=1, end_slice_may_be_missing=False
        )
    silent_s = now - series.last_arrival
    if silent_s < quiet.short_s:
        return None
    veto = _veto(series)
    released = series.associations_open == 0 and series.associations_broken == 0
    if released and veto is None:
        return Evidence(
            witness=Witness.ASSOCIATION_RELEASED, instances=count, end_slice_may_be_missing=True
        )
    if silent_s < quiet.long_s:
        return None
    return Evidence(
        witness=Witness.LONG_QUIET,
        instances=count,
        end_slice_may_be_missing=True,
        fault=veto.fault if veto else None,
        detail=veto.detail if veto else None,
    )


def _veto(series: StoredSeries) -> StackFault | None:
    planes = [Plane.from_keywords(values) for values in series.planes]
    if any(plane is None for plane in planes):
        return None
    verdict = examine(planes)
    return verdict if isinstance(verdict, StackFault) and verdict.fault in VETOES else None
