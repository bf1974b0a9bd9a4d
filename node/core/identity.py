"""Whether an archive says of a study who the patient is as its source did: value for value, nothing guessed."""

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from node.core.study import IDENTITY_KEYWORDS

NAME_GROUPS = ("alphabetic", "ideographic", "phonetic")
"""The component groups of a person's name (PS3.5 6.2.1)."""


class CheckState(StrEnum):
    """How far the check of one job is; while it is OWED nothing of the job is delivered."""

    OWED = "OWED"
    VERIFIED = "VERIFIED"
    NOT_VERIFIED = "NOT VERIFIED"
    """Nobody could say: sent all the same, and marked."""
    DIFFERS = "DIFFERS"


class OnDifference(StrEnum):
    """What is done when the archive says that it is another patient's study by now, or another order's."""

    ARCHIVE_CORRECTS = "archive-corrects"
    """That archive gets the result as it was made, and corrects it as all it holds; nobody else gets it."""
    REBUILD = "rebuild"
    """The series is fetched again, as it is there now, and read anew; nothing of the former result leaves."""
    PARK = "park"
    """Nobody gets it before somebody has looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityPolicy:
    """What the site wants.

    Parameters
    ----------
    hold
        What nobody can verify waits until somebody can; otherwise it is sent, and marked.
    wait_s
        Seconds for which an archive is asked that does not answer, or does not know the study yet.
    keywords
        Attributes that are compared.
    """

    on_difference: OnDifference = OnDifference.ARCHIVE_CORRECTS
    hold: bool = False
    wait_s: float = 30.0
    keywords: tuple[str, ...] = IDENTITY_KEYWORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityQuestion:
    """Whose study a job read, to be asked of the archive before its results are sent.

    Parameters
    ----------
    identity
        The identifying attributes by keyword, as the source had them.
    instances
        SOP Instance UIDs that were read of the series.
    attempt
        1 for the first.
    waited_s
        Seconds since the result is ready.
    listed
        Whether the archive listed instances of the series before.
    """

    job_id: str
    study_instance_uid: str
    series_instance_uid: str
    peer: str
    identity: Mapping[str, Any]
    instances: tuple[str, ...]
    attempt: int
    waited_s: float
    listed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What differs between source and archive, and what could not be compared, in words without a value."""

    differing: tuple[str, ...]
    skipped: tuple[str, ...]


def compare(
    source: Mapping[str, Any],
    archive: Mapping[str, str],
    *,
    default_issuer: str | None = None,
    keywords: Collection[str] = IDENTITY_KEYWORDS,
) -> Comparison:
    """Compare identifying attributes, decoded and without padding.

    One that either side does not give is not compared, and named; of a person's name each component group is
    compared by itself, because many archives return the alphabetic one alone.

    Parameters
    ----------
    default_issuer
        The source's Issuer of Patient ID where its objects name none.
    keywords
        Which ones are compared.
    """
    differing, skipped = [], []
    for keyword in (one for one in IDENTITY_KEYWORDS if one in keywords):
        ours, theirs = _text(source.get(keyword)), _text(archive.get(keyword))
        if keyword == "IssuerOfPatientID":
            ours = ours or _text(default_issuer)
        for part, mine, other in _parts(keyword, ours, theirs):
            if not mine or not other:
                skipped.append(part)
            elif mine != other:
                differing.append(part)
    return Comparison(differing=tuple(differing), skipped=tuple(skipped))


def _parts(keyword: str, ours: str, theirs: str) -> list[tuple[str, str, str]]:
    """Return what is compared of an attribute; a group of a name that neither has is nothing to speak of."""
    if keyword != "PatientName":
        return [(keyword, ours, theirs)]
    groups = zip(NAME_GROUPS, _groups(ours), _groups(theirs), strict=True)
    return [
        (keyword if group == "alphabetic" else f"{keyword} ({group})", mine, other)
        for group, mine, other in groups
        if mine or other or group == "alphabetic"
    ]


def _groups(name: str) -> list[str]:
    """Return three component groups; trailing delimiters and spaces around components say nothing."""
    groups = name.split("=")[:3]
    cleaned = ["^".join(part.strip() for part in group.split("^")).rstrip("^") for group in groups]
    return cleaned + [""] * (3 - len(cleaned))


def _text(value: object) -> str:
    # the same character may be written composed or decomposed; decoded it is the same
    return unicodedata.normalize("NFC", str(value if value is not None else "")).strip(" \0")
