"""Whether a Patient resource is the person whom the study names.

Two systems spell one person differently, so names are compared by what is left without case, diacritics and
punctuation; dates and sex are compared as they are. A doubt is a no: nothing is read, nothing is written.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from integrations.report import PatientIdentity

_SEX = {"M": "male", "F": "female", "O": "other"}
"""Patient's Sex (PS3.3 C.7.1.1) in the codes of AdministrativeGender (FHIR R4)."""

_SPELT = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "å": "a", "ı": "i"})
_SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
"""The custom of systems that knew no diacritics: ``MUELLER`` is ``Müller``."""

_ALPHABETIC_MARKS = range(0x0300, 0x0370)
"""Combining Diacritical Marks. Marks of other scripts make another letter: か is not が."""


def contradiction(patient: Mapping[str, Any], identity: PatientIdentity) -> str | None:
    """Reason code of the first thing that speaks against a match; None when nothing does.

    Parameters
    ----------
    patient
        A Patient resource.
    identity
        Whom the study names.

    Returns
    -------
    str or None
        ``BIRTH-DATE-UNKNOWN`` (on either side, or not to the day), ``BIRTH-DATE-DIFFERS``,
        ``NAME-DIFFERS``, ``SEX-DIFFERS``.
    """
    born = birth_date(patient)
    if born is None or identity.birth_date is None:
        return "BIRTH-DATE-UNKNOWN"
    if born != identity.birth_date:
        return "BIRTH-DATE-DIFFERS"
    if not _same_name(patient.get("name", []), identity.patient_name):
        return "NAME-DIFFERS"
    if _sex_differs(patient.get("gender"), identity.sex):
        return "SEX-DIFFERS"
    return None


def birth_date(patient: Mapping[str, Any]) -> date | None:
    """Birth date to the day; None when the record has none or only a month or year of it."""
    try:
        return date.fromisoformat(patient.get("birthDate", ""))
    except ValueError:
        return None


def _sex_differs(gender: str | None, sex: str | None) -> bool:
    if sex is None or gender in {None, "unknown"}:
        return False
    return _SEX.get(sex) != gender


def _same_name(human_names: Sequence[Mapping[str, Any]], patient_name: str) -> bool:
    """Whether any component group of a DICOM name (PS3.5 6.2.1) is any of the record's names."""
    ours = list(_spellings(patient_name))
    return any(
        _same_person_name(family, given, name) for name in human_names for family, given in ours
    )


def _spellings(patient_name: str) -> Iterator[tuple[str, str]]:
    """Family and given names of each component group: alphabetic, ideographic, phonetic."""
    for group in patient_name.split("="):
        family, given, middle, *_ = [*group.split("^"), "", "", ""]
        if family.strip() or given.strip():
            yield family, f"{given} {middle}"


def _same_person_name(family: str, given: str, name: Mapping[str, Any]) -> bool:
    if not name.get("family"):
        text = _forms(name.get("text", ""))
        return bool(text & (_forms(given + family) | _forms(family + given)) - {""})
    same_family = bool(_forms(family) & _forms(name["family"]) - {""})
    return same_family and _same_given(given, " ".join(name.get("given", [])))


def _same_given(ours: str, theirs: str) -> bool:
    """Compare given names; second names may be left out on either side, because they often are."""
    if _forms(ours) & _forms(theirs):
        return True
    pairs = list(zip(_words(ours), _words(theirs), strict=False))
    return bool(pairs) and all(_forms(one) & _forms(other) for one, other in pairs)


def _words(text: str) -> list[str]:
    return [word for word in text.replace("-", " ").split() if _forms(word) != {""}]


def _forms(text: str) -> set[str]:
    """Both ways of writing a name without diacritics, letters only."""
    folded = unicodedata.normalize("NFC", text).casefold()
    return {_letters(folded.translate(_SPELT)), _letters(folded.translate(_SPELT_OUT))}


def _letters(text: str) -> str:
    """Leave out diacritics, spaces, hyphens, apostrophes and every other punctuation."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_SPELT))
    return "".join(
        letter
        for letter in decomposed
        if ord(letter) not in _ALPHABETIC_MARKS and unicodedata.category(letter)[0] in "LMN"
    )
