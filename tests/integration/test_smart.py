"""SMART Backend Services and the other ways in, on a real FHIR server."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey

from integrations.auth import Auth, BasicAuth
from integrations.errors import Refused
from integrations.fhir.client import FhirClient
from integrations.fhir.keys import SigningKey, key_set, read_key
from integrations.fhir.oauth import OAuthTokens, Proof, SharedSecret, SignedAssertion
from tests.peers.sekmet import Sekmet, running_sekmet

pytestmark = pytest.mark.peers


def _new(algorithm: str) -> SigningKey:
    rsa, ec = RSAKey.generate_key(2048), ECKey.generate_key("P-384")
    return read_key((rsa if algorithm == "RS384" else ec).as_pem(private=True).decode())


@dataclass(frozen=True, slots=True)
class Guarded:
    """A server that lets in who proves who they are, and what proves it."""

    server: Sekmet
    keys: dict[str, SigningKey]

    def tokens(self, proof: Proof, *, ahead_s: float = 0.0) -> OAuthTokens:
        return OAuthTokens(
            self.server.base_url, proof, ["system/*.rs"], wall=lambda: time.time() + ahead_s
        )

    def signed(self, client: str, key: SigningKey | None = None) -> SignedAssertion:
        return SignedAssertion(client, lambda: key or self.keys[client])

    def patients(self, auth: Auth) -> int:
        with FhirClient(self.server.base_url, auth=auth) as client:
            return len(client.search("Patient", {"identifier": "nobody"}))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    keys = {algorithm: _new(algorithm) for algorithm in ("RS384", "ES384")}
    clients: list[dict[str, object]] = [
        {"client_id": name, "jwks": key_set([key])} for name, key in keys.items()
    ]
    # of one kind: SEKMET tries every key, and fails itself on one of another kind
    keys["old"], keys["new"], keys["foreign"] = (_new("ES384") for _ in range(3))
    clients.append({"client_id": "rotating", "jwks": key_set([keys["old"], keys["new"]])})
    clients.append({"client_id": "secret", "client_secret": "s3cret"})
    auth = {
        "types": ["smart", "basic"],
        "smart_clients": clients,
        "users": {"overread": "pass"},
        "token_lifetime": 3600,
    }
    folder: Path = tmp_path_factory.mktemp("guarded")
    with running_sekmet(folder, auth=auth) as server:
        yield Guarded(server, keys)


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
def test_a_signed_assertion_opens(guarded: Guarded, algorithm: str) -> None:
    assert guarded.patients(guarded.tokens(guarded.signed(algorithm))) == 0


@pytest.mark.parametrize("key", ["old", "new"])
def test_both_keys_of_a_rotation_open(guarded: Guarded, key: str) -> None:
    proof = guarded.signed("rotating", guarded.keys[key])
    assert guarded.patients(guarded.tokens(proof)) == 0


def test_the_key_of_somebody_else_does_not(guarded: Guarded) -> None:
    with pytest.raises(Refused) as refused:
        guarded.patients(guarded.tokens(guarded.signed("ES384", guarded.keys["foreign"])))
    assert refused.value.reason == "TOKEN-INVALID-CLIENT"


@pytest.mark.parametrize("ahead_s", [-240, 240, 3600])
def test_a_clock_that_is_wrong_is_learnt_from_the_servers_date(
    guarded: Guarded, ahead_s: float
) -> None:
    assert guarded.patients(guarded.tokens(guarded.signed("ES384"), ahead_s=ahead_s)) == 0


def test_an_assertion_that_is_played_again_is_refused(guarded: Guarded) -> None:
    form = {}

    class Keeps(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.method == "POST":
                form["sent"] = (str(request.url), request.content)
            return super().handle_request(request)

    with httpx.Client(transport=Keeps()) as http:
        proof = guarded.signed("RS384")
        OAuthTokens(guarded.server.base_url, proof, [], http=http, wall=time.time).header()
    url, content = form["sent"]
    header = {"Content-Type": "application/x-www-form-urlencoded"}
    again = httpx.post(url, content=content, headers=header)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")


def test_a_token_that_is_not_taken_any_more_is_renewed_once(guarded: Guarded) -> None:
    auth = guarded.tokens(guarded.signed("ES384"))
    auth.header()
    auth._token = "taken.back.already"
    assert guarded.patients(auth) == 0


def test_a_client_secret_and_a_password_open(guarded: Guarded) -> None:
    assert guarded.patients(guarded.tokens(SharedSecret("secret", "s3cret"))) == 0
    assert guarded.patients(BasicAuth("overread", "pass")) == 0
    with pytest.raises(Refused) as refused:
        guarded.patients(BasicAuth("overread", "wrong"))
    assert refused.value.reason == "EHR-401"
