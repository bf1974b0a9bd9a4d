"""When is a series complete? By a witness, never by a clock alone.

Geometry only vetoes: every prefix of a series that arrives in order is gapless.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from inference.geometry import Plane, StackFault, missing
from node.core.counts import expected, trouble
from node.core.frames import Inside
from node.core.study import GROUP_KEYWORDS, StoredSeries

ENHANCED_SOP_CLASSES = frozenset({
    "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT
    "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR
    "1.2.840.10008.5.1.4.1.1.128.1",  # Enhanced PET
    "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT
    "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR
    "1.2.840.10008.5.1.4.1.1.128.2",  # Legacy Converted Enhanced PET
})

IMAGES_MISSING = "IMAGES-MISSING"
"""Reason code: a count, the archive or an announcement names more than arrived."""


class Witness(StrEnum):
    """Who says that a series is complete, strongest first; (a) to (f) of the design."""

    ENHANCED_OBJECT = "one-enhanced-object"
    IMAGES_IN_ACQUISITION = "images-in-acquisition"
    ARCHIVE_LIST = "archive-list-equal-twice"
    ANNOUNCED_LIST = "announced-list"
    ASSOCIATION_RELEASED = "association-released-and-quiet"
    LONG_QUIET = "long-quiet"


_WORDS = {
    Witness.ENHANCED_OBJECT: "one enhanced object",
    Witness.IMAGES_IN_ACQUISITION: "count trusted",
    Witness.ARCHIVE_LIST: "PACS list equal twice",
    Witness.ANNOUNCED_LIST: "equal to the announced list",
    Witness.ASSOCIATION_RELEASED: "association released, short quiet",
    Witness.LONG_QUIET: "long quiet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietTimes:
    """How long a peer must be silent, in seconds, and what of it is trusted.

    Parameters
    ----------
    short_s
        After the release of every association that brought images of the series.
    long_s
        When nothing else testifies.
    apart_s
        Between two equal answers of the archive.
    counts
        Attributes whose value is trusted to be the number of images, by their names in `core.counts`.
    """

    short_s: float
    long_s: float
    apart_s: float = 3.0
    counts: tuple[str, ...] = ()


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
        Why it counts as incomplete, None when it does not. A detail without a fault is a gap that the witness
        denies: the model's card decides what it is worth.
    expected
        How many the witness knows of, None when it knows no number.
    remark
        What could not be used or looked at, such as a count that is no number; None without any.
    """

    witness: Witness
    instances: int
    end_slice_may_be_missing: bool
    fault: str | None = None
    detail: str | None = None
    expected: int | None = None
    remark: str | None = None

    def as_record(self) -> dict[str, Any]:
        """Return plain values for the store."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Evidence":
        """Read what `as_record` wrote."""
        return cls(**{**record, "witness": Witness(record["witness"])})

    def __str__(self) -> str:
        number = f"{self.instances} instances"
        if self.expected is not None:
            number = f"{self.instances} of {self.expected}"
        veto = f"{self.fault}: {self.detail}" if self.fault else self.detail or "no gap"
        end = ("an end slice may be missing",) if self.end_slice_may_be_missing else ()
        remark = (self.remark,) if self.remark else ()
        return "; ".join((number, _WORDS[self.witness], veto, *end, *remark))


def decide(
    series: StoredSeries,
    quiet: QuietTimes,
    now: float,
    look_inside: Callable[[], Inside] | None = None,
) -> Evidence | None:
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
    look_inside
        Examines the frames of enhanced objects; asked when everything but the geometry is known. None for a
        series of classic instances, whose geometry it carries itself.
    """
    silent_s = now - series.last_arrival
    # late images: at most one revision in a quiet time
    hasty = series.closed_at is not None and (min(silent_s, now - series.closed_at) < quiet.short_s)
    witness = None if hasty else _attested(series, quiet, silent_s)
    if witness is None and silent_s < quiet.short_s:
        return None
    released = _released(series) and not hasty and not series.unplaced
    if witness is None and not released and silent_s < quiet.long_s:
        return None  # before the geometry is looked at: this is asked ten times a second
    inside = Inside(veto=_veto(series)) if look_inside is None else look_inside()
    lacking, veto = _lacking(series, quiet), inside.veto
    faultless = not lacking and veto is None
    if witness is None and faultless and released:
        witness = Witness.ASSOCIATION_RELEASED
    if silent_s < quiet.long_s and (witness is None or not faultless):
        return None
    unplaced = f"{series.unplaced} announced beside it did not come" if series.unplaced else None
    remarks = (trouble(series, quiet.counts), unplaced, inside.remark)
    return replace(
        _evidence(series, witness or Witness.LONG_QUIET, lacking, veto),
        remark="; ".join(remark for remark in remarks if remark) or None,
    )


def is_enhanced(series: StoredSeries) -> bool:
    """Whether its geometry lies in functional groups, and not in what an instance carries at its top."""
    return series.facts.get("SOPClassUID") in ENHANCED_SOP_CLASSES


def lacks(series: StoredSeries, quiet: QuietTimes) -> str | None:
    """Say in words what is known to be missing of an open series; None when nothing is."""
    lacking, veto = _lacking(series, quiet), _veto(series)
    if lacking:
        return f"{IMAGES_MISSING}: {lacking} of {len(series.instances) + lacking} did not come"
    return f"{veto.fault}: {veto.detail}" if veto else None


def _evidence(
    series: StoredSeries, witness: Witness, lacking: int, veto: StackFault | None
) -> Evidence:
    count = len(series.instances)
    blind = witness in {Witness.ASSOCIATION_RELEASED, Witness.LONG_QUIET}
    numberless = blind or witness is Witness.ENHANCED_OBJECT
    fault: str | None = veto.fault if veto and blind else None
    detail = veto.detail if veto else None
    if lacking:
        fault, detail = IMAGES_MISSING, f"{lacking} of {count + lacking} did not come"
    return Evidence(
        witness=witness,
        instances=count,
        end_slice_may_be_missing=blind,
        fault=fault,
        detail=detail,
        expected=None if numberless and not lacking else count + lacking,
    )


def _attested(series: StoredSeries, quiet: QuietTimes, silent_s: float) -> Witness | None:
    """Return the strongest witness; only what may have been listed in parts needs a quiet time."""
    uids, listed = {uid for uid, _ in series.instances}, series.listed
    if _enhanced(series):
        return Witness.ENHANCED_OBJECT
    if expected(series, quiet.counts) == len(uids):
        return Witness.IMAGES_IN_ACQUISITION
    if series.associations_open:
        return None
    if listed and listed.instances == uids and listed.at - listed.since >= quiet.apart_s:
        return Witness.ARCHIVE_LIST
    if series.perhaps_in_parts and silent_s < quiet.short_s:
        return None
    return Witness.ANNOUNCED_LIST if series.announced and series.announced <= uids else None


def _enhanced(series: StoredSeries) -> bool:
    if not is_enhanced(series):
        return False
    parts = expected(series, ("InConcatenationTotalNumber",)) or 1
    return len(series.instances) == parts


def _released(series: StoredSeries) -> bool:
    return series.associations_open == 0 and series.associations_broken == 0


def _lacking(series: StoredSeries, quiet: QuietTimes) -> int:
    """How many instances somebody names that have not arrived."""
    uids = {uid for uid, _ in series.instances}
    named = series.announced | (series.listed.instances if series.listed else frozenset())
    promised = expected(series, quiet.counts) or 0
    return max(len(named - uids), promised - len(uids), 0)


def _veto(series: StoredSeries) -> StackFault | None:
    planes = [Plane.from_keywords(values) for values in series.planes]
    keys = [
        [values.get(keyword) for keyword in (*GROUP_KEYWORDS, "EchoTime")]
        for values in series.planes
    ]
    return missing(planes, keys)
