"""Ask a FHIR server about the patient of a study."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from integrations.context import RecordContext
from integrations.fhir.client import FhirClient
from integrations.fhir.elements import source, text, version
from integrations.fhir.matching import birth_date
from integrations.fhir.patients import Patients
from integrations.report import Coding, PatientIdentity, UsedValue

_AGE = Coding("121033", "DCM", "Subject Age")
_SEX = Coding("121032", "DCM", "Subject Sex")
_YEAR = Coding("a", "UCUM", "year")
_SEXES = {"male": "M", "female": "F", "other": "121102"}
"""AdministrativeGender (FHIR R4) in code values of CID 7455, all of scheme DCM; ``unknown`` is not known."""


class FhirRecord:
    """The `Record` that is a FHIR R4 server.

    The patient is found by identifier and verified by birth date, name and sex; the server is never asked
    to match by resemblance.

    Parameters
    ----------
    client
        The server.
    identifier_systems
        FHIR ``identifier.system`` of each Issuer of Patient ID (0010,0021).
    accession_system
        ``identifier.system`` of accession numbers; None where only their type (``ACSN``) tells them.
    """

    def __init__(
        self,
        client: FhirClient,
        identifier_systems: Mapping[str, str],
        *,
        accession_system: str | None = None,
    ) -> None:
        self._patients = Patients(
            client=client,
            identifier_systems=dict(identifier_systems),
            accession_system=accession_system,
        )

    def context(
        self,
        patient: PatientIdentity,
        features: Sequence[str],
        at: date | datetime,
        *,
        accession_number: str | None = None,
    ) -> RecordContext:
        """Find and verify the patient, and read the features as they were at the study's time.

        Known features: ``age`` (completed years) and ``sex`` (a code value of CID 7455, scheme DCM).

        Raises
        ------
        NotVerified
            The reason says why (`Patients.find`).
        Unavailable
            The server cannot be asked now.
        Refused
            The server does not allow it.
        """
        found = self._patients.find(patient, accession_number)
        day = at.date() if isinstance(at, datetime) else at
        values: dict[str, UsedValue] = {}
        missing: dict[str, str] = {}
        for feature in features:
            answer = _read(feature, found.resource, day)
            if isinstance(answer, UsedValue):
                values[feature] = answer
            else:
                missing[feature] = answer
        return RecordContext(
            patient=found.reference,
            patient_version=version(found.resource),
            values=values,
            missing=missing,
        )


def _read(feature: str, patient: Mapping[str, Any], day: date) -> UsedValue | str:
    """Read a feature, or say why it is missing."""
    reader = _READERS.get(feature)
    return "FEATURE-NOT-SUPPORTED" if reader is None else reader(patient, day)


def _age(patient: Mapping[str, Any], day: date) -> UsedValue | str:
    born = birth_date(patient)
    if born is None or born > day:
        return "BIRTH-DATE-AFTER-STUDY"
    years = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    return UsedValue(
        feature="age",
        concept=_AGE,
        value=str(years),
        unit=_YEAR,
        source=source(patient),
        effective=day.isoformat(),
    )


def _sex(patient: Mapping[str, Any], day: date) -> UsedValue | str:
    value = _SEXES.get(text(patient, "gender"))
    if value is None:
        return "SEX-UNKNOWN"
    return UsedValue(
        feature="sex",
        concept=_SEX,
        value=value,
        unit=None,
        source=source(patient),
        effective=day.isoformat(),
    )


_READERS: Mapping[str, Callable[[Mapping[str, Any], date], UsedValue | str]] = {
    "age": _age,
    "sex": _sex,
}
