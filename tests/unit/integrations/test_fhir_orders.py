"""Requests as foreign servers give them: lenient ones, sensitive ones, those of nobody."""

from typing import Any

import httpx
import pytest

from integrations.fhir.orders import FhirOrders
from integrations.order import PatientKey, Urgency
from tests.unit.integrations.fhir_server import client_of, fhir, searchset

SYSTEM = "urn:accessions"
PATIENT = {
    "resourceType": "Patient",
    "id": "7",
    "identifier": [{"system": "urn:mrn", "value": "M1"}, {"value": "no system"}],
}


def request(**changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest",
        "id": "1",
        "status": "active",
        "intent": "order",
        "identifier": [{"system": SYSTEM, "value": "ACC42"}],
        "subject": {"reference": "Patient/7"},
        "priority": "stat",
        "reasonCode": [{"coding": [{"display": "Dyspnea"}]}],
        **changes,
    }


def orders_of(
    *requests: dict[str, Any], also: dict[str, dict[str, Any]] | None = None
) -> FhirOrders:
    known = {"Patient/7": PATIENT, **(also or {})}

    def answer(asked: httpx.Request) -> httpx.Response:
        path = asked.url.path.removeprefix("/fhir/")
        if path == "ServiceRequest":
            assert asked.url.params["identifier"] == f"{SYSTEM}|ACC42"
            return searchset(*requests)
        return fhir(known[path]) if path in known else httpx.Response(404)

    return FhirOrders(client_of(answer), SYSTEM)


def test_a_request_is_an_order() -> None:
    (order,) = orders_of(request()).orders("ACC42")
    assert order.patient == (PatientKey(patient_id="M1", authority="urn:mrn"),)
    assert (order.urgency, order.reason, order.active) == (Urgency.STAT, "Dyspnea", True)


@pytest.mark.parametrize(
    "changes",
    [
        {"identifier": [{"system": SYSTEM, "value": "ACC43"}]},
        {"identifier": [{"system": "urn:others", "value": "ACC42"}]},
        {"identifier": []},
        {"status": "entered-in-error"},
        {"subject": {"reference": "Patient/404"}},
        {"subject": {"reference": "Group/7"}},
        {"subject": {"reference": "https://elsewhere.example/fhir/Patient/7"}},
        {"subject": {"display": "somebody"}},
    ],
    ids=str,
)
def test_what_is_not_an_order_of_a_known_patient_is_left_out(changes: dict[str, Any]) -> None:
    assert orders_of(request(**changes)).orders("ACC42") == []


def test_a_revoked_request_is_not_active() -> None:
    (order,) = orders_of(request(status="revoked")).orders("ACC42")
    assert not order.active


@pytest.mark.parametrize(
    ("system", "code", "told"),
    [
        ("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "R", False),
        ("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "V", False),
        ("http://terminology.hl7.org/CodeSystem/v3-ActCode", "PSY", False),
        ("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "N", True),
    ],
)
def test_the_reason_of_a_sensitive_request_is_not_kept(system: str, code: str, told: bool) -> None:
    labelled = request(meta={"security": [{"system": system, "code": code}]})
    (order,) = orders_of(labelled).orders("ACC42")
    assert bool(order.reason) == told
    assert order.urgency is Urgency.STAT


@pytest.mark.parametrize(("subject", "urgency"), [("Patient/7", "STAT"), ("Patient/8", "ROUTINE")])
def test_the_request_behind_a_request_counts_when_it_is_the_same_patients(
    subject: str, urgency: str
) -> None:
    basis = request(id="2", subject={"reference": subject}, identifier=[])
    mine = request(priority="routine", basedOn=[{"reference": "ServiceRequest/2"}])
    (order,) = orders_of(mine, also={"ServiceRequest/2": basis}).orders("ACC42")
    assert order.urgency == urgency
