"""Ask a FHIR server about the patient of a study."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from integrations.context import NOTHING_ELSE, Question, RecordContext
from integrations.fhir.client import FhirClient
from integrations.fhir.elements import source, text, version
from integrations.fhir.features import WITHHELD, Reading
from integrations.fhir.matching import birth_date
from integrations.fhir.patients import Patients
from integrations.report import Coding, PatientIdentity, UsedValue

_AGE = Coding("121033", "DCM", "Subject Age")
_SEX = Coding("121032", "DCM", "Subject Sex")
_YEAR = Coding("a", "UCUM", "year")
_SEXES = {"male": "M", "female": "F", "other": "121102"}
"""AdministrativeGender (FHIR R4) in code values of CID 7455, all of scheme DCM; ``unknown`` is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On which terms a record is read.

    Parameters
    ----------
    timeout_s
        Longest time for all questions of one study together.
    labels_allowed
        Sensitivity labels whose resources may be used all the same.
    consents
        Whether the patients' Consents are asked for and heeded.
    """

    timeout_s: float = 20.0
    labels_allowed: frozenset[str] = frozenset()
    consents: bool = True


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
    reading
        On which terms it is read.
    """

    def __init__(
        self,
        client: FhirClient,
        identifier_systems: Mapping[str, str],
        *,
        accession_system: str | None = None,
        reading: Terms = Terms(),
    ) -> None:
        self._client = client
        self._terms = reading
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
        questions: Mapping[str, Question] = NOTHING_ELSE,
        accession_number: str | None = None,
    ) -> RecordContext:
        """Find and verify the patient, and read the features as they were at the study's time.

        ``age`` (completed years) and ``sex`` (a code value of CID 7455, scheme DCM) are the patient's own; what
        the other features are, the questions say.

        Raises
        ------
        NotVerified
            The reason says why (`Patients.find`).
        Unavailable
            The server cannot be asked now.
        Refused
            The server does not allow it.
        """
        with self._client.within(self._terms.timeout_s):
            found = self._patients.find(patient, accession_number)
            reading = Reading(
                client=self._client,
                patient=found,
                at=at,
                labels_allowed=self._terms.labels_allowed,
            )
            if features and self._terms.consents:
                reading.heed_consents()
            asked = {name: questions[name] for name in features if name in questions}
            answers = reading.answers(asked)
        own = [name for name in features if name not in asked]
        if own:
            answers |= _own(own, reading)
        return RecordContext(
            patient=found.reference,
            patient_version=version(found.resource),
            values={name: one for name, one in answers.items() if isinstance(one, UsedValue)},
            missing={name: one for name, one in answers.items() if isinstance(one, str)},
            withheld=len(reading.withheld),
        )


def _own(features: Sequence[str], reading: Reading) -> dict[str, UsedValue | str]:
    """Read the patient's own features, where the Patient resource itself may be used."""
    patient, at = reading.patient.resource, reading.at
    if not reading.may_use(patient):
        return dict.fromkeys(features, WITHHELD)
    day = at.date() if isinstance(at, datetime) else at
    return {name: _read(name, patient, day) for name in features}


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
