import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from integrations.errors import Refused, Unavailable
from integrations.fhir.destination import FhirDestination
from tests.unit.integrations.fhir_server import client_of, fhir, searchset
from tests.unit.integrations.samples import REPORT

_STANDING = {
    "resourceType": "DiagnosticReport",
    "id": "7",
    "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:2.25.1300"}],
    "result": [{"reference": "Observation/8"}],
    "imagingStudy": [{"reference": "http://ehr.test/fhir/ImagingStudy/9"}],
}
_TYPES = ["DiagnosticReport", *["Observation"] * 3, "ImagingStudy", "Device", "Provenance"]


class Server:
    """Answers searches with what stands, and transactions with what it is given."""

    def __init__(self, answer: dict[str, Any] | httpx.Response, *standing: dict[str, Any]) -> None:
        self.answer = answer if isinstance(answer, httpx.Response) else fhir(answer)
        self.standing = standing
        self.bundles: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return searchset(*self.standing)
        self.bundles.append(json.loads(request.content))
        return self.answer


def _deliver(server: Server, report: Any = REPORT) -> Any:
    destination = FhirDestination(client_of(server))
    return destination.deliver(report, [], in_doubt=frozenset(), progress=lambda _uid, _state: None)


def _answered(*responses: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "entry": [{"response": one} for one in responses]}


def test_a_report_that_stands_is_not_written_again() -> None:
    server = Server(_answered(), _STANDING)
    receipt = _deliver(server)
    assert server.bundles == []
    assert receipt.references == ("DiagnosticReport/7", "Observation/8", "ImagingStudy/9")
    assert receipt.confirmed


def test_a_server_that_ignores_the_question_does_not_pass_for_one_that_has_it() -> None:
    other = {**_STANDING, "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:2.25.1"}]}
    server = Server(_answered({"status": "201", "location": "DiagnosticReport/1"}), other)
    _deliver(server)
    assert len(server.bundles) == 1


@pytest.mark.parametrize(
    "location",
    [
        "{type}/5",
        "{type}/5/_history/1",
        "http://ehr.test/fhir/{type}/5/_history/0af3",
        "/fhir/{type}/5/",
    ],
)
@pytest.mark.parametrize("status", ["201", "201 Created", "200 OK"])
def test_reads_the_answers_of_different_servers(location: str, status: str) -> None:
    answers = [{"status": status, "location": location.format(type=one)} for one in _TYPES]
    receipt = _deliver(Server(_answered(*answers)))
    assert receipt.references == tuple(f"{one}/5" for one in _TYPES)
    assert receipt.confirmed


def test_reads_references_from_the_resources_when_there_is_no_location() -> None:
    entries = [
        {"response": {"status": "201"}, "resource": {"resourceType": one, "id": "5"}}
        for one in _TYPES
    ]
    receipt = _deliver(Server({"resourceType": "Bundle", "entry": entries}))
    assert receipt.references[0] == "DiagnosticReport/5"


def test_asks_again_when_the_server_tells_no_references() -> None:
    server = Server(_answered(*({"status": "201"} for _ in _TYPES)))
    server.standing = ()
    with pytest.raises(Refused) as refused:
        _deliver(server)
    assert refused.value.reason == "EHR-LOST"

    def written(request: httpx.Request) -> httpx.Response:
        answer = server(request)
        server.standing = (_STANDING,) if server.bundles else ()
        return answer

    server.bundles.clear()
    receipt = FhirDestination(client_of(written)).deliver(
        REPORT, [], in_doubt=frozenset(), progress=lambda _uid, _state: None
    )
    assert receipt.references[0] == "DiagnosticReport/7"


def test_an_entry_that_failed_is_not_a_success() -> None:
    with pytest.raises(Refused) as refused:
        _deliver(Server(_answered({"status": "412 Precondition Failed"})))
    assert refused.value.reason == "EHR-412"


def test_several_matches_of_a_condition_are_refused() -> None:
    with pytest.raises(Refused) as refused:
        _deliver(Server(httpx.Response(412)))
    assert refused.value.reason == "EHR-412"


def test_the_loser_of_two_transactions_tries_again() -> None:
    with pytest.raises(Unavailable):
        _deliver(Server(httpx.Response(409)))


def test_without_a_verified_patient_nothing_is_even_asked() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request.method)

    with pytest.raises(Refused) as refused:
        FhirDestination(client_of(fail)).deliver(
            replace(REPORT, record_patient=None),
            [],
            in_doubt=frozenset(),
            progress=lambda _uid, _state: None,
        )
    assert refused.value.reason == "PATIENT-NOT-VERIFIED"


_OBSERVATION = {
    "resourceType": "Observation",
    "id": "8",
    "status": "preliminary",
    "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:2.25.1"}],
}
_STUDY = {
    "resourceType": "ImagingStudy",
    "id": "9",
    "status": "available",
    "meta": {"versionId": "4", "tag": [{"system": "urn:dicom:uid", "code": "urn:oid:2.25.2"}]},
    "identifier": [
        {"system": "urn:dicom:uid", "value": "urn:oid:2.25.1001"},
        {"value": "ACC-1"},
    ],
}


class Record:
    """Has the report, an Observation of somebody else that it points to, and its study."""

    def __init__(self, *answers: httpx.Response, gone: str | None = None) -> None:
        self.answers = list(answers)
        self.gone = gone
        self.bundles: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.bundles.append(json.loads(request.content))
            return self.answers.pop(0)
        path = request.url.path.removeprefix("/fhir/")
        if path == self.gone:
            return httpx.Response(404)
        standing: dict[str, dict[str, Any]] = {
            "Observation/8": _OBSERVATION,
            "ImagingStudy/9": _STUDY,
        }
        return fhir(standing[path]) if path in standing else searchset(_STANDING)


def _withdraw(record: Record) -> Any:
    return FhirDestination(client_of(record)).withdraw(REPORT, None, "IDENTITY-CORRECTED")


_DONE = fhir(_answered({"status": "200", "location": "DiagnosticReport/7"}))


def test_a_study_that_has_nothing_but_its_uid_loses_all_its_identifiers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(_STUDY, "identifier", _STUDY["identifier"][:1])  # type: ignore[index]
    record = Record(_DONE)
    _withdraw(record)
    assert "identifier" not in record.bundles[0]["entry"][1]["resource"]


def test_marks_what_we_wrote_in_the_version_that_was_read() -> None:
    record = Record(_DONE)
    receipt = _withdraw(record)
    assert receipt.references == ("DiagnosticReport/7", "ImagingStudy/9")
    (bundle,) = record.bundles
    requests = [entry["request"] for entry in bundle["entry"]]
    assert requests == [
        {"method": "PUT", "url": "DiagnosticReport/7"},
        {"method": "PUT", "url": "ImagingStudy/9", "ifMatch": 'W/"4"'},
    ]
    marked = [entry["resource"] for entry in bundle["entry"]]
    assert {one["status"] for one in marked} == {"entered-in-error"}
    # the next report of this study must not find the one that was wrong
    assert marked[1]["identifier"] == [{"value": "ACC-1"}]


def test_what_somebody_deleted_is_withdrawn() -> None:
    assert _withdraw(Record(_DONE, gone="ImagingStudy/9")).references == ("DiagnosticReport/7",)


def test_a_resource_that_was_changed_meanwhile_is_read_again() -> None:
    with pytest.raises(Unavailable):
        _withdraw(Record(httpx.Response(412)))


def test_a_server_that_lets_nobody_write_refuses() -> None:
    with pytest.raises(Refused) as refused:
        _withdraw(Record(httpx.Response(403)))
    assert refused.value.reason == "EHR-403"
