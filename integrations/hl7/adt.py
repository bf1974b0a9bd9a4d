"""What an ADT message says of patients: A08 corrects one, A18 and A40 make one of two (chapter 3.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

from integrations.hl7.message import Message, MessageRefused, Segment
from integrations.hl7.patients import IDENTIFIERS, PRIOR, keys, person, subject
from integrations.order import PatientKey, Person

UPDATE, MERGES = "ADT^A08", frozenset({"ADT^A18", "ADT^A40"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientUpdate:
    """What a patient's data are now (A08).

    Parameters
    ----------
    patient
        His numbers.
    person
        Who he is said to be.
    """

    patient: tuple[PatientKey, ...]
    person: Person


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientMerge:
    """One number gives way to another: they were of one patient (A18, A40).

    Parameters
    ----------
    prior, surviving
        The number that is not used any more (MRG-1), and the one that is used instead (PID-3): of one
        authority.
    person
        Who the patient is said to be.
    """

    prior: PatientKey
    surviving: PatientKey
    person: Person


def update(message: Message) -> PatientUpdate:
    """Read an A08.

    Raises
    ------
    MessageRefused
        It names no patient, or more than one.
    """
    segment = subject(message)
    return PatientUpdate(patient=keys(segment, IDENTIFIERS), person=person(segment))


def merges(message: Message) -> tuple[PatientMerge, ...]:
    """Read an A18 or A40: pairs of PID and MRG, in their order.

    Raises
    ------
    MessageRefused
        A PID has no MRG or an MRG no PID, or a prior number has no single surviving one of its authority,
        or is that one.
    """
    found: list[PatientMerge] = []
    patient: Segment | None = None
    for segment in message.segments:
        if segment.name == "PID":
            _paired(patient)
            patient = segment
        elif segment.name == "MRG":
            if patient is None:
                raise MessageRefused(
                    100, f"PID^{segment.number}", "MERGE-UNPAIRED", "an MRG follows no PID"
                )
            found += _pairs(patient, segment)
            patient = None
    _paired(patient)
    if not found:
        raise MessageRefused(100, "PID^1", "MERGE-UNPAIRED", "there is no PID with an MRG")
    return tuple(found)


def _paired(patient: Segment | None) -> None:
    if patient is not None:
        text = "a PID is followed by no MRG"
        raise MessageRefused(100, f"MRG^{patient.number}", "MERGE-UNPAIRED", text)


def _pairs(patient: Segment, merged: Segment) -> list[PatientMerge]:
    surviving, who = keys(patient, IDENTIFIERS), person(patient)
    return [
        PatientMerge(prior=prior, surviving=_survivor(prior, surviving, merged), person=who)
        for prior in keys(merged, PRIOR)
    ]


def _survivor(prior: PatientKey, surviving: Sequence[PatientKey], merged: Segment) -> PatientKey:
    """Return the surviving number of the prior one's authority.

    Raises
    ------
    MessageRefused
        There is none, there are several, or it is the prior one itself.
    """
    same = [one for one in surviving if one.authority == prior.authority]
    place = merged.place(PRIOR)
    if len(same) != 1:
        text = (
            "PID-3 has no number of the authority of MRG-1"
            if not same
            else "PID-3 has several numbers of the authority of MRG-1"
        )
        raise MessageRefused(204, place, "MERGE-AMBIGUOUS", text)
    if same[0] == prior:
        raise MessageRefused(204, place, "MERGE-ITSELF", "a number is merged into itself")
    return same[0]
