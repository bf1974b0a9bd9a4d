"""A FHIR server in memory that behaves in the other ways: lenient, forgetful, terse.

It ignores search parameters that it does not know, gives no versions when told so, answers a transaction with
bare statuses and relative locations, and pages as it likes.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx

from integrations.fhir.wire import encode

Found = dict[str, Any]

Test = Callable[[Found, str], bool]


def _identifier(resource: Found, asked: str) -> bool:
    system, bar, value = asked.rpartition("|")
    return any(
        one.get("value") == value and (not bar or one.get("system") == system)
        for one in resource.get("identifier", [])
    )


def _code(resource: Found, asked: str) -> bool:
    concept = resource.get("code") or resource.get("medicationCodeableConcept") or {}
    known = {f"{one.get('system')}|{one.get('code')}" for one in concept.get("coding", [])}
    return bool(known & set(asked.split(",")))


def _patient(resource: Found, asked: str) -> bool:
    subject = resource.get("subject") or resource.get("patient") or {}
    return str(subject.get("reference", "")).endswith(f"Patient/{asked.rpartition('/')[-1]}")


SEARCHED: Mapping[str, Test] = {
    "identifier": _identifier,
    "code": _code,
    "patient": _patient,
}
"""The parameters that it knows; dates, counts and the order are not among them."""


@dataclass(slots=True)
class MemoryFhir:
    """A server behind httpx's transport.

    Parameters
    ----------
    keeps
        Resource types that it knows; None for all.
    heeds
        Names of the search parameters that it does not ignore.
    page
        Resources on one page.
    """

    base_url: str = "http://ehr.test/fhir"
    keeps: frozenset[str] | None = None
    heeds: frozenset[str] = frozenset(SEARCHED)
    page: int = 2
    resources: dict[str, Found] = field(default_factory=dict)
    """By reference."""

    def put(self, resource: Mapping[str, Any]) -> Found:
        """Keep a resource under its id, with a version that is no number."""
        version = {"versionId": f"v-{resource['id']}", **resource.get("meta", {})}
        kept = {**resource, "meta": version}
        self.resources[f"{resource['resourceType']}/{resource['id']}"] = kept
        return kept

    def count(self, resource_type: str) -> int:
        """How many resources of a type there are."""
        return sum(one["resourceType"] == resource_type for one in self.resources.values())

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        path = request.url.path.removeprefix("/fhir").strip("/")
        if request.method == "POST":
            sent = json.loads(request.content)
            return self._transaction(sent) if not path else self._create(sent)
        kind, _, name = path.partition("/")
        if self.keeps is not None and kind not in self.keeps:
            return httpx.Response(404)
        if name:
            known = self.resources.get(path)
            return _answer(known) if known else httpx.Response(404)
        return self._search(kind, request.url)

    def _search(self, kind: str, url: httpx.URL) -> httpx.Response:
        asked = parse_qsl(url.query.decode())
        begin = int(dict(asked).get("_from", "0"))
        matches = [
            one
            for one in self.resources.values()
            if one["resourceType"] == kind
            and all(SEARCHED[key](one, value) for key, value in asked if key in self.heeds)
        ]
        page: Found = {
            "resourceType": "Bundle",
            "type": "searchset",
            "entry": [{"resource": one} for one in matches[begin : begin + self.page]],
        }
        if begin + self.page < len(matches):
            rest = [(key, value) for key, value in asked if key != "_from"]
            following = httpx.QueryParams([*rest, ("_from", str(begin + self.page))])
            page["link"] = [{"relation": "next", "url": f"{kind}?{following}"}]
        return _answer(page)

    def _create(self, resource: Found) -> httpx.Response:
        kept = self.put({**resource, "id": f"made-{len(self.resources)}"})
        where = f"{kept['resourceType']}/{kept['id']}"
        return httpx.Response(201, headers={"Location": where})

    def _transaction(self, bundle: Found) -> httpx.Response:
        written = []
        for number, entry in enumerate(bundle["entry"], start=len(self.resources)):
            kept = self.put({**entry["resource"], "id": f"made-{number}"})
            written.append({
                "response": {"status": "201", "location": f"{kept['resourceType']}/{kept['id']}"}
            })
        return _answer({
            "resourceType": "Bundle",
            "type": "transaction-response",
            "entry": written,
        })


def _answer(resource: Found) -> httpx.Response:
    return httpx.Response(200, text=encode(resource))
