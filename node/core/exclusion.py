"""What no rule is asked about: the site's exclusions, each with its reason code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inference.selection import Facts, Selection, parse

SECONDARY_CAPTURES = (
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.7.1",
    "1.2.840.10008.5.1.4.1.1.7.2",
    "1.2.840.10008.5.1.4.1.1.7.3",
    "1.2.840.10008.5.1.4.1.1.7.4",
)
DOSE_REPORTS = (
    "1.2.840.10008.5.1.4.1.1.88.67",
    "1.2.840.10008.5.1.4.1.1.88.68",
    "1.2.840.10008.5.1.4.1.1.88.73",
)
_PHANTOM = {"regex": r"phantom|\bqa\b|\bqc\b|quality (assurance|control)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """Series that no rule is asked about.

    Parameters
    ----------
    reason
        Reason code.
    select
        Which series.
    """

    reason: str
    select: Selection


def _exclusions(reason: str, *tables: Mapping[str, object]) -> tuple[Exclusion, ...]:
    return tuple(Exclusion(reason=reason, select=parse(table)) for table in tables)


KINDS: Mapping[str, tuple[Exclusion, ...]] = {
    "phantoms": _exclusions(
        "EXCLUDED-PHANTOM",
        {"QualityControlImage": ["YES", "BOTH"]},
        {"SeriesDescription": _PHANTOM},
        {"StudyDescription": _PHANTOM},
        {"ProtocolName": _PHANTOM},
    ),
    "localisers": _exclusions("EXCLUDED-LOCALISER", {"ImageType": "LOCALIZER"}),
    "dose_reports": _exclusions(
        "EXCLUDED-DOSE-REPORT",
        {"SOPClassUID": list(DOSE_REPORTS)},
        {"SeriesDescription": {"regex": "dose (report|info|record|summary)"}},
    ),
    "secondary_captures": _exclusions(
        "EXCLUDED-SECONDARY-CAPTURE", {"SOPClassUID": list(SECONDARY_CAPTURES)}
    ),
    "burned_in": _exclusions("EXCLUDED-BURNED-IN", {"BurnedInAnnotation": "YES"}),
}
"""The kinds that the configuration switches, by the name of the switch; all are on by default.

A text alone says that a phantom is one, because most senders leave Quality Control Image (0028,0300) out.
"""

EVERY_KIND = tuple(exclusion for kind in KINDS.values() for exclusion in kind)
BY_SITE = "EXCLUDED-BY-SITE"


def excluded(exclusions: Sequence[Exclusion], facts: Facts) -> tuple[str, str] | None:
    """Return the reason code, and in words what excludes a series; None when nothing does."""
    for exclusion in exclusions:
        if not exclusion.select.failures(facts):
            words = "; ".join(what for what, _ in exclusion.select.checks(facts))
            return exclusion.reason, words.replace(" must be ", " is ")
    return None
