"""What the patient's record said, with the moment and the source of each value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Protocol

from integrations.report import Coding, PatientIdentity, UsedValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What one feature means, where it is not ``age`` or ``sex``.

    Parameters
    ----------
    concept
        What the answer is.
    resource
        FHIR R4 resource type that is asked: ``Observation``, ``Condition``, ``MedicationRequest`` ...
    codes
        Any of these, each a system's URI and a code; empty where the type needs none.
    panels
        Codes of Observations that have the answer among their components.
    element
        Of a ServiceRequest: ``priority`` or ``reason``.
    unit
        UCUM unit of a number; None for a coded value.
    molar_mass_g_mol
        Of the substance, so that mass and amount can be exchanged.
    maximum_age_days
        How long before the study the answer may hold; None for any time.
    """

    concept: Coding
    resource: str
    codes: tuple[tuple[str, str], ...] = ()
    panels: tuple[tuple[str, str], ...] = ()
    element: str | None = None
    unit: str | None = None
    molar_mass_g_mol: Decimal | None = None
    maximum_age_days: float | None = None


NOTHING_ELSE: Mapping[str, Question] = MappingProxyType({})


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
    withheld
        How many resources were not looked at for their sensitivity label or the patient's consent.
    """

    patient: str
    patient_version: str | None
    values: Mapping[str, UsedValue] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    withheld: int = 0


class Record(Protocol):
    """A patient record that can be asked for context."""

    def context(
        self,
        patient: PatientIdentity,
        features: Sequence[str],
        at: date | datetime,
        *,
        questions: Mapping[str, Question] = NOTHING_ELSE,
        accession_number: str | None = None,
    ) -> RecordContext:
        """Find and verify the patient, and read the features as they were at the study's time.

        A feature that is not among the `questions` is ``age`` or ``sex``, or not known. The order of the
        accession number, where the record has one, must be the same patient's.

        Raises
        ------
        NotVerified
            Not exactly one patient, or one that contradicts the study: no context, no write-back.
        Unavailable
            The record cannot be asked now.
        Refused
            The record does not allow it.
        """
