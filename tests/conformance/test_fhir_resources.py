"""Every resource that we write, before validators that we have not written."""

import urllib.error
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from integrations.fhir.wire import decode, encode
from integrations.report import Coding, Report
from tests.conformance.validators import fhirkit_errors, loose_quantities
from tests.peers.sekmet import Sekmet
from tests.unit.integrations.fhir_server import bundle
from tests.unit.integrations.samples import BRAIN, BRAIN_FINDING, NO_LESION, REPORT, colin, report

_BERLIN = timezone(timedelta(hours=2))
REPORTS = {
    "as it is": REPORT,
    "nothing found": replace(REPORT, findings=(NO_LESION,)),
    "undecided": replace(REPORT, findings=(replace(NO_LESION, present=None),)),
    "nothing looked for": replace(REPORT, findings=()),
    "with a site": replace(REPORT, findings=(replace(BRAIN_FINDING, site=BRAIN),)),
    "without context": replace(REPORT, context=()),
    "with a time": replace(
        REPORT,
        study=replace(REPORT.study, started=datetime(2026, 6, 1, 8, 5, 1, 120000, tzinfo=_BERLIN)),
    ),
    "bare": replace(
        REPORT,
        study=replace(
            REPORT.study, accession_number=None, description=None, started=None, modalities=()
        ),
        result_series=(),
    ),
    "private codes": replace(REPORT, procedure=Coding("B", "99EXAMPLE", "Brain, our protocol")),
    "a product": replace(REPORT, model=replace(REPORT.model, content_qualification="PRODUCT")),
}


@pytest.mark.parametrize("of", REPORTS.values(), ids=REPORTS.keys())
def test_fhirkit_finds_no_error(of: Report) -> None:
    sent = bundle(of)
    for entry in sent["entry"]:
        assert fhirkit_errors(entry["resource"]) == [], entry["resource"]["resourceType"]
    assert fhirkit_errors(sent) == []


@pytest.mark.parametrize("of", REPORTS.values(), ids=REPORTS.keys())
def test_every_quantity_names_the_system_of_its_code(of: Report) -> None:
    assert loose_quantities(bundle(of)) == []


_BROKEN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Observation", {"status": None}),
    ("Observation", {"effectiveDateTime": "2026-06-01T08:00"}),
    ("DiagnosticReport", {"code": None}),
    ("ImagingStudy", {"started": "yesterday"}),
    ("ImagingStudy", {"modality": []}),
    ("Device", {"deviceName": [{"name": "x"}]}),
    ("Provenance", {"target": "Patient/1"}),
)


@pytest.mark.parametrize(("resource_type", "change"), _BROKEN)
def test_fhirkit_sees_a_broken_resource(resource_type: str, change: dict[str, Any]) -> None:
    resources = [entry["resource"] for entry in bundle(REPORT)["entry"]]
    sound = next(one for one in resources if one["resourceType"] == resource_type)
    broken = {name: value for name, value in {**sound, **change}.items() if value is not None}
    assert fhirkit_errors(broken) != []


def test_a_quantity_without_a_system_is_seen() -> None:
    sent = decode(encode(bundle(REPORT)))
    observation = sent["entry"][2]["resource"]
    del observation["valueQuantity"]["system"]
    assert loose_quantities(sent) == [observation["valueQuantity"]]


@pytest.mark.peers
@pytest.mark.parametrize("number", range(len(REPORTS)), ids=REPORTS.keys())
def test_a_strict_server_takes_the_transaction(sekmet: Sekmet, number: int) -> None:
    sekmet.put(colin())
    of = list(REPORTS.values())[number]
    own = replace(of, result_set_uid=report(number).result_set_uid)
    answer = sekmet.transact(encode(bundle(own)))
    assert {entry["response"]["status"][:3] for entry in answer["entry"]} <= {"200", "201"}


@pytest.mark.peers
def test_a_strict_server_refuses_a_broken_transaction(sekmet: Sekmet) -> None:
    before = sekmet.count("DiagnosticReport")
    broken = bundle(report(99))
    del broken["entry"][2]["resource"]["code"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        sekmet.transact(encode(broken))
    assert refused.value.code == 400
    assert sekmet.count("DiagnosticReport") == before
