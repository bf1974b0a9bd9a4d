"""Every resource that a record gets from us, in every version, before HL7's definitions and fhirkit."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from integrations.fhir.composition import Kind, Notice, Wishes
from integrations.fhir.destination import FhirDestination
from integrations.fhir.strategies import Strategy
from integrations.report import Report
from tests.conformance.pyrofile import pyrofile_errors
from tests.conformance.test_fhir_resources import REPORTS
from tests.conformance.validators import fhirkit_errors, loose_quantities
from tests.peers.ehr import OtherEhr
from tests.unit.integrations.fhir_server import client_of
from tests.unit.integrations.samples import LEFT, SCORE

pytestmark = pytest.mark.peers

AT = datetime(2026, 6, 2, 9, tzinfo=UTC)
WISHES = {
    "all": Wishes(task=True, page=True, critical=frozenset({"Brain"}), notice=Notice.FLAG),
    "partial": Wishes(status="partial", critical=frozenset({"Brain"}), notice=Notice.COMMUNICATION),
    "document": Wishes(kind=Kind.DOCUMENT, page=True),
    "little": Wishes(leave_out=frozenset({"ImagingStudy", "Device", "Provenance"})),
}
KINDS = {
    "all": {
        "DiagnosticReport",
        "Observation",
        "ImagingStudy",
        "Device",
        "Provenance",
        "Task",
        "Flag",
    },
    "partial": {"DiagnosticReport", "Observation", "Communication"},
    "document": {"DocumentReference"},
    "little": {"DiagnosticReport", "Observation"},
}


def _written(of: Report, wishes: Wishes, strategy: Strategy) -> Iterator[dict[str, Any]]:
    """Give every version of every resource of a report that is revised, then withdrawn as somebody else's."""
    ehr = OtherEhr(chooses_ids=False)
    to = FhirDestination(client_of(ehr), wishes, strategy)
    later = replace(
        of,
        result_set_uid=f"{of.result_set_uid}.1",
        issued=of.issued + timedelta(hours=1),
        predecessors=(of.result_set_uid,),
        findings=of.findings[:1],
    )
    for one in (of, later):
        to.deliver(one, [], in_doubt=frozenset(), progress=lambda _uid, _state: None)
    to.withdraw(later, None, "IDENTITY-CORRECTED", owed_at=AT)
    for versions in ehr.held.values():
        yield from versions


def _sided(of: Report) -> Report:
    """Give the report a finding with everything that one may have."""
    first = replace(of.findings[0], laterality=LEFT, score=replace(SCORE, calibrated=True))
    return replace(of, findings=(first, *of.findings[1:]))


@pytest.mark.parametrize("wanted", WISHES)
@pytest.mark.parametrize("name", REPORTS)
def test_the_definitions_are_met(name: str, wanted: str, tmp_path: Path) -> None:
    page = tmp_path / "page.pdf"
    page.write_bytes(b"%PDF-1.7\n%%EOF\n")
    of = replace(REPORTS[name], page=page)
    of = _sided(of) if of.findings else of
    strategies = Strategy if name == "as it is" else [Strategy.TRANSACTION]
    for strategy in strategies:
        written = list(_written(of, WISHES[wanted], strategy))
        assert written
        for one in written:
            where = f"{one['resourceType']} {one.get('status')}"
            assert pyrofile_errors(one) == [], where
            assert fhirkit_errors(one) == [], where
            assert loose_quantities(one) == [], where
        if name == "as it is":
            assert KINDS[wanted] <= {one["resourceType"] for one in written}
            assert "entered-in-error" in {one.get("status") for one in written}


DCM = "http://dicom.nema.org/resources/ontology/DCM"
BROKEN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Observation", {"status": "bogus"}),
    ("Observation", {"subject": {"reference": "Practitioner/1"}}),
    ("Observation", {"dataAbsentReason": {"text": "beside a value (obs-6)"}}),
    ("Observation", {"effectiveDateTime": "2026-06-01T08:00"}),
    ("DiagnosticReport", {"code": None}),
    ("DiagnosticReport", {"status": "entered-in-mistake"}),
    ("ImagingStudy", {"modality": "MR"}),
    ("ImagingStudy", {"modality": [{"system": DCM, "code": "MR", "display": "MR"}]}),
    ("Device", {"unknown": 1}),
    ("Provenance", {"target": None}),
)


@pytest.mark.parametrize(("kind", "change"), BROKEN)
def test_pyrofile_sees_what_does_not_meet_them(kind: str, change: dict[str, Any]) -> None:
    written = _written(REPORTS["as it is"], Wishes(), Strategy.TRANSACTION)
    sound = next(one for one in written if one["resourceType"] == kind)
    assert pyrofile_errors(sound) == []
    broken = {name: value for name, value in {**sound, **change}.items() if value is not None}
    assert pyrofile_errors(broken) != []


def test_a_choice_that_is_missing_below_an_element_is_seen() -> None:
    written = _written(REPORTS["as it is"], WISHES["all"], Strategy.TRANSACTION)
    task = next(one for one in written if one["resourceType"] == "Task")
    assert pyrofile_errors(task) == []
    assert pyrofile_errors({**task, "output": [{"type": {"text": "Report"}}]}) != []
