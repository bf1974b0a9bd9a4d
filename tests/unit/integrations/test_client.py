import logging

import httpx
import pytest

from integrations.auth import BearerToken, NoAuth
from integrations.errors import Refused, Unavailable
from integrations.fhir.client import token
from tests.unit.integrations.fhir_server import client_of, fhir, searchset

_OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "not-found", "diagnostics": "Colin Doe, MRN-4711"}],
}


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_unavailable(status: int) -> None:
    with pytest.raises(Unavailable, match=str(status)):
        client_of(lambda _: httpx.Response(status)).read("Patient/1")


@pytest.mark.parametrize("status", [204, 302, 400, 401, 403, 404, 410, 412, 422, 501])
def test_what_stays_is_refused(status: int) -> None:
    with pytest.raises(Refused) as refused:
        client_of(lambda _: httpx.Response(status)).read("Patient/1")
    assert refused.value.reason == f"EHR-{status}"


def test_tells_codes_of_an_outcome_and_none_of_its_texts() -> None:
    with pytest.raises(Refused) as refused:
        client_of(lambda _: fhir(_OUTCOME, 404)).read("Patient/MRN-4711")
    assert refused.value.detail == "ehr.test answered 404 (error/not-found)"


@pytest.mark.parametrize("kind", [httpx.ConnectError, httpx.ReadTimeout, httpx.ReadError])
def test_a_broken_connection_is_unavailable(kind: type[httpx.TransportError]) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise kind("http://ehr.test/fhir/Patient?identifier=MRN-4711")

    with pytest.raises(Unavailable) as unavailable:
        client_of(fail).search("Patient", {"identifier": token("urn:x", "MRN-4711")})
    assert "MRN" not in str(unavailable.value)
    assert unavailable.value.__cause__ is None


def test_an_answer_that_is_not_json_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        client_of(lambda _: httpx.Response(200, text="<html>Doe</html>")).read("Patient/1")
    assert refused.value.reason == "EHR-NOT-FHIR"
    assert "Doe" not in str(refused.value)


def test_reads_all_pages_and_only_the_matches() -> None:
    included = {"resourceType": "Organization", "id": "o"}
    pages = {
        None: searchset({"resourceType": "Patient", "id": "1"}, included, following="?page=2"),
        "2": searchset(
            {"resourceType": "Patient", "id": "2"},
            _OUTCOME,
            following="http://ehr.test/fhir/Patient?page=3",
        ),
        "3": searchset({"resourceType": "Patient", "id": "3"}),
    }
    client = client_of(lambda request: pages[request.url.params.get("page")])
    found = client.search("Patient", {"birthdate": "1969"})
    assert [one["id"] for one in found] == ["1", "2", "3"]


def test_does_not_carry_its_token_to_somebody_else() -> None:
    client = client_of(lambda _: searchset(following="http://elsewhere.test/fhir/Patient?page=2"))
    with pytest.raises(Refused) as refused:
        client.search("Patient", {})
    assert refused.value.reason == "EHR-FOREIGN-LINK"


def test_a_search_that_never_ends_is_given_up() -> None:
    client = client_of(lambda _: searchset(following="http://ehr.test/fhir/Patient"))
    with pytest.raises(Refused) as refused:
        client.search("Patient", {})
    assert refused.value.reason == "EHR-ENDLESS-SEARCH"


def test_shows_its_token_to_the_server_and_to_nobody_else() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Authorization"))
        return searchset()

    client_of(answer, auth=BearerToken("s3cret")).search("Patient", {})
    client_of(answer, auth=NoAuth()).search("Patient", {})
    client_of(answer).search("Patient", {})
    assert seen == ["Bearer s3cret", None, None]
    assert "s3cret" not in repr(BearerToken("s3cret"))


def test_escapes_what_has_a_meaning_in_a_search() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["identifier"])
        return searchset()

    client_of(answer).search("Patient", {"identifier": token("urn:x", "a,b|c$d\\e&f=g")})
    assert asked == ["urn:x|a\\,b\\|c\\$d\\\\e&f=g"]


def test_no_number_of_a_patient_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client_of(lambda _: searchset()).search("Patient", {"identifier": token("urn:x", "MRN-4711")})
    assert "MRN-4711" not in caplog.text
