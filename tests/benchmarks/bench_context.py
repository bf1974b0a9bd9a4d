"""Twenty features of one patient, read from a real FHIR server: `make bench-context`."""

import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from integrations.context import Question, RecordContext
from integrations.fhir.client import FhirClient
from integrations.fhir.context import FhirRecord
from integrations.report import Coding, PatientIdentity
from tests.peers.sekmet import MRN_SYSTEM, Sekmet, running_sekmet

AT = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
LABS = {
    "2160-0": "umol/L",
    "718-7": "g/L",
    "777-3": "10*9/L",
    "6690-2": "10*9/L",
    "6301-6": "1",
    "48065-7": "ug/L",
    "89579-7": "ng/L",
    "1988-5": "mg/L",
    "2857-1": "ug/L",
    "30934-4": "ng/L",
    "2345-7": "mg/dL",
    "2524-7": "mmol/L",
}
"""LOINC codes of laboratory values, and the units in which they are written."""
DIAGNOSES = ("44054006", "38341003", "13645005")
IDENTITY = PatientIdentity(
    patient_id="BENCH-1",
    issuer_of_patient_id="EXAMPLE",
    patient_name="Muster^Erika",
    birth_date=date(1964, 8, 12),
    sex="F",
)
BOUND_S = 0.5
HISTORY = 30
"""Values of each laboratory test in the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was read, and the seconds of each reading."""

    context: RecordContext
    seconds: tuple[float, ...]
    requests: int


def questions() -> dict[str, Question]:
    """Give eighteen features; age and sex are the other two."""
    found = {
        code: Question(
            concept=Coding(code, "LN", code),
            resource="Observation",
            codes=((LOINC, code),),
            unit=unit,
            maximum_age_days=365,
        )
        for code, unit in LABS.items()
    }
    for code in DIAGNOSES:
        found[code] = _present("Condition", code)
    found["metformin"] = _present("MedicationRequest", "372567009")
    found["penicillin"] = _present("AllergyIntolerance", "91936005")
    found["surgery"] = _present("Procedure", "80146002")
    return found


def _present(resource: str, code: str) -> Question:
    return Question(concept=Coding(code, "SCT", code), resource=resource, codes=((SNOMED, code),))


def fill(server: Sekmet) -> None:
    """Put one patient with a history into a server, in one transaction."""
    patient = {
        "resourceType": "Patient",
        "id": "bench",
        "identifier": [{"system": MRN_SYSTEM, "value": IDENTITY.patient_id}],
        "name": [{"family": "Muster", "given": ["Erika"]}],
        "birthDate": "1964-08-12",
        "gender": "female",
    }
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
        for one in [patient, *_history()]
    ]
    server.transact(json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}))


def _history() -> list[dict[str, Any]]:
    subject = {"reference": "Patient/bench"}
    found: list[dict[str, Any]] = []
    for code, unit in LABS.items():
        for number in range(HISTORY):
            quantity = {"value": number + 1, "system": "http://unitsofmeasure.org", "code": unit}
            found.append({
                "resourceType": "Observation",
                "status": "final",
                "code": _code(LOINC, code),
                "subject": subject,
                "effectiveDateTime": (AT - timedelta(days=number + 1)).isoformat(),
                "valueQuantity": quantity,
            })
    for code in DIAGNOSES:
        known = {"code": _code(SNOMED, code), "onsetDateTime": "2015-01-01"}
        found.append({"resourceType": "Condition", "subject": subject, **known})
    drug = {"medicationCodeableConcept": _code(SNOMED, "372567009"), "intent": "order"}
    dated = {"status": "active", "authoredOn": "2026-01-01"}
    found.append({"resourceType": "MedicationRequest", "subject": subject, **drug, **dated})
    allergy = {"code": _code(SNOMED, "91936005"), "recordedDate": "2010-01-01"}
    found.append({"resourceType": "AllergyIntolerance", "patient": subject, **allergy})
    done = {"status": "completed", "performedDateTime": "2020-01-01"}
    found.append({
        "resourceType": "Procedure",
        "subject": subject,
        "code": _code(SNOMED, "80146002"),
        **done,
    })
    return [{**one, "id": f"bench-{number}"} for number, one in enumerate(found)]


def _code(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def measure(server: Sekmet, rounds: int) -> Measured:
    """Read the twenty features several times, each time as a job of its own."""
    asked: Mapping[str, Question] = questions()
    seconds = []
    requests = 0
    with FhirClient(server.base_url) as client:
        record = FhirRecord(client, {"EXAMPLE": MRN_SYSTEM})
        ask = client._ask

        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal requests
            requests += 1
            return ask(*arguments, **options)

        client._ask = counted  # type: ignore[method-assign] # to count them
        contexts = []
        for _ in range(rounds):
            begun = time.perf_counter()
            contexts.append(
                record.context(
                    IDENTITY, ["age", "sex", *asked], AT, questions=asked, accession_number="ACC-B"
                )
            )
            seconds.append(time.perf_counter() - begun)
    return Measured(context=contexts[-1], seconds=tuple(seconds), requests=requests // rounds)


def main() -> None:
    """Print a table, and one line of JSON at its end."""
    with tempfile.TemporaryDirectory() as folder, running_sekmet(Path(folder)) as server:
        fill(server)
        measured = measure(server, 30)
    ordered = sorted(measured.seconds)
    figures = {
        "features": len(measured.context.values),
        "requests": measured.requests,
        "median_s": round(statistics.median(ordered), 4),
        "p95_s": round(ordered[int(len(ordered) * 0.95)], 4),
        "worst_s": round(ordered[-1], 4),
        "bound_s": BOUND_S,
    }
    for name, value in figures.items():
        print(f"{name:12} {value}")
    print(json.dumps({"benchmark": "context", **figures}))


if __name__ == "__main__":
    main()
