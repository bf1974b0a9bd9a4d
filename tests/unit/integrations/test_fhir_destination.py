"""A report at an EHR that does everything in the other way, by each strategy, cut off anywhere."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from integrations.destination import Receipt
from integrations.errors import IntegrationError, Refused, Unavailable
from integrations.fhir.capability import judged
from integrations.fhir.composition import Kind, Notice, Wishes
from integrations.fhir.destination import FhirDestination
from integrations.fhir.strategies import Strategy
from integrations.report import Report
from tests.peers.ehr import OtherEhr, Refusal, html
from tests.unit.integrations.fhir_server import client_of
from tests.unit.integrations.samples import NO_LESION, REPORT

WHOLE = Wishes(task=True, critical=frozenset({"Brain"}), notice=Notice.FLAG, leave_out=frozenset())
ONE_OF_EVERYTHING = {
    "DiagnosticReport": 1,
    "Observation": 4,
    "ImagingStudy": 1,
    "Device": 1,
    "Task": 1,
    "Flag": 1,
    "Provenance": 1,
}
REVISION = replace(
    REPORT,
    result_set_uid="2.25.1399",
    issued=REPORT.issued + timedelta(hours=1),
    findings=(REPORT.findings[0],),
    predecessors=("2.25.1300",),
)


def ehr_for(strategy: Strategy) -> OtherEhr:
    """Give an EHR that can do no more than a strategy needs."""
    return OtherEhr(
        conditional=strategy is Strategy.TRANSACTION,
        transactions="whole" if strategy is Strategy.TRANSACTION else "none",
        chooses_ids=strategy is not Strategy.PUT,
    )


def destination(
    answer: Callable[[httpx.Request], httpx.Response], **options: Any
) -> FhirDestination:
    return FhirDestination(client_of(answer), **{"wishes": WHOLE, **options})


def deliver(to: FhirDestination, report: Report = REPORT) -> Receipt:
    return to.deliver(report, [], in_doubt=frozenset(), progress=lambda _uid, _state: None)


def counts(ehr: OtherEhr) -> dict[str, int]:
    return {name: ehr.count(name) for name in ONE_OF_EVERYTHING}


every_strategy = pytest.mark.parametrize("strategy", Strategy)


@every_strategy
def test_the_statement_of_a_server_decides_how_it_is_written_to(strategy: Strategy) -> None:
    ehr = ehr_for(strategy)
    receipt = deliver(destination(ehr))
    assert receipt.confirmed
    assert receipt.references[0].startswith("DiagnosticReport/")
    assert counts(ehr) == ONE_OF_EVERYTHING
    used = {one.split("/")[0] for one in ehr.requests if not one.startswith("GET")}
    if strategy is Strategy.TRANSACTION:
        assert used == {"POST "}
    else:
        assert {one.split(" ")[0] for one in used} == {
            "PUT" if strategy is Strategy.PUT else "POST"
        }


@every_strategy
def test_no_reference_points_to_nothing(strategy: Strategy) -> None:
    ehr = ehr_for(strategy)
    deliver(destination(ehr))
    told = [one for kind in ONE_OF_EVERYTHING for one in ehr.of(kind)]
    pointed = {one for resource in told for one in _references(resource)}
    assert pointed - set(ehr.held) == {"Patient/colin", "Patient/colin/_history/3"}


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["reference"]] if "reference" in node else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []


@every_strategy
def test_a_revision_is_a_new_version_that_names_the_former(strategy: Strategy) -> None:
    ehr = ehr_for(strategy)
    to = destination(ehr)
    first = deliver(to)
    second = deliver(to, REVISION)
    assert second.references[0] == first.references[0]
    assert counts(ehr) == {**ONE_OF_EVERYTHING, "Provenance": 2}
    (report,) = ehr.of("DiagnosticReport")
    assert report["status"] == "preliminary"
    assert report["identifier"][1]["value"] == "urn:oid:2.25.1399"
    assert len(report["result"]) == 3
    assert sorted(one["status"] for one in ehr.of("Observation")) == [
        "entered-in-error",
        *["preliminary"] * 3,
    ]
    trail = [
        one for one in ehr.of("Provenance") if one["activity"]["coding"][0]["code"] == "UPDATE"
    ]
    revised = [one["what"] for one in trail[0]["entity"] if one["role"] == "revision"]
    former = first.references[0]
    assert revised[0]["reference"] == f"{former}/_history/v1-{former[-4:]}"
    assert revised[0]["identifier"]["value"] == "urn:oid:2.25.1300"


@every_strategy
def test_an_older_result_does_not_take_the_place_of_a_newer_one(strategy: Strategy) -> None:
    ehr = ehr_for(strategy)
    to = destination(ehr)
    deliver(to, REVISION)
    late = deliver(to)
    assert late.remark == "a newer result stands there"
    assert ehr.of("DiagnosticReport")[0]["identifier"][1]["value"] == "urn:oid:2.25.1399"
    gone = to.withdraw(REPORT, late, "RETRACTED")
    assert gone.remark == "nothing stood there"


@every_strategy
def test_a_flag_goes_when_the_finding_does(strategy: Strategy) -> None:
    ehr = ehr_for(strategy)
    to = destination(ehr)
    deliver(to)
    deliver(to, replace(REVISION, findings=(NO_LESION,)))
    assert [one["status"] for one in ehr.of("Flag")] == ["entered-in-error"]


@every_strategy
def test_what_is_written_after_a_withdrawal_is_a_report_of_its_own(strategy: Strategy) -> None:
    ehr = ehr_for(strategy)
    to = destination(ehr)
    first = deliver(to)
    taken = to.withdraw(REPORT, None, "IDENTITY-CORRECTED")
    assert set(taken.references) >= set(first.references) - {
        one for one in first.references if one.startswith(("Device", "Provenance"))
    }
    again = to.withdraw(REPORT, None, "IDENTITY-CORRECTED")
    assert again.remark == "it was withdrawn before"
    second = deliver(to, replace(REVISION, record_patient="Patient/other"))
    assert second.references[0] != first.references[0]
    assert sorted(one["status"] for one in ehr.of("DiagnosticReport")) == [
        "entered-in-error",
        "preliminary",
    ]
    studies = {one["subject"]["reference"]: one["status"] for one in ehr.of("ImagingStudy")}
    assert studies == {"Patient/colin": "entered-in-error", "Patient/other": "available"}
    standing = [one for one in ehr.of("Observation") if one["status"] == "preliminary"]
    assert {one["subject"]["reference"] for one in standing} == {"Patient/other"}


@every_strategy
def test_a_report_that_stands_on_somebody_else_goes_from_there(strategy: Strategy) -> None:
    ehr = ehr_for(strategy)
    to = destination(ehr, wishes=replace(WHOLE, leave_out=frozenset({"ImagingStudy"})))
    deliver(to)
    deliver(to, replace(REVISION, record_patient="Patient/survivor"))
    where = {one["subject"]["reference"]: one["status"] for one in ehr.of("DiagnosticReport")}
    assert where == {"Patient/colin": "entered-in-error", "Patient/survivor": "preliminary"}


def test_a_study_of_somebody_else_is_not_written_to() -> None:
    ehr = OtherEhr()
    uid = f"urn:oid:{REPORT.study.study_instance_uid}"
    ehr.seed({
        "resourceType": "ImagingStudy",
        "identifier": [{"system": "urn:dicom:uid", "value": uid}],
        "subject": {"reference": "Patient/else"},
    })
    with pytest.raises(Refused) as refused:
        deliver(destination(ehr))
    assert refused.value.reason == "EHR-OTHER-SUBJECT"
    assert ehr.count("DiagnosticReport") == 0


@every_strategy
def test_a_report_that_somebody_signed_is_not_changed(strategy: Strategy) -> None:
    ehr = ehr_for(strategy)
    to = destination(ehr)
    name = deliver(to).references[0]
    ehr.held[name].append({**ehr.held[name][-1], "status": "final"})
    with pytest.raises(Refused) as refused:
        deliver(to, REVISION)
    assert refused.value.reason == "EHR-FINAL"
    assert ehr.held[name][-1]["status"] == "final"


@pytest.mark.parametrize("kind", Kind)
@every_strategy
def test_a_version_that_was_changed_meanwhile_is_not_overwritten(
    strategy: Strategy, kind: Kind
) -> None:
    ehr = ehr_for(strategy)
    to = destination(ehr, wishes=Wishes(kind=kind))
    name = deliver(to).references[0]

    def somebody_writes(request: httpx.Request) -> httpx.Response:
        if request.method != "GET" and len(ehr.held[name]) == 1:
            ehr.held[name].append({**ehr.held[name][-1], "conclusion": "signed"})
        return ehr(request)

    with pytest.raises(Unavailable):
        deliver(destination(somebody_writes, wishes=Wishes(kind=kind)), REVISION)
    assert ehr.held[name][-1]["conclusion"] == "signed"


@every_strategy
def test_a_document_is_one_through_its_revisions(strategy: Strategy) -> None:
    ehr = ehr_for(strategy)
    to = destination(ehr, wishes=Wishes(kind=Kind.DOCUMENT))
    deliver(to)
    deliver(to, REVISION)
    assert (ehr.count("DocumentReference"), ehr.count("Observation")) == (1, 0)
    to.withdraw(REVISION, None, "RETRACTED")
    assert [one["status"] for one in ehr.of("DocumentReference")] == ["entered-in-error"]


class Cut:
    """Breaks the connection at one request, before or after it was done."""

    def __init__(self, ehr: OtherEhr, at: int, *, done: bool) -> None:
        self._ehr, self._left, self._done = ehr, at, done
        self.happened = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self._left -= 1
        if self._left == -1:
            self.happened = True
            if self._done:
                self._ehr(request)
            raise httpx.ReadError("the connection broke")
        return self._ehr(request)


@pytest.mark.parametrize("done", [False, True], ids=["before it was done", "its answer"])
@every_strategy
def test_cut_off_at_any_request_there_is_one_of_everything(strategy: Strategy, done: bool) -> None:
    cuts = 0
    for at in range(200):
        ehr = ehr_for(strategy)
        cut = Cut(ehr, at, done=done)
        to = destination(cut)
        for of in (REPORT, REVISION):
            for _ in range(3):
                try:
                    receipt = deliver(to, of)
                    break
                except Unavailable:
                    continue
            assert receipt.confirmed
        assert counts(ehr) == {**ONE_OF_EVERYTHING, "Provenance": 2}, f"cut at request {at}"
        states = sorted(one["status"] for one in ehr.of("Observation"))
        assert states == ["entered-in-error", *["preliminary"] * 3], f"cut at request {at}"
        if not cut.happened:
            break
        cuts += 1
    assert cuts >= 10, "the connection was cut often enough to mean something"


@pytest.mark.parametrize("done", [False, True], ids=["before it was done", "its answer"])
@every_strategy
def test_a_withdrawal_cut_off_anywhere_takes_all_back(strategy: Strategy, done: bool) -> None:
    for at in range(200):
        ehr = ehr_for(strategy)
        deliver(destination(ehr))
        cut = Cut(ehr, at, done=done)
        to = destination(cut)
        for _ in range(3):
            try:
                to.withdraw(REPORT, None, "IDENTITY-CORRECTED")
                break
            except Unavailable:
                continue
        for kind in ("DiagnosticReport", "Observation", "ImagingStudy", "Task", "Flag"):
            states = {one["status"] for one in ehr.of(kind)}
            assert states == {"entered-in-error"}, f"{kind}, cut at request {at}"
        if not cut.happened:
            break


def test_a_transaction_that_stays_in_parts_is_taken_up_where_it_stopped() -> None:
    for entry in range(len(ONE_OF_EVERYTHING) + 3):
        ehr = OtherEhr(transactions="in parts", fails_at=entry)
        to = destination(ehr)
        with pytest.raises(Unavailable):
            deliver(to)
        deliver(to)
        assert counts(ehr) == ONE_OF_EVERYTHING, f"entry {entry} failed"


@pytest.mark.parametrize(
    ("failure", "kind", "reason"),
    [
        (Refusal(429), Unavailable, None),
        (Refusal(409), Unavailable, None),
        (Refusal(500), Unavailable, None),
        (html(503), Unavailable, None),
        (Refusal(412), Refused, "EHR-412"),
        (html(400), Refused, "EHR-400"),
        (html(401), Refused, "EHR-401"),
        (Refusal(302, "", "text/html"), Refused, "EHR-302"),
        (html(200), Refused, "EHR-NOT-FHIR"),
    ],
)
@every_strategy
def test_a_failure_is_tried_again_or_parked(
    strategy: Strategy, failure: Refusal, kind: type[IntegrationError], reason: str | None
) -> None:
    ehr = ehr_for(strategy)
    ehr.failures = [failure]
    to = destination(ehr)
    with pytest.raises(kind) as raised:
        deliver(to)
    assert "Doe" not in str(raised.value)
    if reason is not None:
        assert isinstance(raised.value, Refused)
        assert raised.value.reason == reason
    deliver(to)
    assert counts(ehr) == ONE_OF_EVERYTHING


def test_a_server_without_versions_is_updated_all_the_same() -> None:
    ehr = OtherEhr(versions=False)
    to = destination(ehr)
    deliver(to)
    deliver(to, REVISION)
    assert counts(ehr) == {**ONE_OF_EVERYTHING, "Provenance": 2}


def test_a_server_that_keeps_names_for_references_is_not_believed() -> None:
    ehr = OtherEhr()

    def without_resolving(request: httpx.Request) -> httpx.Response:
        answer = ehr(request)
        if request.method == "GET" and "/DiagnosticReport/" in request.url.path:
            told = answer.json()
            told["result"][0]["reference"] = "urn:uuid:0"
            return httpx.Response(200, json=told)
        return answer

    with pytest.raises(Refused) as refused:
        deliver(destination(without_resolving))
    assert refused.value.reason == "EHR-UNRESOLVED"


def test_without_a_verified_patient_nothing_is_even_asked() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request.method)

    with pytest.raises(Refused) as refused:
        deliver(destination(fail), replace(REPORT, record_patient=None))
    assert refused.value.reason == "PATIENT-NOT-VERIFIED"


def test_a_server_that_tells_nothing_of_itself_is_asked_most_carefully() -> None:
    assert judged({}, Kind.REPORT).strategy is Strategy.SEARCH
    assert judged({"rest": "nonsense"}, Kind.REPORT).strategy is Strategy.SEARCH
    statement = OtherEhr()._statement()
    statement["rest"][0]["resource"] = [
        one for one in statement["rest"][0]["resource"] if one["type"] != "ImagingStudy"
    ]
    able = judged(statement, Kind.REPORT)
    assert able.strategy is Strategy.TRANSACTION
    assert able.refuses == {"ImagingStudy"}
