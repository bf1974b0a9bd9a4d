"""Whose message it is: PID, and MRG of a merge (HL7 v2.5.1 chapter 3)."""

from integrations.hl7.message import Message, MessageRefused, Segment, day, part
from integrations.order import PatientKey, Person

IDENTIFIERS, NAME, BORN, SEX, PRIOR = 3, 5, 7, 8, 1
"""PID-3, PID-5, PID-7, PID-8; MRG-1."""

_SEXES = {"M": "M", "F": "F", "O": "O", "A": "O"}
"""HL7 table 0001 in PS3.3 C.7.1.1; unknown and not applicable are not told."""

_OTHER_ALPHABETS = frozenset({"I", "P"})
"""In component 8 of an XPN: ideographic and phonetic names (HL7 table 0465)."""


def subject(message: Message) -> Segment:
    """Return the one PID of a message about one patient.

    Raises
    ------
    MessageRefused
        There is none, or more than one.
    """
    found = list(message.all("PID"))
    if len(found) != 1:
        text = "there is no PID" if not found else "there is more than one patient"
        place = "PID^1" if not found else "PID^2"
        raise MessageRefused(100, place, "PATIENT-MISSING" if not found else "PATIENTS", text)
    return found[0]


def keys(segment: Segment, field: int) -> tuple[PatientKey, ...]:
    """Every identifier in a field of type CX: CX-1 with CX-4.

    The authority is the namespace (CX-4.1), else the universal identifier (CX-4.2).

    Raises
    ------
    MessageRefused
        There is none.
    """
    found = []
    for components in segment.repetitions(field):
        number = part(components, 1, 1, segment.encoding)
        authority = part(components, 4, 1, segment.encoding) or part(
            components, 4, 2, segment.encoding
        )
        if number:
            found.append(PatientKey(patient_id=number, authority=authority or None))
    if not found:
        raise MessageRefused(
            101, segment.place(field), "PATIENT-MISSING", "it holds no identifier of a patient"
        )
    return tuple(dict.fromkeys(found))


def person(segment: Segment) -> Person:
    """Return who a PID says the patient is.

    Raises
    ------
    MessageRefused
        The birth date is none.
    """
    written = segment.text(BORN)
    born = day(written)
    if len(written) >= 8 and born is None:
        raise MessageRefused(102, segment.place(BORN), "BIRTH-DATE", "the birth date is no date")
    family, given = _name(segment)
    return Person(
        family=family,
        given=given,
        birth_date=born,
        sex=_SEXES.get(segment.text(SEX).upper()),
    )


def _name(segment: Segment) -> tuple[str, str]:
    """Family and given name of the first alphabetic repetition."""
    for components in segment.repetitions(NAME):
        if part(components, 8, 1, segment.encoding) not in _OTHER_ALPHABETS:
            return (
                part(components, 1, 1, segment.encoding),
                part(components, 2, 1, segment.encoding),
            )
    return "", ""
