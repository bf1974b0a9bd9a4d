"""What was ordered: the imaging procedure behind an accession number, whoever tells of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol


class Urgency(StrEnum):
    """Requested Procedure Priority (0040,1003), PS3.3 C.4.11: the defined terms."""

    STAT = "STAT"
    HIGH = "HIGH"
    ROUTINE = "ROUTINE"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientKey:
    """A patient by one of his numbers.

    Parameters
    ----------
    patient_id
        The number.
    authority
        Who gave it, as the speaker names it: an Issuer of Patient ID, an HL7 assigning authority or a FHIR
        ``identifier.system``; None when it does not say.
    """

    patient_id: str
    authority: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who a patient is said to be.

    Parameters
    ----------
    family, given
        Of the alphabetic name; empty when it is not told.
    birth_date, sex
        None when not told; sex is ``M``, ``F`` or ``O``.
    """

    family: str = ""
    given: str = ""
    birth_date: date | None = None
    sex: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One ordered procedure.

    Parameters
    ----------
    accession_number
        Accession Number (0008,0050) of the images that it leads to.
    patient
        Numbers of the patient, each with its authority; at least one.
    placer_order_number, filler_order_number
        (0040,2016) and (0040,2017); empty when not told.
    urgency
        How urgent it is.
    reason
        Why it was ordered, in words; empty when not told. It may say something of the patient: it is for
        reports, and not for logs.
    active
        False: it was canceled or discontinued.
    """

    accession_number: str
    patient: tuple[PatientKey, ...]
    placer_order_number: str = ""
    filler_order_number: str = ""
    urgency: Urgency = Urgency.ROUTINE
    reason: str = ""
    active: bool = True


class OrderSource(Protocol):
    """Somebody who can be asked what was ordered."""

    def orders(self, accession_number: str) -> Sequence[Order]:
        """Every order with an accession number; whose they are is for the caller to compare.

        Raises
        ------
        Unavailable
            The source cannot be asked now.
        Refused
            It does not answer this kind of question.
        """
