"""Whether a Patient resource is the person whom the study names.

Names are compared by `integrations.fhir.names`; dates and sex are compared as they are. A doubt is a no:
nothing is read, nothing is written.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from integrations.fhir.elements import many, text
from integrations.fhir.names import same_name
from integrations.report import PatientIdentity

_SEX = {"M": "male", "F": "female", "O": "other"}
"""Patient's Sex (PS3.3 C.7.1.1) in the codes of AdministrativeGender (FHIR R4)."""


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
    # a twin shares birth date, family name and, before it is named, the first of its given names
    twin = _born_together(patient)
    if not same_name(many(patient, "name"), identity.patient_name, whole=twin):
        return "NAME-DIFFERS"
    if _sex_differs(text(patient, "gender"), identity.sex):
        return "SEX-DIFFERS"
    return None


def birth_date(patient: Mapping[str, Any]) -> date | None:
    """Birth date to the day; None when the record has none or only a month or year of it."""
    try:
        return date.fromisoformat(text(patient, "birthDate"))
    except ValueError:
        return None


def _sex_differs(gender: str, sex: str | None) -> bool:
    if sex is None or gender in {"", "unknown"}:
        return False
    return _SEX.get(sex) != gender


def _born_together(patient: Mapping[str, Any]) -> bool:
    return bool(patient.get("multipleBirthBoolean") or patient.get("multipleBirthInteger"))
