"""Tokens of an OAuth 2.0 server: SMART Backend Services, or a client secret (RFC 6749 4.4)."""

import base64
import re
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Protocol
from urllib.parse import quote, urlsplit

import httpx

from integrations.errors import Refused, Unavailable
from integrations.fhir.elements import text, texts
from integrations.fhir.keys import SigningKey
from integrations.fhir.wire import Resource, decode
from integrations.in_time import InTime

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ERROR = re.compile(r"[a-z_]{1,40}")
_EARLY_S = 30.0
"""A token is not used in the last seconds of its life."""
_LIFETIME_S = 300
"""Of a token whose server does not say."""
_WRONG_CLOCK_S = 30.0
"""Clocks that differ by less are not why we were refused."""


class Proof(Protocol):
    """Proves to a token endpoint who we are."""

    @property
    def algorithm(self) -> str | None:
        """Of its signature; None when it signs nothing."""

    def given(self, token_url: str, now: float) -> tuple[dict[str, str], dict[str, str]]:
        """Give fields of the form, and headers."""


@dataclass(frozen=True, slots=True)
class SignedAssertion:
    """SMART Backend Services: a JWT signed with our key.

    Parameters
    ----------
    key
        Asked before each token, so that a key that is replaced in its file is used from then on.
    """

    client_id: str
    key: Callable[[], SigningKey] = field(repr=False)

    @property
    def algorithm(self) -> str:
        """The algorithm of the key, which the server must take."""
        return self.key().algorithm

    def given(self, token_url: str, now: float) -> tuple[dict[str, str], dict[str, str]]:
        """Give a new assertion."""
        signed = self.key().assertion(self.client_id, token_url, now)
        return {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": signed}, {}


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """A client secret, by HTTP Basic (RFC 6749 2.3.1); it is never shown."""

    client_id: str
    secret: str = field(repr=False)

    @property
    def algorithm(self) -> None:
        """Give none: nothing is signed."""
        return

    def given(self, token_url: str, now: float) -> tuple[dict[str, str], dict[str, str]]:
        """Give the secret."""
        pair = f"{quote(self.client_id, safe='')}:{quote(self.secret, safe='')}"
        return {}, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


class OAuthTokens:
    """An `Auth` that fetches tokens and renews them before they end.

    Parameters
    ----------
    base_url
        Service base URL of the FHIR server, which says where its tokens are
        (``.well-known/smart-configuration``).
    proof
        Who we are.
    scopes
        SMART scopes: ``system/Patient.rs``.
    token_url
        Where the tokens are; None to ask the server.
    http
        Carries the requests.
    wall
        Seconds since 1970, by our own clock.
    """

    def __init__(
        self,
        base_url: str,
        proof: Proof,
        scopes: Sequence[str],
        *,
        token_url: str | None = None,
        http: httpx.Client | None = None,
        wall: Callable[[], float],
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._proof = proof
        self._scopes = " ".join(scopes)
        self._token_url = token_url
        self._http = http if http is not None else carrier(10.0, None)
        self._wall = wall
        self._ahead_s = 0.0
        """How much the token endpoint's clock is ahead of ours."""
        self._lock = threading.Lock()
        self._token = ""
        self._until = 0.0

    def header(self) -> str:
        """Give the header, with a new token when the old one ends.

        Raises
        ------
        Unavailable
            The token server cannot be reached.
        Refused
            ``TOKEN-`` and its error, ``CLOCK-UNKNOWN``, ``SMART-NOT-OFFERED`` or ``SMART-ALGORITHM``.
        """
        with self._lock:
            if not self._token or time.monotonic() >= self._until:
                self._renew()
            return f"Bearer {self._token}"

    def forget(self) -> None:
        """Fetch another token next time: the server did not take this one."""
        with self._lock:
            self._token = ""

    def _renew(self) -> None:
        if self._token_url is None:
            self._token_url = self._discovered()
        answer = self._asked(self._token_url)
        if answer.status_code in {400, 401} and self._learns_the_time(answer):
            answer = self._asked(self._token_url)
        if answer.status_code != 200:
            raise self._refusal(answer)
        told = _json(answer)
        token, lifetime = text(told, "access_token"), told.get("expires_in", _LIFETIME_S)
        if not token or text(told, "token_type").lower() != "bearer":
            raise Refused("TOKEN-NOT-UNDERSTOOD", "the token endpoint gave no bearer token")
        known = isinstance(lifetime, int) and not isinstance(lifetime, bool) and lifetime > 0
        seconds = min(lifetime, 86_400) if known else _LIFETIME_S
        self._until = time.monotonic() + max(seconds - _EARLY_S, seconds / 2)
        self._token = token

    def _asked(self, token_url: str) -> httpx.Response:
        form, headers = self._proof.given(token_url, self._wall() + self._ahead_s)
        form = {"grant_type": "client_credentials", "scope": self._scopes, **form}
        answer = self._sent("POST", token_url, data=form, headers=headers)
        if answer.status_code in {408, 425, 429} or answer.status_code >= 500:
            raise Unavailable(f"{urlsplit(token_url).netloc} answered {answer.status_code}")
        return answer

    def _learns_the_time(self, answer: httpx.Response) -> bool:
        """Whether the server's clock explains why it refused us; then it is known from now on.

        Raises
        ------
        Refused
            ``CLOCK-UNKNOWN``: it may be the clock, and the server does not tell the time.
        """
        if self._proof.algorithm is None:
            return False
        try:
            theirs = parsedate_to_datetime(answer.headers["date"]).timestamp()
        except (KeyError, ValueError, TypeError, OverflowError):
            detail = "the token endpoint refused us and tells no time to compare our clock with"
            raise Refused("CLOCK-UNKNOWN", detail) from None
        ahead_s = theirs - self._wall()
        if abs(ahead_s - self._ahead_s) < _WRONG_CLOCK_S:
            return False
        self._ahead_s = ahead_s
        return True

    def _discovered(self) -> str:
        answer = self._sent("GET", f"{self._base_url}/.well-known/smart-configuration")
        if answer.status_code >= 500:
            raise Unavailable(f"{urlsplit(self._base_url).netloc} answered {answer.status_code}")
        told = _json(answer) if answer.status_code == 200 else {}
        url = text(told, "token_endpoint")
        secure = url.startswith("https://") or not self._base_url.startswith("https://")
        if not urlsplit(url).netloc or not secure:
            raise Refused("SMART-NOT-OFFERED", "the server names no token endpoint")
        taken = texts(told, "token_endpoint_auth_signing_alg_values_supported")
        if self._proof.algorithm is not None and taken and self._proof.algorithm not in taken:
            raise Refused("SMART-ALGORITHM", f"the server takes no {self._proof.algorithm}")
        return url

    def _sent(self, method: str, url: str, **parts: object) -> httpx.Response:
        try:
            return self._http.request(method, url, **parts)  # type: ignore[arg-type] # passed on
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # the cause is left out of the chain: its request has the assertion
            raise Unavailable(f"{urlsplit(url).netloc}: {type(error).__name__}") from None

    def _refusal(self, answer: httpx.Response) -> Refused:
        said = text(_json(answer), "error")
        code = said if _ERROR.fullmatch(said) else str(answer.status_code)
        where = urlsplit(str(answer.url)).netloc
        return Refused(f"TOKEN-{code.upper().replace('_', '-')}", f"{where} gave no token")


def carrier(timeout_s: float, tls: ssl.SSLContext | None) -> httpx.Client:
    """Give what carries the requests, with our certificates where there are some."""
    return httpx.Client(
        timeout=timeout_s,
        verify=tls if tls is not None else True,
        event_hooks={"request": [InTime(timeout_s)]},
    )


def _json(answer: httpx.Response) -> Resource:
    try:
        return decode(answer.content)
    except ValueError:
        return {}
