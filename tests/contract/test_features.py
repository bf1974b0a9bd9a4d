"""What a card asks of the record, from a real server and from one that ignores most of the question."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Protocol

import httpx
import pytest

from integrations.context import Question, RecordContext
from integrations.fhir.client import FhirClient
from integrations.fhir.context import FhirRecord, Terms
from integrations.report import Coding, PatientIdentity
from tests.peers.sekmet import MRN_SYSTEM, Sekmet
from tests.unit.integrations.memory_fhir import MemoryFhir

Resource = dict[str, Any]
AT = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
ACCESSIONS = "urn:oid:2.16.840.1.113883.19.7"
LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"
STATUS = "http://terminology.hl7.org/CodeSystem"
CREATININE = Question(
    concept=Coding("2160-0", "LN", "Creatinine"),
    resource="Observation",
    codes=((LOINC, "2160-0"),),
    unit="umol/L",
    molar_mass_g_mol=Decimal("113.12"),
    maximum_age_days=90,
)
SYSTOLIC = Question(
    concept=Coding("8480-6", "LN", "Systolic blood pressure"),
    resource="Observation",
    codes=((LOINC, "8480-6"),),
    panels=((LOINC, "85354-9"),),
    unit="mm[Hg]",
    maximum_age_days=30,
)
SMOKING = Question(
    concept=Coding("72166-2", "LN", "Tobacco smoking status"),
    resource="Observation",
    codes=((LOINC, "72166-2"),),
    maximum_age_days=3650,
)


def _present(resource: str, system: str, code: str, age: float | None = None) -> Question:
    concept = Coding(code, "SCT", code)
    return Question(
        concept=concept, resource=resource, codes=((system, code),), maximum_age_days=age
    )


DIABETES = _present("Condition", SNOMED, "44054006")
PENICILLIN = _present("AllergyIntolerance", SNOMED, "91936005")
METFORMIN = _present("MedicationRequest", SNOMED, "372567009", 365)
STATIN = _present("MedicationStatement", SNOMED, "372912004")
SURGERY = _present("Procedure", SNOMED, "80146002", 3650)
REPORT = _present("DiagnosticReport", LOINC, "24627-2", 3650)
PRIOR = _present("ImagingStudy", "http://dicom.nema.org/resources/ontology/DCM", "CT", 3650)
WARD = Question(concept=Coding("121", "99", "Class"), resource="Encounter")
URGENCY = Question(concept=Coding("1", "99", "P"), resource="ServiceRequest", element="priority")
REASON = Question(concept=Coding("2", "99", "R"), resource="ServiceRequest", element="reason")


class Server(Protocol):
    @property
    def base_url(self) -> str: ...
    def put(self, resource: Mapping[str, Any]) -> Mapping[str, Any]: ...


@pytest.fixture(params=["strict", "lenient", pytest.param("sekmet", marks=pytest.mark.peers)])
def server(request: pytest.FixtureRequest) -> Server:
    if request.param == "sekmet":
        real: Sekmet = request.getfixturevalue("sekmet")
        return real
    heeds = {"identifier", "patient", "code"} if request.param == "strict" else set()
    return MemoryFhir(heeds=frozenset(heeds), page=3)


class Person:
    """A patient of a test's own, and what the record holds of them."""

    made = 0

    def __init__(self, server: Server, **changes: Any) -> None:
        Person.made += 1
        self.server, self.id, self.count = server, f"feature{Person.made}", 0
        self.mrn = f"FEATURE{Person.made}"
        server.put({
            "resourceType": "Patient",
            "id": self.id,
            "identifier": [{"system": MRN_SYSTEM, "value": self.mrn}],
            "name": [{"family": "Muster", "given": ["Erika"]}],
            "birthDate": "1964-08-12",
            "gender": "female",
            **changes,
        })

    def has(self, resource_type: str, **elements: Any) -> str:
        self.count += 1
        made = {"resourceType": resource_type, "id": f"{self.id}-{self.count}"}
        owner = "patient" if resource_type in {"AllergyIntolerance", "Consent"} else "subject"
        self.server.put({**made, owner: {"reference": f"Patient/{self.id}"}, **elements})
        return made["id"]

    def lab(self, value: object, unit: str, when: str, **elements: Any) -> str:
        quantity = {"value": value, "unit": unit, "system": UCUM, "code": unit}
        return self.has("Observation", **{**_lab(when), "valueQuantity": quantity, **elements})

    def context(
        self, at: date | datetime = AT, terms: Terms | None = None, **questions: Question
    ) -> RecordContext:
        identity = PatientIdentity(
            patient_id=self.mrn,
            issuer_of_patient_id="EXAMPLE",
            patient_name="Muster^Erika",
            birth_date=date(1964, 8, 12),
            sex="F",
        )
        double = self.server if isinstance(self.server, MemoryFhir) else None
        transport = httpx.MockTransport(double) if double else None
        with FhirClient(self.server.base_url, transport=transport) as client:
            record = FhirRecord(
                client,
                {"EXAMPLE": MRN_SYSTEM},
                accession_system=ACCESSIONS,
                reading=terms or Terms(),
            )
            names = list(questions) or ["age"]
            return record.context(
                identity, names, at, questions=questions, accession_number=f"ACC{self.mrn}"
            )

    def told(self, question: Question, at: date | datetime = AT) -> str:
        """Give the value, or the reason why there is none."""
        context = self.context(at, x=question)
        return context.values["x"].value if context.values else context.missing["x"]


def _lab(when: str, code: str = "2160-0") -> Resource:
    return {
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "effectiveDateTime": when,
    }


def _code(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}


@pytest.fixture
def person(server: Server) -> Person:
    return Person(server)


def test_the_newest_value_before_the_study_is_taken_in_the_models_unit(person: Person) -> None:
    person.lab(1.5, "mg/dL", "2026-05-01T08:00:00+02:00")
    newest = person.lab(1.0, "mg/dL", "2026-06-01T11:59:00+02:00")
    person.lab(9.0, "mg/dL", "2026-06-01T12:01:00+02:00")
    person.lab(8.0, "mg/dL", "2026-06-01")
    value = person.context(creatinine=CREATININE).values["creatinine"]
    assert value.value == "88.4016973126"
    assert value.unit == Coding("umol/L", "UCUM", "umol/L")
    assert value.source.startswith(f"Observation/{newest}/_history/")
    assert value.effective == "2026-06-01T11:59:00+02:00"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "80"),
        ({"status": "amended"}, "80"),
        ({"status": "corrected"}, "80"),
        ({"status": "preliminary"}, "NOT-RECORDED"),
        ({"status": "cancelled"}, "NOT-RECORDED"),
        ({"status": "entered-in-error"}, "NOT-RECORDED"),
        ({"effectiveDateTime": "2026-03-05T08:00:00Z"}, "80"),
        ({"effectiveDateTime": "2026-03-01T08:00:00Z"}, "NOT-IN-TIME or NOT-RECORDED"),
        ({"effectiveDateTime": "2026-06-01"}, "NOT-IN-TIME"),
        ({"effectiveDateTime": "2026-05-31"}, "80"),
        ({"effectiveDateTime": "2026-05"}, "80"),
        ({"effectiveDateTime": "2026"}, "NOT-IN-TIME"),
        ({"valueQuantity": {"value": 5, "comparator": "<", "system": UCUM, "code": "umol/L"}}, "VALUE-BOUNDED"),
        ({"valueQuantity": {"value": 5, "unit": "umol/L"}}, "UNIT-NOT-KNOWN"),
        ({"valueQuantity": {"value": 5, "system": UCUM, "code": "mL"}}, "UNIT-NOT-KNOWN"),
        ({"valueQuantity": {"value": 5, "system": UCUM, "code": "[furlong]"}}, "UNIT-NOT-KNOWN"),
        ({"valueQuantity": None, "valueString": "80"}, "NO-VALUE"),
        ({"code": _code(LOINC, "718-7")}, "NOT-RECORDED"),
        ({"code": _code("urn:local", "2160-0")}, "NOT-RECORDED"),
        ({"meta": {"security": [{"system": f"{STATUS}/v3-Confidentiality", "code": "R"}]}}, "WITHHELD"),
        ({"meta": {"security": [{"system": f"{STATUS}/v3-ActCode", "code": "HIV"}]}}, "WITHHELD"),
        ({"meta": {"security": [{"system": f"{STATUS}/v3-Confidentiality", "code": "N"}]}}, "80"),
    ],
)  # fmt: skip
def test_what_counts_as_a_laboratory_value(
    person: Person, changes: Mapping[str, Any], told: str
) -> None:
    value = {"value": 80, "system": UCUM, "code": "umol/L"}
    elements = {**_lab("2026-05-30T08:00:00Z"), "valueQuantity": value, **changes}
    person.has("Observation", **{name: one for name, one in elements.items() if one is not None})
    # a server that heeds dates does not show what is too old
    assert person.told(CREATININE) in told.split(" or ")


def test_a_study_that_has_only_a_date_takes_nothing_of_its_own_day(person: Person) -> None:
    person.lab(80, "umol/L", "2026-06-01T00:30:00Z")
    assert person.told(CREATININE, date(2026, 6, 1)) == "NOT-IN-TIME"
    assert person.told(CREATININE, date(2026, 6, 2)) == "80"


def test_another_patients_value_is_no_answer(server: Server) -> None:
    person, other = Person(server), Person(server)
    other.lab(80, "umol/L", "2026-05-30T08:00:00Z")
    assert person.told(CREATININE) == "NOT-RECORDED"
    assert other.told(CREATININE) == "80"


def test_all_pages_are_read(person: Person) -> None:
    for day in range(1, 20):
        person.lab(day, "umol/L", f"2026-05-{day:02}T08:00:00Z")
    assert person.told(CREATININE) == "19"


def test_a_component_of_a_panel(person: Person) -> None:
    parts = [
        {
            "code": _code(LOINC, code),
            "valueQuantity": {"value": value, "system": UCUM, "code": "mm[Hg]"},
        }
        for code, value in (("8462-4", 80), ("8480-6", 120))
    ]
    person.has("Observation", **_lab("2026-05-30T08:00:00Z", "85354-9"), component=parts)
    assert person.told(SYSTOLIC) == "120"


def test_a_coded_value_with_its_scheme(person: Person) -> None:
    smoker = {"coding": [{"system": SNOMED, "code": "8517006", "display": "Ex-smoker"}]}
    person.has(
        "Observation", **_lab("2020-05-30T08:00:00Z", "72166-2"), valueCodeableConcept=smoker
    )
    value = person.context(smoking=SMOKING).values["smoking"]
    assert (value.value, value.coded) == ("8517006", Coding("8517006", "SCT", "Ex-smoker"))


ACTIVE = {"clinicalStatus": _code(f"{STATUS}/condition-clinical", "active")}
RESOLVED = {"clinicalStatus": _code(f"{STATUS}/condition-clinical", "resolved")}
SUSPECTED = {"verificationStatus": _code(f"{STATUS}/condition-ver-status", "provisional")}
KNOWN = {"code": _code(SNOMED, "44054006"), "onsetDateTime": "2015"}
PRESENT = "52101004"


@pytest.mark.parametrize(
    ("elements", "told"),
    [
        ({**KNOWN, **ACTIVE}, PRESENT),
        ({**KNOWN, **ACTIVE, "recordedDate": "2016-01-01"}, PRESENT),
        ({**KNOWN, **ACTIVE, "recordedDate": "2026-06-02"}, "NOT-IN-TIME"),
        ({**KNOWN, **RESOLVED}, "NOT-RECORDED"),
        ({**KNOWN, **ACTIVE, **SUSPECTED}, "NOT-RECORDED"),
        ({"code": KNOWN["code"], **ACTIVE}, "NOT-IN-TIME"),
        ({**KNOWN, **ACTIVE, "code": _code(SNOMED, "38341003")}, "NOT-RECORDED"),
    ],
)
def test_what_counts_as_a_diagnosis(person: Person, elements: Resource, told: str) -> None:
    person.has("Condition", **elements)
    assert person.told(DIABETES) == told


def test_the_other_types(person: Person) -> None:
    person.has("AllergyIntolerance", code=_code(SNOMED, "91936005"), recordedDate="2010-01-01")
    drug = {"intent": "order", "medicationCodeableConcept": _code(SNOMED, "372567009")}
    person.has("MedicationRequest", status="active", authoredOn="2026-02-01", **drug)
    person.has(
        "MedicationStatement",
        status="active",
        medicationCodeableConcept=_code(SNOMED, "372912004"),
        effectivePeriod={"start": "2024-01-01"},
    )
    done = {"status": "completed", "performedDateTime": "2020-01-01"}
    person.has("Procedure", code=_code(SNOMED, "80146002"), **done)
    person.has("DiagnosticReport", **_lab("2025-01-01", "24627-2"))
    modality = [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}]
    person.has(
        "ImagingStudy", status="available", started="2025-01-01T08:00:00Z", modality=modality
    )
    emergency = {"system": f"{STATUS}/v3-ActCode", "code": "EMER", "display": "emergency"}
    person.has(
        "Encounter", **{"class": emergency}, status="in-progress", period={"start": "2026-06-01T08:00:00Z"}
    )  # fmt: skip
    old = {"system": f"{STATUS}/v3-ActCode", "code": "IMP"}
    over = {"start": "2026-05-01T08:00:00Z", "end": "2026-05-03T08:00:00Z"}
    person.has("Encounter", **{"class": old}, status="finished", period=over)
    person.has(
        "ServiceRequest",
        status="active",
        intent="order",
        identifier=[{"system": ACCESSIONS, "value": f"ACC{person.mrn}"}],
        priority="stat",
        reasonCode=[{"coding": [{"system": SNOMED, "code": "25064002", "display": "Headache"}]}],
        authoredOn="2026-06-01T09:00:00Z",
    )
    context = person.context(
        penicillin=PENICILLIN, metformin=METFORMIN, statin=STATIN, surgery=SURGERY, report=REPORT,
        prior=PRIOR, ward=WARD, urgency=URGENCY, reason=REASON,
    )  # fmt: skip
    assert context.missing == {}
    told = {name: one.value for name, one in context.values.items()}
    assert told == {
        **dict.fromkeys(("penicillin", "metformin", "statin", "surgery", "report", "prior"), PRESENT),
        "ward": "EMER",
        "urgency": "S",
        "reason": "25064002",
    }  # fmt: skip


def test_without_an_order_there_is_no_priority(person: Person) -> None:
    assert person.told(URGENCY) == "NO-ORDER"


def test_labelled_resources_are_counted_and_a_site_may_allow_them(person: Person) -> None:
    label = {"security": [{"system": f"{STATUS}/v3-ActCode", "code": "PSY"}]}
    person.has("Condition", **KNOWN, **ACTIVE, meta=label)
    person.lab(80, "umol/L", "2026-05-30T08:00:00Z", meta=label)
    asked = {"diabetes": DIABETES, "creatinine": CREATININE}
    context = person.context(AT, None, **asked)
    assert (context.values, context.withheld) == ({}, 2)
    allowed = person.context(AT, Terms(labels_allowed=frozenset({"PSY"})), **asked)
    assert (set(allowed.values), allowed.withheld) == (set(asked), 0)


def _consent(provision: Resource, **changes: Any) -> Resource:
    scope = _code(f"{STATUS}/consentscope", "patient-privacy")
    category = [_code(LOINC, "59284-0")]
    policy = {"policyRule": _code(f"{STATUS}/v3-ActCode", "OPTIN")}
    return {
        "status": "active", "scope": scope, "category": category, "provision": provision, **policy, **changes
    }  # fmt: skip


OBSERVATIONS = {"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}
DENY: Resource = {"type": "deny"}


@pytest.mark.parametrize(
    ("consent", "missing"),
    [
        (_consent({"type": "permit"}), {}),
        (_consent(DENY), {"age": "WITHHELD", "lab": "CONSENT-DENIED", "dm": "CONSENT-DENIED"}),
        (_consent({**DENY, "class": [OBSERVATIONS]}), {"lab": "CONSENT-DENIED"}),
        (_consent({**DENY, "code": [_code(SNOMED, "44054006")]}), {"dm": "WITHHELD"}),
        (
            _consent({"type": "permit", "provision": [{**DENY, "class": [OBSERVATIONS]}]}),
            {"lab": "CONSENT-DENIED"},
        ),
        (
            _consent({"type": "permit"}, policyRule=_code(f"{STATUS}/v3-ActCode", "OPTOUT")),
            {"age": "WITHHELD", "lab": "CONSENT-DENIED", "dm": "CONSENT-DENIED"},
        ),
        (_consent(DENY, status="inactive"), {}),
        (_consent(DENY, scope=_code(f"{STATUS}/consentscope", "research")), {}),
    ],
)
def test_what_the_patient_denied_is_not_read(
    person: Person, consent: Resource, missing: Mapping[str, str]
) -> None:
    person.lab(80, "umol/L", "2026-05-30T08:00:00Z")
    person.has("Condition", **KNOWN, **ACTIVE)
    person.has("Consent", **consent)
    asked = {"lab": CREATININE, "dm": DIABETES}
    context = person.context(AT, None, **asked)
    age = person.context()
    assert {**age.missing, **context.missing} == missing
    ignored = person.context(AT, Terms(consents=False), **asked)
    assert ignored.missing == {}


def test_a_sensitive_patient_is_verified_and_not_read(server: Server) -> None:
    label = {"security": [{"system": f"{STATUS}/v3-Confidentiality", "code": "V"}]}
    person = Person(server, meta=label)
    context = person.context()
    assert context.patient == f"Patient/{person.id}"
    assert context.missing == {"age": "WITHHELD"}
