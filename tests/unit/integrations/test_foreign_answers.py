"""A server may answer anything: what comes of it is a result or a reason, and never another error."""

import json
import os
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.context import Question
from integrations.errors import IntegrationError, Refused, Unavailable
from integrations.fhir import exchange as exchange_module
from integrations.fhir.client import FhirClient
from integrations.fhir.context import FhirRecord
from integrations.fhir.oauth import OAuthTokens, SharedSecret
from integrations.report import Coding
from tests.unit.integrations.fhir_server import BASE, client_of
from tests.unit.integrations.samples import IDENTITY, ISSUER, colin

SYSTEM = "urn:oid:2.16.840.1.113883.19.5"
AT = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
CASES = int(os.environ.get("OVERREAD_CASES", "60"))
pytestmark = pytest.mark.timeout(120 + CASES)
KINDS = (
    "Patient", "Observation", "Condition", "Encounter", "ServiceRequest", "Consent",
    "MedicationRequest", "Procedure", "ImagingStudy", "Bundle", "OperationOutcome",
)  # fmt: skip
ELEMENTS = (
    "resourceType", "id", "meta", "security", "identifier", "system", "value", "name", "family", "given",
    "birthDate", "gender", "link", "other", "reference", "type", "active", "status", "code", "coding",
    "subject", "patient", "effectiveDateTime", "effectivePeriod", "start", "end", "valueQuantity", "unit",
    "component", "provision", "class", "policyRule", "scope", "period", "priority", "reasonCode", "entry",
    "resource", "search", "mode", "relation", "url", "onsetDateTime", "versionId", "display", "comparator",
    "clinicalStatus", "verificationStatus", "multipleBirthInteger", "text", "issue", "severity",
)  # fmt: skip
WORDS = (
    *KINDS, *ELEMENTS, SYSTEM, "MRN-4711", "Doe", "Colin", "1969-05-17", "male", "final", "active", "deny",
    "replaced-by", "Patient/colin", "Patient/colin/_history/1", "2160-0", "http://loinc.org", "mg/dL",
    "http://unitsofmeasure.org", "2026-05-01T08:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31", "next",
    f"{BASE}/Observation?page=2", "http://elsewhere.test/", "urn:uuid:", "//", "Patient/../..", "A", "",
)  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=12)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(ELEMENTS), inner, max_size=6)
    ),
    max_leaves=12,
)
RESOURCES = st.fixed_dictionaries(
    {"resourceType": st.sampled_from(KINDS)},
    optional={name: VALUES for name in ELEMENTS if name != "resourceType"},
)


def _of(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Give a resource that is of the patient, so that it is looked at, and wrong in anything else."""
    known = {
        "resourceType": st.just(kind),
        "subject": st.just({"reference": "Patient/colin"}),
        "patient": st.just({"reference": "Patient/colin"}),
        "code": st.just({"coding": [{"system": "http://loinc.org", "code": "2160-0"}]}) | VALUES,
        "status": st.sampled_from(["final", "active", "completed", "in-progress"]) | VALUES,
    }
    rest = {name: VALUES for name in ELEMENTS if name not in known}
    return st.fixed_dictionaries(known, optional=rest)


OURS = st.sampled_from(KINDS).flatmap(_of)
BODIES = (
    st.binary(max_size=200)
    | VALUES.map(lambda value: json.dumps(value).encode())
    | RESOURCES.map(lambda value: json.dumps(value).encode())
    | st.just(b"[" * 100_000)
    | st.just(b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","id":')
    | st.just(b'{"total": NaN}')
    | st.just(b'{"total": 1' + b"0" * 10_000 + b"}")
)
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 301, 400, 401, 404, 410, 418, 429, 500, 503])
TOLD = st.sampled_from(["access_token", "token_type", "expires_in", "error", "token_endpoint"])
QUESTIONS = {
    kind: Question(
        concept=Coding("1", "LN", "1"),
        resource=kind,
        codes=(("http://loinc.org", "2160-0"),),
        unit="umol/L" if kind == "Observation" else None,
        element="reason",
        maximum_age_days=90,
    )
    for kind in KINDS
}


def _tells_nothing(error: Exception) -> None:
    """Look that an error names no patient and no secret."""
    assert not [word for word in ("Colin", "4711", "1969", "s3cret") if word in str(error)]


def _asked(client: FhirClient) -> None:
    """Ask for everything; a reason is as good as an answer."""
    record = FhirRecord(client, {ISSUER: SYSTEM})
    for at in (AT, date(2026, 6, 1)):
        try:
            names = ["age", "sex", *QUESTIONS]
            context = record.context(
                IDENTITY, names, at, questions=QUESTIONS, accession_number="ACC"
            )
        except IntegrationError as error:
            _tells_nothing(error)
        else:
            assert set(context.values) | set(context.missing) == set(names)


@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(STATUSES, BODIES), min_size=1, max_size=6))
def test_any_answer_to_anything(answers: list[tuple[int, bytes]]) -> None:
    calls = iter(range(10_000))

    def answer(_: httpx.Request) -> httpx.Response:
        status, body = answers[next(calls) % len(answers)]
        return httpx.Response(status, content=body)

    with client_of(answer) as client:
        _asked(client)


@settings(max_examples=CASES * 2, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(OURS | RESOURCES, max_size=4),
    st.dictionaries(st.sampled_from(ELEMENTS), VALUES, max_size=3),
)
def test_any_resources_of_the_right_patient(
    resources: list[dict[str, Any]], changes: dict[str, Any]
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        kind = request.url.path.rsplit("/", 1)[-1]
        patient = {**colin(), **{k: v for k, v in changes.items() if k in {"meta", "link", "text"}}}
        found = [patient] if kind == "Patient" else resources
        entries = [{"resource": one} for one in found]
        bundle = {"resourceType": "Bundle", "entry": entries}
        return httpx.Response(200, content=json.dumps(bundle).encode())

    with client_of(answer) as client:
        _asked(client)


@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(STATUSES, BODIES, st.dictionaries(TOLD, VALUES))
def test_any_answer_of_a_token_endpoint(status: int, body: bytes, told: dict[str, Any]) -> None:
    content = json.dumps(told).encode() if told else body
    for token_url in (None, "http://login.test/token"):
        transport = httpx.MockTransport(lambda _: httpx.Response(status, content=content))
        auth = OAuthTokens(
            BASE,
            SharedSecret("overread", "s3cret"),
            [],
            token_url=token_url,
            http=httpx.Client(transport=transport),
            wall=lambda: 1_790_000_000.0,
        )
        try:
            assert auth.header().startswith("Bearer ")
        except IntegrationError as error:
            _tells_nothing(error)


def _reason(client: FhirClient) -> str:
    with client, pytest.raises(Refused) as refused:
        client.search("Observation", {"patient": "colin"})
    return refused.value.reason


@pytest.mark.parametrize("following", ["Observation?page=1", "Observation?patient=colin", "?"])
def test_pages_that_lead_in_a_circle_end(following: str) -> None:
    page = {"resourceType": "Bundle", "link": [{"relation": "next", "url": following}]}
    calls = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return httpx.Response(200, json=page)

    assert _reason(client_of(answer)) == "EHR-ENDLESS-SEARCH"
    assert len(calls) <= 3


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "_MOST_BYTES", 1 << 16)

    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            while True:
                yield b" " * 4096

    client = client_of(lambda _: httpx.Response(200, stream=Endless()))
    assert _reason(client) == "EHR-TOO-LARGE"


def test_an_answer_that_drips_ends_at_the_deadline() -> None:
    class Drips(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            while True:
                yield b" "

    client = client_of(lambda _: httpx.Response(200, stream=Drips()))
    with client, client.within(0.05), pytest.raises(Unavailable, match="took too long"):
        client.search("Observation", {})
