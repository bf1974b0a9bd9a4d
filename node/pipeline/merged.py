"""Who a study's patient is by now, where a feed said that his number gave way to another one."""

from collections.abc import Callable
from dataclasses import replace

from integrations.report import PatientIdentity
from node.core.orders import Patient

MergedTo = Callable[[str], Patient | None]
"""Returns, for a Study Instance UID, the number under which its patient is known now; None if it is its own."""


def not_merged(_: str) -> Patient | None:
    """Return None: nobody tells of merges."""
    return None


def known_as(patient: PatientIdentity, now: Patient | None) -> PatientIdentity:
    """Return the same patient under the number that he has now; birth date, name and sex stay the study's."""
    if now is None:
        return patient
    return replace(patient, patient_id=now.patient_id, issuer_of_patient_id=now.issuer or None)
