"""One request to a FHIR server and its answer: introduced, paced, bounded in time and size, and understood.

What goes wrong comes as an error of this library, and says nothing of a patient.
"""

import logging
import re
import ssl
from collections.abc import Mapping
from contextlib import closing
from urllib.parse import urlsplit

import httpx

from integrations.auth import Auth, NoAuth, Renewable
from integrations.errors import Refused, Unavailable
from integrations.fhir.elements import many, text
from integrations.fhir.pace import Pace
from integrations.fhir.wire import Resource, decode, encode
from integrations.in_time import PATIENCE, InTime

# httpx logs every URL at INFO and httpcore at DEBUG, and the URL of a search carries the patient's number.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

_FHIR_JSON = "application/fhir+json"
_MOST_BYTES = 32 << 20
"""Of one answer: a page of 200 resources has less than one megabyte."""
_MOST_ISSUES = 5
_CODE = re.compile(r"[a-z-]{1,40}")
_TEMPORARY = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""409 among them: two transactions met, and the loser may try again (FHIR R4 http, transaction)."""


class Exchange:
    """Requests to one server.

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
        self._auth: Auth = auth if auth is not None else NoAuth()
        self._pace = Pace(requests_per_s)
        self._in_time = InTime(PATIENCE * read_timeout_s)
        self._http = httpx.Client(
            timeout=httpx.Timeout(read_timeout_s, connect=connect_timeout_s),
            headers={"Accept": _FHIR_JSON},
            follow_redirects=False,
            verify=tls if tls is not None else True,
            transport=transport,
            event_hooks={"request": [self._in_time]},
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def where(self) -> str:
        """Host and port of the server, for what is said of it."""
        return urlsplit(self.base_url).netloc

    def request(
        self,
        method: str,
        url: str,
        body: Resource | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Return the answer to one request, 200 or 201.

        Parameters
        ----------
        extra
            Further headers.

        Raises
        ------
        Unavailable
            The server cannot be reached or cannot answer now.
        Refused
            It says no (``EHR-`` and its status), or answers what cannot be read.
        """
        answer = self._answered(method, url, body, extra)
        if answer.status_code == 401 and isinstance(self._auth, Renewable):
            # a token may end early: the server was started anew, or somebody took it back
            self._auth.forget()
            answer = self._answered(method, url, body, extra)
        self._check(answer)
        return answer

    def _answered(
        self, method: str, url: str, body: Resource | None, extra: Mapping[str, str] | None
    ) -> httpx.Response:
        self._pace.wait()
        headers = {} if body is None else {"Content-Type": _FHIR_JSON, "Prefer": "return=minimal"}
        headers |= extra or {}
        authorization = self._auth.header()
        if authorization is not None:
            headers["Authorization"] = authorization
        content = None if body is None else encode(body).encode()
        request = self._http.build_request(method, url, headers=headers, content=content)
        return self._received(request)

    def _received(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read its answer, neither for ever nor without end.

        Raises
        ------
        Unavailable
            It took too long, or the connection broke.
        Refused
            The answer is too large, or is not what its header says.
        """
        content = bytearray()
        try:
            answer = self._http.send(request, stream=True)
            with closing(answer):
                for part in answer.iter_bytes():
                    content += part
                    if len(content) > _MOST_BYTES:
                        raise Refused("EHR-TOO-LARGE", f"{self.where}: over {_MOST_BYTES} bytes")
                    if self._in_time.left_s() <= 0:
                        raise Unavailable(f"{self.where}: the answer took too long")
        except httpx.DecodingError:
            raise Refused("EHR-NOT-FHIR", f"{self.where}: the answer is not decoded") from None
        except (httpx.TransportError, httpx.InvalidURL) as error:
            # the cause is left out of the chain: its text may quote the URL
            raise Unavailable(f"{self.where}: {type(error).__name__}") from None
        return httpx.Response(answer.status_code, headers=_plain(answer), content=bytes(content))

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
        said = f"{self.where} answered {status}{_issues(answer)}"
        if status in _TEMPORARY:
            raise Unavailable(said)
        raise Refused(f"EHR-{status}", said)


def _plain(answer: httpx.Response) -> dict[str, str]:
    """Give the headers that still hold of what was read and decoded."""
    return {
        name: answer.headers[name]
        for name in ("date", "etag", "location", "retry-after")
        if name in answer.headers
    }


def _issues(answer: httpx.Response) -> str:
    """Severity and code of an OperationOutcome's issues; its texts may name the patient."""
    try:
        outcome = decode(answer.content)
    except ValueError:
        return ""
    if text(outcome, "resourceType") != "OperationOutcome":
        return ""
    issues = many(outcome, "issue")
    codes = [(text(issue, "severity"), text(issue, "code")) for issue in issues[:_MOST_ISSUES]]
    # both are codes of FHIR; what is none may be anything
    named = [f"{severity}/{code}" for severity, code in codes if _CODE.fullmatch(severity + code)]
    return f" ({', '.join(dict.fromkeys(named))})" if named else ""
