"""A FHIR R4 server's REST interface (FHIR R4 http), as far as we use it."""

import ssl
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

import httpx

from integrations.auth import Auth
from integrations.errors import Refused
from integrations.fhir.answers import Held, Written, answered, held
from integrations.fhir.elements import many, one, text
from integrations.fhir.exchange import Exchange
from integrations.fhir.wire import Resource, decode
from integrations.in_time import within

_MOST_PAGES = 100

NOT_OFFERED = frozenset(f"EHR-{status}" for status in (400, 403, 404, 405, 501))
"""Reasons of a search for something that a server does not keep, or does not show to us."""


class FhirClient:
    """Requests to one server; every failure comes as an error of this library, without patient data.

    Parameters
    ----------
    base_url
        The service base URL, ``https://ehr.example/fhir``.
    auth
        How we introduce ourselves.
    connect_timeout_s, read_timeout_s
        Longest wait for the connection, and for each part of an answer; the whole of it may take four times as
        long.
    requests_per_s
        So many at the most; None for as many as there are.
    tls
        Our certificate and the authorities that we trust; None for the system's authorities.
    transport
        What carries the requests instead of the network; None for the network.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth | None = None,
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 30.0,
        requests_per_s: float | None = None,
        tls: ssl.SSLContext | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._exchange = Exchange(
            self.base_url,
            auth=auth,
            connect_timeout_s=connect_timeout_s,
            read_timeout_s=read_timeout_s,
            requests_per_s=requests_per_s,
            tls=tls,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._exchange.close()

    def read(self, reference: str) -> Resource:
        """Read one resource (``Patient/123``).

        Raises
        ------
        Unavailable
            The server cannot be reached or cannot answer now.
        Refused
            It has no such resource (``EHR-404``), or does not give it.
        """
        return self._ask("GET", f"{self.base_url}/{reference}")

    def hold(self, reference: str) -> Held:
        """Read one resource together with its version.

        Raises
        ------
        Unavailable
            The server cannot be reached or cannot answer now.
        Refused
            It has no such resource (``EHR-404``, ``EHR-410``), or does not give it.
        """
        answer = self._exchange.request("GET", f"{self.base_url}/{reference}")
        return held(reference, self._decoded(answer), answer.headers.get("ETag"))

    def write(
        self, method: str, path: str, resource: Resource, *, if_match: str | None = None
    ) -> Written:
        """Create (``POST Observation``) or update (``PUT Observation/7``) one resource (FHIR R4 http).

        Parameters
        ----------
        if_match
            The version that the update takes the place of, as an entity tag; None for whichever there is.

        Raises
        ------
        Unavailable
            The server cannot be reached or cannot answer now.
        Refused
            It will not take it: ``EHR-412`` when another version stands there meanwhile.
        """
        extra = {} if if_match is None else {"If-Match": if_match}
        answer = self._exchange.request(method, f"{self.base_url}/{path}", resource, extra)
        return answered(answer.headers.get("Location"), answer.content)

    def search(self, resource_type: str, parameters: Mapping[str, str]) -> list[Resource]:
        """Every match of a search, all pages of it.

        Parameters
        ----------
        parameters
            Search parameters; values are already escaped where a comma or bar is meant literally.

        Raises
        ------
        Unavailable
            The server cannot be reached or cannot answer now.
        Refused
            It does not allow the search, or its pages do not end or lead to another server.
        """
        url = f"{self.base_url}/{resource_type}?{httpx.QueryParams(dict(parameters))}"
        found: list[Resource] = []
        seen: set[str] = set()
        while len(seen) < _MOST_PAGES and url not in seen:
            seen.add(url)
            page = self._ask("GET", url)
            found += _matches(page, resource_type)
            following = self._next(page)
            if following is None:
                return found
            url = following
        raise Refused("EHR-ENDLESS-SEARCH", f"the pages of {resource_type} do not end")

    def transact(self, bundle: Resource) -> Resource:
        """Send a transaction bundle: all of it, or nothing (FHIR R4 http, transaction).

        Raises
        ------
        Unavailable
            The server cannot be reached, cannot answer now, or met another transaction (409). Whether it
            has committed is then unknown.
        Refused
            It will not take the bundle, as ``EHR-412`` when a condition has several matches.
        """
        return self._ask("POST", self.base_url, bundle)

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Bound all requests of a block together: those that are late are `Unavailable`."""
        return within(seconds)

    def _ask(self, method: str, url: str, body: Resource | None = None) -> Resource:
        return self._decoded(self._exchange.request(method, url, body))

    def _decoded(self, answer: httpx.Response) -> Resource:
        try:
            return decode(answer.content)
        except ValueError:
            raise Refused(
                "EHR-NOT-FHIR", f"{self._exchange.where} did not answer in JSON"
            ) from None

    def _next(self, page: Resource) -> str | None:
        for link in many(page, "link"):
            if text(link, "relation") == "next":
                try:
                    url = httpx.URL(self.base_url + "/").join(text(link, "url"))
                except httpx.InvalidURL:
                    raise Refused("EHR-NOT-FHIR", f"{self._exchange.where}: no link") from None
                if (url.scheme, url.netloc) != _origin(self.base_url):
                    # the token must not follow a link to somebody else
                    raise Refused("EHR-FOREIGN-LINK", f"{self._exchange.where} continues elsewhere")
                return str(url)
        return None


def token(system: str, value: str) -> str:
    r"""Write a token search value; ``\``, ``,``, ``|`` and ``$`` are escaped (FHIR R4 search, 3.1.1.5.7)."""
    escaped = value
    for mark in "\\,|$":
        escaped = escaped.replace(mark, "\\" + mark)
    return f"{system}|{escaped}"


def _origin(url: str) -> tuple[str, bytes]:
    parsed = httpx.URL(url)
    return parsed.scheme, parsed.netloc


def _matches(page: Resource, resource_type: str) -> list[Resource]:
    """Leave out what was included and an OperationOutcome about the search."""
    return [
        one(entry, "resource")
        for entry in many(page, "entry")
        if text(one(entry, "search"), "mode") in {"", "match"}
        and text(one(entry, "resource"), "resourceType") == resource_type
    ]
