"""A FHIR R4 server's REST interface (FHIR R4 http), as far as we use it."""

import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from integrations.auth import Auth, NoAuth
from integrations.errors import Refused, Unavailable
from integrations.fhir.answers import Held, Written, answered, held
from integrations.fhir.wire import Resource, decode, encode

# httpx logs every URL at INFO and httpcore at DEBUG, and the URL of a search carries the patient's number.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

_FHIR_JSON = "application/fhir+json"
_MOST_PAGES = 100
_TEMPORARY = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""409 among them: two transactions met, and the loser may try again (FHIR R4 http, transaction)."""


class FhirClient:
    """Requests to one server; every failure comes as an error of this library, without patient data.

    Parameters
    ----------
    base_url
        The service base URL, ``https://ehr.example/fhir``.
    auth
        How we introduce ourselves.
    connect_timeout_s, read_timeout_s
        Longest wait for the connection, and for each part of an answer.
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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._auth: Auth = auth if auth is not None else NoAuth()
        self._http = httpx.Client(
            timeout=httpx.Timeout(read_timeout_s, connect=connect_timeout_s),
            headers={"Accept": _FHIR_JSON},
            follow_redirects=False,
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
        self._http.close()

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
        answer = self._request("GET", f"{self.base_url}/{reference}")
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
        answer = self._request(method, f"{self.base_url}/{path}", resource, extra)
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
        for _ in range(_MOST_PAGES):
            page = self._ask("GET", url)
            found += _matches(page, resource_type)
            following = self._next(page)
            if following is None:
                return found
            url = following
        raise Refused("EHR-ENDLESS-SEARCH", f"more than {_MOST_PAGES} pages of {resource_type}")

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

    def _ask(self, method: str, url: str, body: Resource | None = None) -> Resource:
        return self._decoded(self._request(method, url, body))

    def _decoded(self, answer: httpx.Response) -> Resource:
        try:
            return decode(answer.content)
        except ValueError:
            raise Refused("EHR-NOT-FHIR", f"{self._where()} did not answer in JSON") from None

    def _request(
        self,
        method: str,
        url: str,
        body: Resource | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        headers = {} if body is None else {"Content-Type": _FHIR_JSON, "Prefer": "return=minimal"}
        headers |= extra or {}
        authorization = self._auth.header()
        if authorization is not None:
            headers["Authorization"] = authorization
        content = None if body is None else encode(body).encode()
        try:
            answer = self._http.request(method, url, headers=headers, content=content)
        except httpx.TransportError as error:
            # the cause is left out of the chain: its text may quote the URL
            raise Unavailable(f"{self._where()}: {type(error).__name__}") from None
        except httpx.DecodingError:  # a compression that it does not keep to
            raise Refused("EHR-NOT-FHIR", f"{self._where()} answered what cannot be read") from None
        self._check(answer)
        return answer

    def _check(self, answer: httpx.Response) -> None:
        """Raise what an answer other than 200 and 201 means.

        Raises
        ------
        Unavailable
            The same request may work later.
        Refused
            It will not.
        """
        status = answer.status_code
        if status in {200, 201}:
            return
        said = f"{self._where()} answered {status}{_issues(answer)}"
        if status in _TEMPORARY:
            raise Unavailable(said)
        raise Refused(f"EHR-{status}", said)

    def _next(self, page: Resource) -> str | None:
        for link in page.get("link", []):
            if link.get("relation") == "next":
                url = httpx.URL(self.base_url + "/").join(link["url"])
                if (url.scheme, url.netloc) != _origin(self.base_url):
                    # the token must not follow a link to somebody else
                    raise Refused("EHR-FOREIGN-LINK", f"{self._where()} continues elsewhere")
                return str(url)
        return None

    def _where(self) -> str:
        return urlsplit(self.base_url).netloc


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
        entry["resource"]
        for entry in page.get("entry", [])
        if entry.get("search", {}).get("mode", "match") == "match"
        and entry.get("resource", {}).get("resourceType") == resource_type
    ]


def _issues(answer: httpx.Response) -> str:
    """Severity and code of an OperationOutcome's issues; its texts may name the patient."""
    try:
        outcome = decode(answer.content)
    except ValueError:
        return ""
    issues = outcome.get("issue", []) if outcome.get("resourceType") == "OperationOutcome" else []
    named = [f"{issue.get('severity')}/{issue.get('code')}" for issue in issues]
    return f" ({', '.join(dict.fromkeys(named))})" if named else ""
