"""A FHIR server of a few lines, behind httpx's transport instead of a socket."""

from collections.abc import Callable
from typing import Any

import httpx

from integrations.fhir.client import FhirClient
from integrations.fhir.composition import Standing, Wishes, composed
from integrations.fhir.strategies import bundle as transaction
from integrations.fhir.wire import Resource, encode
from integrations.report import Report

BASE = "http://ehr.test/fhir"
Answer = Callable[[httpx.Request], httpx.Response]


def client_of(answer: Answer, **options: Any) -> FhirClient:
    """Give a client whose every request is answered by `answer`."""
    return FhirClient(BASE, transport=httpx.MockTransport(answer), **options)


def fhir(resource: dict[str, Any], status: int = 200) -> httpx.Response:
    """Answer with a resource."""
    return httpx.Response(status, text=encode(resource))


def searchset(*resources: dict[str, Any], following: str | None = None) -> httpx.Response:
    """Answer with one page of matches."""
    page: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"resource": one, "search": {"mode": "match"}} for one in resources],
    }
    if following is not None:
        page["link"] = [{"relation": "next", "url": following}]
    return fhir(page)


def bundle(report: Report, wishes: Wishes | None = None) -> Resource:
    """Give the transaction that writes a report of which nothing stands there yet."""
    nothing = Standing(head=None, former=None, study=None, members=(), find=lambda _: None)
    return transaction(composed(report, wishes or Wishes(), nothing))
