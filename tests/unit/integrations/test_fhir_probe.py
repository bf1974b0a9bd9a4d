"""A FHIR server that lacks each thing, and what its administrator is told."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from integrations.fhir.probe import CONTEXT, ORDERS, RESULTS, probe, probe_write
from integrations.probe import Probe
from tests.unit.integrations.fhir_server import client_of, fhir, searchset

NEEDS = CONTEXT.and_also(RESULTS).and_also(ORDERS)
Change = Callable[[dict[str, Any]], object]


def statement() -> dict[str, Any]:
    """Return what a server says that has everything."""
    resources = [
        {
            "type": kind,
            "interaction": [{"code": code} for code in codes],
            "searchParam": [{"name": name} for name in NEEDS.searches.get(kind, ())],
            "conditionalCreate": True,
        }
        for kind, codes in NEEDS.interactions.items()
    ]
    server = {"mode": "server", "interaction": [{"code": "transaction"}], "resource": resources}
    return {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": [server]}


def server(said: dict[str, Any], found: httpx.Response | None = None) -> dict[str, Probe]:
    def answer(asked: httpx.Request) -> httpx.Response:
        if asked.url.path.endswith("/metadata"):
            return fhir(said)
        return found if found is not None else searchset()

    return {one.name: one for one in probe(client_of(answer), NEEDS)}


def of(said: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in said["rest"][0]["resource"] if one["type"] == kind)
    return found


def test_a_server_that_has_everything_is_told_nothing() -> None:
    probes = server(statement())
    assert {one.passed for one in probes.values()} == {True}
    assert {one.change for one in probes.values()} == {""}


LACKING: dict[str, tuple[Change, str, str]] = {
    "version": (lambda s: s.update(fhirVersion="5.0.0"), "metadata", "an R4 service"),
    "no version": (lambda s: s.pop("fhirVersion"), "metadata", "an R4 service"),
    "transaction": (
        lambda s: s["rest"][0].update(interaction=[]),
        "transaction",
        "offer transaction",
    ),
    "conditional create": (
        lambda s: of(s, "Observation").update(conditionalCreate=False),
        "conditional create",
        "offer conditional create of Observation",
    ),
    "create": (
        lambda s: of(s, "Provenance").update(interaction=[]),
        "interactions",
        "offer to the client of this node Provenance: create",
    ),
    "a type": (
        lambda s: s["rest"][0]["resource"].remove(of(s, "ServiceRequest")),
        "interactions",
        "ServiceRequest: read, search-type; ServiceRequest: search by identifier",
    ),
    "a search": (
        lambda s: of(s, "Patient").update(searchParam=[{"name": "name"}]),
        "interactions",
        "Patient: search by identifier",
    ),
    "everything": (lambda s: s.update(rest="none"), "interactions", "Patient: read, search-type"),
}


@pytest.mark.parametrize("what", LACKING)
def test_what_a_server_lacks_is_told(what: str) -> None:
    change, name, told = LACKING[what]
    said = statement()
    change(said)
    lacking = server(said)[name]
    assert lacking.passed is False
    assert told in lacking.change


@pytest.mark.parametrize(
    ("found", "name", "told"),
    [
        (httpx.Response(401), "token", "a token or key that the server knows"),
        (httpx.Response(403), "read", "scope system/Patient.rs"),
        (httpx.Response(503), "read", "start the service"),
        (searchset({"resourceType": "Patient", "id": "1"}), "read", "it ignores the parameter"),
    ],
    ids=["401", "403", "503", "everybody"],
)
def test_a_search_that_is_not_answered_is_told(found: httpx.Response, name: str, told: str) -> None:
    failed = server(statement(), found)[name]
    assert failed.passed is False
    assert told in failed.change


class Writable:
    """A server that takes Devices, as well or as badly as it is told."""

    def __init__(self, *, conditional: bool = True, updates: bool = True, refuses: int = 0) -> None:
        self.devices: list[dict[str, Any]] = []
        self.conditional, self.updates, self.refuses = conditional, updates, refuses

    def __call__(self, asked: httpx.Request) -> httpx.Response:
        if asked.method == "GET":
            return searchset(*self.devices)
        if self.refuses:
            return httpx.Response(self.refuses)
        (entry,) = json.loads(asked.content)["entry"]
        if entry["request"]["method"] == "PUT":
            if self.updates:
                self.devices = [entry["resource"]]
        elif not (self.conditional and self.devices):
            made = {**entry["resource"], "id": str(len(self.devices)), "meta": {"versionId": "1"}}
            self.devices.append(made)
        return fhir({"resourceType": "Bundle", "type": "transaction-response"})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, ""),
        ({"conditional": False}, "make conditional create (ifNoneExist) work"),
        ({"updates": False}, "let an update with ifMatch in a transaction change a resource"),
        ({"refuses": 403}, "allow create and update of Device"),
        ({"refuses": 422}, "allow create and update of Device"),
    ],
    ids=str,
)
def test_a_write_and_its_withdrawal_are_seen_to_work(options: dict[str, Any], told: str) -> None:
    server = Writable(**options)
    tried = probe_write(client_of(server), "check-1")
    assert bool(tried.passed) == (told == "")
    assert told in tried.change
    if tried.passed:
        assert [one["status"] for one in server.devices] == ["entered-in-error"]
