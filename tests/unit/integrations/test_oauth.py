import json
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, KeySet, RSAKey

from integrations.errors import Refused, Unavailable
from integrations.fhir.keys import SigningKey, key_set, read_key
from integrations.fhir.oauth import OAuthTokens, SharedSecret, SignedAssertion

BASE, TOKENS = "https://ehr.test/fhir", "https://login.test/token"
NOW = 1_790_000_000.0
DATE = {"Date": "Mon, 21 Sep 2026 14:13:20 GMT"}
"""The moment of `NOW`."""


def pem(kind: str = "EC") -> str:
    key = ECKey.generate_key("P-384") if kind == "EC" else RSAKey.generate_key(2048)
    return key.as_pem(private=True).decode()


def weak_rsa() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return RSAKey.generate_key(1024).as_pem(private=True).decode()


EC, RSA = read_key(pem()), read_key(pem("RSA"))


class Endpoint:
    """A token endpoint that knows one key set and looks at every assertion as a strict one does."""

    def __init__(self, *keys: SigningKey, ahead_s: float = 0.0, date: bool = True) -> None:
        self.known, self.ahead_s, self.date = list(keys), ahead_s, date
        self.seen: set[str] = set()
        self.claims: list[dict[str, Any]] = []
        self.expires_in: object = 300

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("smart-configuration"):
            algorithms = ["ES384", "RS384"]
            told = {
                "token_endpoint": TOKENS,
                "token_endpoint_auth_signing_alg_values_supported": algorithms,
            }
            return httpx.Response(200, json=told)
        form = dict(httpx.QueryParams(request.content.decode()))
        keys = KeySet([one._key for one in self.known])
        try:
            token = jwt.decode(form["client_assertion"], keys, algorithms=["ES384", "RS384"])
        except (JoseError, ValueError):
            return self._no("invalid_client")
        self.claims.append(token.claims)
        now = NOW + self.ahead_s
        fresh = token.claims["jti"] not in self.seen
        self.seen.add(token.claims["jti"])
        if not fresh or not now < token.claims["exp"] <= now + 300 or token.claims["aud"] != TOKENS:
            return self._no("invalid_client")
        return httpx.Response(
            200,
            json={
                "access_token": f"token-{len(self.claims)}",
                "token_type": "Bearer",
                "expires_in": self.expires_in,
            },
        )

    def _no(self, error: str) -> httpx.Response:
        from email.utils import formatdate

        headers = {"Date": formatdate(NOW + self.ahead_s, usegmt=True)} if self.date else {}
        return httpx.Response(
            401, json={"error": error, "error_description": "Erika"}, headers=headers
        )


def tokens(answer: Callable[[httpx.Request], httpx.Response], key: SigningKey = EC) -> OAuthTokens:
    return OAuthTokens(
        BASE,
        SignedAssertion("overread", lambda: key),
        ["system/*.rs"],
        http=httpx.Client(transport=httpx.MockTransport(answer)),
        wall=lambda: NOW,
    )


@pytest.mark.parametrize("key", [EC, RSA], ids=lambda key: key.algorithm)
def test_a_token_is_fetched_once_and_used_until_it_ends(key: SigningKey) -> None:
    endpoint = Endpoint(key)
    auth = tokens(endpoint, key)
    assert [auth.header(), auth.header()] == ["Bearer token-1"] * 2
    (claims,) = endpoint.claims
    assert claims["iss"] == claims["sub"] == "overread"
    assert 0 < claims["exp"] - NOW <= 300


def test_every_assertion_is_another_one() -> None:
    endpoint = Endpoint(EC)
    auth = tokens(endpoint)
    for _ in range(3):
        auth.header()
        auth.forget()
    assert len(endpoint.seen) == 3


@pytest.mark.parametrize("ahead_s", [-240, -3600, 240, 86_400])
def test_a_wrong_clock_is_learnt_from_the_refusal(ahead_s: float) -> None:
    endpoint = Endpoint(EC, ahead_s=ahead_s)
    auth = tokens(endpoint)
    assert auth.header() == "Bearer token-2"
    auth.forget()
    auth.header()
    assert len(endpoint.claims) == 3, "it is borne in mind"


def test_a_wrong_clock_without_a_date_has_a_reason_of_its_own() -> None:
    with pytest.raises(Refused) as refused:
        tokens(Endpoint(EC, ahead_s=240, date=False)).header()
    assert refused.value.reason == "CLOCK-UNKNOWN"


def test_a_clock_that_is_right_is_not_blamed() -> None:
    endpoint = Endpoint(RSA)
    with pytest.raises(Refused) as refused:
        tokens(endpoint, EC).header()
    assert refused.value.reason == "TOKEN-INVALID-CLIENT"
    assert "Erika" not in str(refused.value)


def test_a_key_is_rotated_without_a_break() -> None:
    old, new = read_key(pem()), read_key(pem("RSA"))
    endpoint = Endpoint(old)
    inside = [old]
    auth = OAuthTokens(
        BASE,
        SignedAssertion("overread", lambda: inside[0]),
        [],
        http=httpx.Client(transport=httpx.MockTransport(endpoint)),
        wall=lambda: NOW,
    )
    auth.header()
    endpoint.known = [old, new]  # both are registered
    inside[0] = new
    auth.forget()
    assert auth.header() == "Bearer token-2"
    endpoint.known = [new]
    auth.forget()
    assert auth.header() == "Bearer token-3"


def test_a_client_secret_is_sent_by_basic() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"access_token": "t", "token_type": "bearer"})

    proof = SharedSecret("over:read", "s3cret")
    transport = httpx.MockTransport(answer)
    auth = OAuthTokens(
        BASE, proof, [], token_url=TOKENS, http=httpx.Client(transport=transport), wall=lambda: NOW
    )
    assert auth.header() == "Bearer t"
    assert asked[0].headers["authorization"] == "Basic b3ZlciUzQXJlYWQ6czNjcmV0"
    assert "s3cret" not in repr(proof)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, {"token_endpoint": "http://login.test/token"}, "SMART-NOT-OFFERED"),
        (200, {"token_endpoint": 7}, "SMART-NOT-OFFERED"),
        (404, {}, "SMART-NOT-OFFERED"),
        (
            200,
            {
                "token_endpoint": TOKENS,
                "token_endpoint_auth_signing_alg_values_supported": ["RS256"],
            },
            "SMART-ALGORITHM",
        ),
        (200, {"token_endpoint": TOKENS}, "TOKEN-NOT-UNDERSTOOD"),
    ],
)
def test_a_server_without_usable_tokens(status: int, body: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused) as refused:
        tokens(lambda _: httpx.Response(status, json=body)).header()
    assert refused.value.reason == reason


def test_a_token_server_that_is_away_is_unavailable_and_nothing_of_the_request_is_told() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"no route for {request.content!r}")

    with pytest.raises(Unavailable) as unavailable:
        OAuthTokens(
            BASE,
            SignedAssertion("overread", lambda: EC),
            [],
            token_url=TOKENS,
            http=httpx.Client(transport=httpx.MockTransport(away)),
            wall=lambda: NOW,
        ).header()
    assert "assertion" not in "".join(traceback.format_exception(unavailable.value))


def test_a_key_shows_only_its_public_half() -> None:
    assert '"d"' not in json.dumps(key_set([EC, RSA]))
    assert {key["alg"] for key in key_set([EC, RSA])["keys"]} == {"ES384", "RS384"}
    assert "PRIVATE" not in repr(EC) + repr(RSA)
    assert len({EC.key_id, RSA.key_id}) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no key",
        weak_rsa(),
        ECKey.generate_key("P-256").as_pem(private=True).decode(),
        ECKey.generate_key("P-384").as_pem(private=False).decode(),
    ],
)
def test_a_weak_or_public_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no private key in PEM"):
        read_key(text)
