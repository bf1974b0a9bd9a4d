"""Series of earlier studies that a job compares with: whose they must be, and how far each of them is."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from node.core.identity import compare

NUMBER = ("PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")
PERSON = (*NUMBER, "PatientName")
"""By what one patient is told from another; a name may change, and counts where no birth date is known."""

FETCHED = "FETCHED-AS-PRIOR"
"""Reason why no rule is asked about a series: it came because we asked for it, to compare with."""


LATE, NOBODY = "PRIOR-LATE", "NO-ARCHIVE-CONFIGURED"
"""Why there is no prior: its archive did not give it in time, or the study's source has none."""


class PriorState(StrEnum):
    """How far the search for one series is; the job waits while it is WANTED or FETCHING."""

    WANTED = "WANTED"
    FETCHING = "FETCHING"
    FOUND = "FOUND"
    NONE = "NONE"


OPEN = (PriorState.WANTED, PriorState.FETCHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A series that may be the one."""

    study_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorQuestion:
    """What an archive is to be asked for one job.

    Parameters
    ----------
    name
        Which of the card's priors is wanted.
    study_instance_uid, peer, identity
        The study that is analysed, its source, and its identifying attributes by keyword.
    chosen
        What is being fetched; None while nothing is.
    tried, taken
        Series Instance UIDs that were not the one, and those that another prior of the card has.
    attempt
        1 for the first time that `chosen` is fetched.
    reason
        Why the last one was not the one, as a reason code; None when none was tried.
    """

    job_id: str
    name: str
    model: str
    study_instance_uid: str
    peer: str
    identity: Mapping[str, Any]
    chosen: Candidate | None
    tried: tuple[str, ...]
    taken: frozenset[str]
    attempt: int
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """What is here of a chosen series.

    Parameters
    ----------
    facts
        What a selection is asked about, as if all were here that the archive lists.
    identity
        Its identifying attributes by keyword, as received.
    lacking
        SOP Instance UIDs that the archive lists and that are not here, ordered.
    """

    facts: Mapping[str, Any]
    identity: Mapping[str, Any]
    lacking: tuple[str, ...]


def same_person(
    source: Mapping[str, Any],
    other: Mapping[str, Any],
    *,
    source_issuer: str | None = None,
    other_issuer: str | None = None,
) -> bool:
    """Whether two studies are of one patient: number and birth date, issuer and sex where both say them.

    Where either names no birth date, the name must be the same.

    Parameters
    ----------
    source, other
        Their identifying attributes by keyword.
    source_issuer, other_issuer
        Issuer of Patient ID of each where it names none.
    """
    theirs = {keyword: str(other.get(keyword) or "") for keyword in PERSON}
    theirs["IssuerOfPatientID"] = theirs["IssuerOfPatientID"] or (other_issuer or "")
    told = compare(source, theirs, default_issuer=source_issuer, keywords=NUMBER)
    if told.differing or "PatientID" in told.skipped:
        return False
    if "PatientBirthDate" not in told.skipped:
        return True
    name = compare(source, theirs, keywords=("PatientName",))
    return not name.differing and "PatientName" not in name.skipped
