"""What the patient's record said, with the moment and the source of each value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

from integrations.report import PatientIdentity, UsedValue


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordContext:
    """The answer of a record about one verified patient.

    Parameters
    ----------
    patient
        Logical reference of the patient in the record (``Patient/123``).
    patient_version
        Version of that resource at the moment of reading; None when the server keeps none.
    values
        The features that were asked for and known, by name.
    missing
        Why a feature that was asked for is not there, by name.
    """

    patient: str
    patient_version: str | None
    values: Mapping[str, UsedValue] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


class Record(Protocol):
    """A patient record that can be asked for context."""

    def context(
        self,
        patient: PatientIdentity,
        features: Sequence[str],
        at: date | datetime,
        *,
        accession_number: str | None = None,
    ) -> RecordContext:
        """Find and verify the patient, and read the features as they were at the study's time.

        The order of the accession number, where the record has one, must be the same patient's.

        Raises
        ------
        NotVerified
            Not exactly one patient, or one that contradicts the study: no context, no write-back.
        Unavailable
            The record cannot be asked now.
        Refused
            The record does not allow it.
        """
