"""One request to a DICOMweb service (PS3.18) and its answer: introduced, bounded in time and size.

What goes wrong comes as an error of this library, and says nothing of a patient.
"""

import logging
import math
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from integrations.auth import Auth, NoAuth
from integrations.errors import Refused, Unavailable
from integrations.in_time import PATIENCE, InTime, within

# httpx logs every URL at INFO and httpcore at DEBUG
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

LARGEST_ANSWER = 64 << 20
"""Bytes of one answer; a thousand instances with all that an archive may add to each are a few MiB."""

_DICOM_JSON = "application/dicom+json"
_SLOWEST_BYTES_PER_S = 1 << 20
_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a request brings.

    Parameters
    ----------
    content_type
        Its media type.
    length
        Of all parts together, in bytes.
    parts
        The bytes, read while they are sent.
    """

    content_type: str
    length: int
    parts: Iterable[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the service answered, whole."""

    status: int
    headers: httpx.Headers
    body: bytes


class Dicomweb:
    """A service that is asked, each time on a connection of its own.

    One that was kept may have been ended by the service meanwhile, and a request on it would pass for one whose
    answer was lost. The token goes to the configured origin and nowhere else: every URL is made here, and
    redirects are not followed.

    Parameters
    ----------
    base_url
        The service's root, ``https://pacs.example/dicom-web``.
    auth
        How we introduce ourselves.
    connect_timeout_s, read_timeout_s
        Longest wait for the connection, and for each part of an answer; the whole exchange may take four times
        as long, and a second more for each MiB that is sent.
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
        tls: ssl.SSLContext | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._auth: Auth = auth if auth is not None else NoAuth()
        self._most_s = PATIENCE * read_timeout_s
        self._http = httpx.Client(
            timeout=httpx.Timeout(read_timeout_s, connect=connect_timeout_s),
            headers={"Accept": _DICOM_JSON},
            limits=httpx.Limits(max_keepalive_connections=0),
            follow_redirects=False,
            verify=tls if tls is not None else True,
            transport=transport,
            event_hooks={"request": [InTime(math.inf)]},  # how long depends on what is brought
        )

    def __str__(self) -> str:
        return urlsplit(self.base_url).hostname or "the archive"

    def get(self, url: str) -> Answer:
        """Ask for something; 200, or 204 for nothing (PS3.18 8.3.4.4).

        Raises
        ------
        Unavailable
            The service cannot be reached, or cannot answer now.
        Refused
            It does not answer this question (``DICOMWEB-404``).
        """
        return self._asked("GET", url, None, frozenset({200, 204}))

    def post(self, url: str, body: Body, *, expected: frozenset[int]) -> Answer:
        """Bring something, and return an answer with one of the expected statuses.

        Raises
        ------
        Unavailable
            The service cannot be reached, or cannot answer now.
        Refused
            It says no (``DICOMWEB-413``).
        """
        return self._asked("POST", url, body, expected)

    def _asked(self, method: str, url: str, body: Body | None, expected: frozenset[int]) -> Answer:
        headers, longest_s = self._introduced(), self._most_s
        if body is not None:
            headers |= {"Content-Type": body.content_type, "Content-Length": str(body.length)}
            longest_s += body.length / _SLOWEST_BYTES_PER_S
        content = None if body is None else body.parts
        try:
            with (
                within(longest_s),
                self._http.stream(method, url, headers=headers, content=content) as answer,
            ):
                # what it says beside a status that we do not expect may be its whole front page
                if answer.status_code not in expected:
                    self._raise(answer.status_code)
                return Answer(
                    status=answer.status_code, headers=answer.headers, body=self._read(answer)
                )
        except (httpx.TransportError, httpx.DecodingError) as error:
            # the cause is left out of the chain: its text may quote the URL
            raise Unavailable(f"{self}: {type(error).__name__}") from None

    def _introduced(self) -> dict[str, str]:
        authorization = self._auth.header()
        return {} if authorization is None else {"Authorization": authorization}

    def _read(self, answer: httpx.Response) -> bytes:
        body = bytearray()
        for part in answer.iter_bytes():
            body += part
            if len(body) > LARGEST_ANSWER:
                raise Refused("DICOMWEB-TOO-LARGE", f"{self}: {LARGEST_ANSWER} bytes and more")
        return bytes(body)

    def _raise(self, status: int) -> None:
        """Raise what an unexpected status means.

        Raises
        ------
        Unavailable
            The same request may work later.
        Refused
            It will not.
        """
        said = f"{self} answered {status}"
        if status in _TEMPORARY:
            raise Unavailable(said)
        raise Refused(f"DICOMWEB-{status}", said)
