"""A report and its context on a real FHIR server."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from integrations.auth import BearerToken
from integrations.destination import Receipt
from integrations.errors import NotVerified, Refused, Unavailable
from integrations.fhir.client import FhirClient
from integrations.fhir.context import FhirRecord
from integrations.fhir.destination import FhirDestination
from integrations.fhir.strategies import Strategy
from integrations.report import Report
from tests.peers import free_port
from tests.peers.cut import Stage, cut_wire, http
from tests.peers.sekmet import MRN_SYSTEM, Sekmet, running_sekmet
from tests.unit.integrations.samples import IDENTITY, ISSUER, colin, report

pytestmark = pytest.mark.peers

WRITTEN = ("DiagnosticReport", "Observation", "ImagingStudy", "Device", "Provenance")
AT = date(2026, 6, 1)


@pytest.fixture
def client(sekmet: Sekmet) -> Iterator[FhirClient]:
    sekmet.put(colin())
    with FhirClient(sekmet.base_url) as open_client:
        yield open_client


@pytest.fixture
def own() -> Report:
    """Give a report with identifiers that no earlier test has written, of a model of its own."""
    of = report(uuid4().int % 10**9)
    return replace(of, model=replace(of.model, device_uid=f"2.25.{uuid4().int}"))


def _deliver(client: FhirClient, of: Report) -> Receipt:
    destination = FhirDestination(client)
    return destination.deliver(of, [], in_doubt=frozenset(), progress=lambda _uid, _state: None)


def _more(sekmet: Sekmet, before: dict[str, int]) -> dict[str, int]:
    now = sekmet.counts(*WRITTEN)
    return {name: now[name] - before[name] for name in WRITTEN}


ONCE = {
    "DiagnosticReport": 1,
    "Observation": 4,
    "ImagingStudy": 1,
    "Device": 1,
    "Provenance": 1,
}
NOTHING = dict.fromkeys(WRITTEN, 0)


def test_writes_the_report_and_what_it_stands_on(
    sekmet: Sekmet, client: FhirClient, own: Report
) -> None:
    before = sekmet.counts(*WRITTEN)
    receipt = _deliver(client, own)
    assert _more(sekmet, before) == ONCE
    assert len(receipt.references) == 8
    written = sekmet.read(receipt.references[0])
    assert written["status"] == "preliminary"
    assert written["subject"] == {"reference": "Patient/colin"}
    volume = sekmet.read(written["result"][1]["reference"])
    assert volume["valueQuantity"]["value"] == pytest.approx(1502.3)
    assert volume["valueQuantity"]["code"] == "mL"
    assert sekmet.read(volume["device"]["reference"])["manufacturer"] == "Example"
    study = sekmet.read(written["imagingStudy"][0]["reference"])
    assert study["identifier"][0]["value"] == f"urn:oid:{own.study.study_instance_uid}"


def test_a_withdrawn_report_is_marked_with_all_that_we_wrote_and_nothing_else(
    sekmet: Sekmet, client: FhirClient, own: Report
) -> None:
    receipt = _deliver(client, own)
    before = sekmet.counts(*WRITTEN)
    withdrawn = FhirDestination(client).withdraw(own, receipt, "IDENTITY-CORRECTED")
    assert _more(sekmet, before) == dict.fromkeys(WRITTEN, 0)
    kinds = [one.split("/")[0] for one in withdrawn.references]
    assert kinds == ["DiagnosticReport", *["Observation"] * 4, "ImagingStudy"]
    for one in withdrawn.references:
        assert sekmet.read(one)["status"] == "entered-in-error"
    volume = sekmet.read(withdrawn.references[2])
    assert volume["valueQuantity"]["value"] == pytest.approx(1502.3)
    device = sekmet.search("Device", identifier=f"urn:dicom:uid|urn:oid:{own.model.device_uid}")
    assert [one["status"] for one in device] == ["active"]


def test_after_a_withdrawal_the_right_patient_gets_a_study_of_his_own(
    sekmet: Sekmet, client: FhirClient, own: Report
) -> None:
    receipt = _deliver(client, own)
    FhirDestination(client).withdraw(own, receipt, "IDENTITY-CORRECTED")
    right = sekmet.put({**colin(), "id": "right"})
    again = replace(
        own, result_set_uid=f"{own.result_set_uid}.1", record_patient=f"Patient/{right['id']}"
    )
    written = sekmet.read(_deliver(client, again).references[0])
    study = sekmet.read(written["imagingStudy"][0]["reference"])
    assert written["subject"] == study["subject"] == {"reference": "Patient/right"}
    assert (written["status"], study["status"]) == ("preliminary", "available")
    old = sekmet.read(receipt.references[0])
    assert (old["subject"]["reference"], old["status"]) == ("Patient/colin", "entered-in-error")


def test_a_study_that_somebody_else_wrote_is_left_alone(
    sekmet: Sekmet, client: FhirClient, own: Report
) -> None:
    uid = f"urn:oid:{own.study.study_instance_uid}"
    theirs = sekmet.create({
        "resourceType": "ImagingStudy",
        "identifier": [{"system": "urn:dicom:uid", "value": uid}],
        "status": "available",
        "subject": {"reference": "Patient/colin"},
    })
    FhirDestination(client).withdraw(own, _deliver(client, own), "IDENTITY-CORRECTED")
    left = sekmet.read(f"ImagingStudy/{theirs['id']}")
    assert (left["status"], left["identifier"][0]["value"]) == ("available", uid)


@pytest.mark.parametrize("stage", Stage, ids=[one.name for one in Stage])
def test_a_connection_cut_anywhere_leaves_one_report(
    sekmet: Sekmet, client: FhirClient, own: Report, stage: Stage
) -> None:
    before = sekmet.counts(*WRITTEN)
    lost = stage is not Stage.AFTER_RESPONSE
    with (
        cut_wire(sekmet.port, http, stage) as wire,
        FhirClient(f"http://127.0.0.1:{wire.port}/fhir") as broken,
        pytest.raises(Unavailable)
        if lost
        else suppress(Unavailable),  # the next request may meet it
    ):
        _deliver(broken, own)
    assert _more(sekmet, before) == (NOTHING if stage is Stage.BEFORE_LAST_BYTE else ONCE)
    receipt = _deliver(client, own)
    assert _more(sekmet, before) == ONCE
    there = None if stage is Stage.BEFORE_LAST_BYTE else "it was there already"
    assert receipt.remark == there


def test_two_at_the_same_moment_leave_one_report(
    sekmet: Sekmet, client: FhirClient, own: Report
) -> None:
    both_searched = threading.Barrier(2)

    class Meets(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.method == "POST":
                both_searched.wait(timeout=20)
            return super().handle_request(request)

    receipts: list[Receipt] = []

    def deliver() -> None:
        with FhirClient(sekmet.base_url, transport=Meets()) as one:
            receipts.append(_deliver(one, own))

    before = sekmet.counts(*WRITTEN)
    threads = [threading.Thread(target=deliver) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    more = _more(sekmet, before)
    assert {**more, "Provenance": 1} == ONCE
    assert more["Provenance"] in {1, 2}, "a Provenance has no identifier to look for"
    assert receipts[0].references[0] == receipts[1].references[0]


def test_a_revision_is_a_second_version_of_the_same_report(
    sekmet: Sekmet, client: FhirClient, own: Report
) -> None:
    before = sekmet.counts(*WRITTEN)
    first = _deliver(client, own)
    later = replace(
        own,
        result_set_uid=f"{own.result_set_uid}.1",
        issued=own.issued + timedelta(hours=1),
        predecessors=(own.result_set_uid,),
    )
    second = _deliver(client, later)
    assert second.references[0] == first.references[0]
    assert _more(sekmet, before) == {**ONCE, "Provenance": 2}
    report = sekmet.read(second.references[0])
    assert (report["status"], report["meta"]["versionId"]) == ("preliminary", "2")
    (trail,) = [
        one
        for one in sekmet.search("Provenance", target=second.references[0])
        if one["activity"]["coding"][0]["code"] == "UPDATE"
    ]
    assert trail["entity"][-1]["what"]["reference"] == f"{first.references[0]}/_history/1"
    assert _deliver(client, own).remark == "a newer result stands there"


def test_reports_of_two_models_share_the_study(
    sekmet: Sekmet, client: FhirClient, own: Report
) -> None:
    before = sekmet.counts(*WRITTEN)
    _deliver(client, own)
    other = replace(own.model, name="Another model", device_uid=f"2.25.{uuid4().int}")
    _deliver(client, replace(own, result_set_uid=f"{own.result_set_uid}.1", model=other))
    twice = {name: 2 * count for name, count in ONCE.items()}
    assert _more(sekmet, before) == {**twice, "ImagingStudy": 1}


@pytest.mark.parametrize("strategy", Strategy)
def test_every_strategy_writes_revises_and_withdraws(
    sekmet: Sekmet, client: FhirClient, own: Report, strategy: Strategy
) -> None:
    before = sekmet.counts(*WRITTEN)
    to = FhirDestination(client, strategy=strategy)
    later = replace(
        own, result_set_uid=f"{own.result_set_uid}.1", issued=own.issued + timedelta(hours=1)
    )
    receipts = [
        to.deliver(of, [], in_doubt=frozenset(), progress=lambda _uid, _state: None)
        for of in (own, own, later, later)
    ]
    assert _more(sekmet, before) == {**ONCE, "Provenance": 2}
    to.withdraw(later, None, "RETRACTED")
    report = sekmet.read(receipts[-1].references[0])
    assert report["status"] == "entered-in-error"
    states = {sekmet.read(one["reference"])["status"] for one in report["result"]}
    assert states == {"entered-in-error"}
    study = sekmet.read(report["imagingStudy"][0]["reference"])
    assert study["status"] == "available"


def test_nothing_is_written_when_one_resource_is_refused(
    sekmet: Sekmet, client: FhirClient, own: Report
) -> None:
    twins = {
        "resourceType": "Device",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{own.model.device_uid}"}],
    }
    sekmet.create(twins)
    sekmet.create(twins)
    before = sekmet.counts(*WRITTEN)
    with pytest.raises(Refused) as refused:
        _deliver(client, own)
    assert refused.value.reason == "EHR-412"
    assert set(_more(sekmet, before).values()) == {0}


def test_a_birth_date_that_differs_gives_nothing(sekmet: Sekmet, client: FhirClient) -> None:
    identifier = {"system": MRN_SYSTEM, "value": "MRN-1970"}
    sekmet.put({
        **colin(),
        "id": "differs",
        "identifier": [identifier],
        "birthDate": "1970-05-17",
    })
    record = FhirRecord(client, {ISSUER: MRN_SYSTEM})
    with pytest.raises(NotVerified) as refused:
        record.context(replace(IDENTITY, patient_id="MRN-1970"), ["age"], AT)
    assert refused.value.reason == "BIRTH-DATE-DIFFERS"


def test_a_merged_patient_is_found_under_the_old_number(sekmet: Sekmet, client: FhirClient) -> None:
    sekmet.put({
        **colin(),
        "id": "merged",
        "active": False,
        "identifier": [{"system": MRN_SYSTEM, "value": "MRN-OLD"}],
        "link": [{"other": {"reference": "Patient/colin"}, "type": "replaced-by"}],
    })
    record = FhirRecord(client, {ISSUER: MRN_SYSTEM})
    context = record.context(replace(IDENTITY, patient_id="MRN-OLD"), ["age"], AT)
    assert context.patient == "Patient/colin"


def test_reads_a_search_of_several_pages(sekmet: Sekmet, client: FhirClient) -> None:
    for number in range(5):
        sekmet.put({
            "resourceType": "Organization",
            "id": f"o{number}",
            "name": f"Ward {number}",
        })
    found = client.search("Organization", {"_count": "2"})
    assert sorted(one["id"] for one in found) == [f"o{number}" for number in range(5)]


def test_a_server_that_is_down_is_unavailable(own: Report) -> None:
    with FhirClient(f"http://127.0.0.1:{free_port()}/fhir") as down, pytest.raises(Unavailable):
        _deliver(down, own)


def test_a_server_wants_the_right_token(tmp_path: Path, own: Report) -> None:
    with running_sekmet(tmp_path, token="right") as server:
        server.put(colin())
        with FhirClient(server.base_url, auth=BearerToken("right")) as known:
            assert _deliver(known, own).confirmed
        with (
            FhirClient(server.base_url, auth=BearerToken("wrong")) as unknown,
            pytest.raises(Refused) as refused,
        ):
            _deliver(unknown, own)
    assert refused.value.reason == "EHR-401"
