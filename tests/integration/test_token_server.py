"""Signed assertions at a token endpoint that others wrote, which believes nothing."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey

from integrations.errors import Refused
from integrations.fhir.keys import SigningKey, key_set, read_key
from integrations.fhir.oauth import OAuthTokens, SignedAssertion
from tests.peers.token_server import TokenServer, running_token_server

pytestmark = pytest.mark.peers

ALGORITHMS = ("RS384", "ES384")


def new(algorithm: str) -> SigningKey:
    rsa, ec = RSAKey.generate_key(2048), ECKey.generate_key("P-384")
    return read_key((rsa if algorithm == "RS384" else ec).as_pem(private=True).decode())


@dataclass(frozen=True, slots=True)
class Guarded:
    server: TokenServer
    keys: Mapping[str, SigningKey]

    def tokens(
        self,
        client: str,
        key: SigningKey | None = None,
        *,
        ahead_s: float = 0.0,
        http: httpx.Client | None = None,
    ) -> OAuthTokens:
        proof = SignedAssertion(client, lambda: key or self.keys[client])
        return OAuthTokens(
            "http://ehr.test/fhir",
            proof,
            ["system/*.rs"],
            token_url=self.server.token_url,
            http=http,
            wall=lambda: time.time() + ahead_s,
        )


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    keys = {name: new(name) for name in ALGORITHMS}
    keys |= {"before": new("ES384"), "after": new("RS384"), "foreign": new("ES384")}
    clients = [
        {"client_id": name, "token_endpoint_auth_signing_alg": name, "jwks": key_set([keys[name]])}
        for name in ALGORITHMS
    ]
    # no algorithm of its own: a key may be followed by one of another kind
    both = key_set([keys["before"], keys["after"]])
    clients.append({"client_id": "rotating", "jwks": both})
    with running_token_server(tmp_path_factory.mktemp("token"), clients) as server:
        yield Guarded(server, keys)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_both_algorithms_open(guarded: Guarded, algorithm: str) -> None:
    assert guarded.tokens(algorithm).header().startswith("Bearer ")


def test_every_token_has_an_assertion_of_its_own(guarded: Guarded) -> None:
    tokens = guarded.tokens("ES384")
    first = tokens.header()
    tokens.forget()
    assert tokens.header() != first


@pytest.mark.parametrize("key", ["before", "after"])
def test_both_keys_of_a_rotation_open(guarded: Guarded, key: str) -> None:
    assert guarded.tokens("rotating", guarded.keys[key]).header().startswith("Bearer ")


def test_the_key_of_somebody_else_does_not(guarded: Guarded) -> None:
    with pytest.raises(Refused) as refused:
        guarded.tokens("ES384", guarded.keys["foreign"]).header()
    assert refused.value.reason == "TOKEN-INVALID-CLIENT"


@pytest.mark.parametrize("ahead_s", [-240, 240, 3600])
def test_a_clock_that_is_wrong_is_learnt_from_the_servers_date(
    guarded: Guarded, ahead_s: float
) -> None:
    assert guarded.tokens("RS384", ahead_s=ahead_s).header().startswith("Bearer ")


def test_an_assertion_that_is_played_again_is_refused(guarded: Guarded) -> None:
    sent = []

    class Keeps(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            sent.append(request.read())
            return super().handle_request(request)

    with httpx.Client(transport=Keeps()) as http:
        guarded.tokens("RS384", http=http).header()
    header = {"Content-Type": "application/x-www-form-urlencoded"}
    again = httpx.post(guarded.server.token_url, content=sent[0], headers=header)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")


def test_an_assertion_that_has_ended_is_refused_by_name(guarded: Guarded) -> None:
    key = guarded.keys["ES384"]
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": key.assertion("ES384", guarded.server.token_url, time.time() - 3600),
    }
    answer = httpx.post(guarded.server.token_url, data=form)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
