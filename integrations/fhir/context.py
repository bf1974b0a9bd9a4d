"""Ask a FHIR server about the patient of a study."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from integrations.context import RecordContext
from integrations.errors import NotVerified
from integrations.fhir.client import FhirClient, token
from integrations.fhir.matching import birth_date, contradiction
from integrations.fhir.wire import Resource
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
    """

    def __init__(self, client: FhirClient, identifier_systems: Mapping[str, str]) -> None:
        self._client = client
        self._identifier_systems = dict(identifier_systems)

    def context(
        self, patient: PatientIdentity, features: Sequence[str], at: date | datetime
    ) -> RecordContext:
        """Find and verify the patient, and read the features as they were at the study's time.

        Known features: ``age`` (completed years) and ``sex`` (a code value of CID 7455, scheme DCM).

        Raises
        ------
        NotVerified
            ``NO-IDENTIFIER-SYSTEM``, ``NO-PATIENT``, ``SEVERAL-PATIENTS``, ``PATIENT-INACTIVE``,
            ``BIRTH-DATE-UNKNOWN``, ``BIRTH-DATE-DIFFERS``, ``NAME-DIFFERS`` or ``SEX-DIFFERS``.
        Unavailable
            The server cannot be asked now.
        Refused
            The server does not allow it.
        """
        found = self._one(patient)
        reason = contradiction(found, patient)
        if reason is not None:
            raise NotVerified(reason, "the record's patient is not the study's")
        day = at.date() if isinstance(at, datetime) else at
        values: dict[str, UsedValue] = {}
        missing: dict[str, str] = {}
        for feature in features:
            answer = _read(feature, found, day)
            if isinstance(answer, UsedValue):
                values[feature] = answer
            else:
                missing[feature] = answer
        return RecordContext(
            patient=f"Patient/{found['id']}",
            patient_version=_version(found),
            values=values,
            missing=missing,
        )

    def _one(self, identity: PatientIdentity) -> Resource:
        """Give the one active patient with the study's identifier.

        Raises
        ------
        NotVerified
            There is none, or more than one.
        """
        system = self._identifier_systems.get(identity.issuer_of_patient_id or "")
        if system is None:
            raise NotVerified("NO-IDENTIFIER-SYSTEM", "no system is known for the issuer")
        matches = self._client.search("Patient", {"identifier": token(system, identity.patient_id)})
        # a lenient server ignores what it does not understand, and then everybody matches
        carriers = [one for one in matches if _carries(one, system, identity.patient_id)]
        if not carriers:
            raise NotVerified("NO-PATIENT", "no patient has the identifier")
        living = {one["id"]: one for one in map(self._survivor, carriers) if _is_current(one)}
        if not living:
            raise NotVerified("PATIENT-INACTIVE", "the patient's record is not in use")
        if len(living) > 1:
            raise NotVerified("SEVERAL-PATIENTS", "several patients have the identifier")
        return next(iter(living.values()))

    def _survivor(self, patient: Resource) -> Resource:
        """Follow a merged record once to the one that replaced it (FHIR R4 Patient.link)."""
        replacement = _replaced_by(patient)
        return patient if replacement is None else self._client.read(replacement)


def _carries(patient: Mapping[str, Any], system: str, value: str) -> bool:
    return any(
        (one.get("system"), one.get("value")) == (system, value)
        for one in patient.get("identifier", [])
    )


def _is_current(patient: Mapping[str, Any]) -> bool:
    return patient.get("active", True) is True and _replaced_by(patient) is None


def _replaced_by(patient: Mapping[str, Any]) -> str | None:
    for link in patient.get("link", []):
        if link.get("type") == "replaced-by":
            reference: str = link.get("other", {}).get("reference", "")
            return "/".join(reference.split("/")[-2:]) or None
    return None


def _version(patient: Mapping[str, Any]) -> str | None:
    version: str | None = patient.get("meta", {}).get("versionId")
    return version


def _source(patient: Mapping[str, Any]) -> str:
    version = _version(patient)
    reference = f"Patient/{patient['id']}"
    return reference if version is None else f"{reference}/_history/{version}"


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
        source=_source(patient),
        effective=day.isoformat(),
    )


def _sex(patient: Mapping[str, Any], day: date) -> UsedValue | str:
    value = _SEXES.get(patient.get("gender", "unknown"))
    if value is None:
        return "SEX-UNKNOWN"
    return UsedValue(
        feature="sex",
        concept=_SEX,
        value=value,
        unit=None,
        source=_source(patient),
        effective=day.isoformat(),
    )


_READERS: Mapping[str, Callable[[Mapping[str, Any], date], UsedValue | str]] = {
    "age": _age,
    "sex": _sex,
}
