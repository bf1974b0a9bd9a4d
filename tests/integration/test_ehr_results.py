"""In which form a record is given results, from the configuration to a real FHIR server."""

from dataclasses import replace
from pathlib import Path

import pytest

from integrations.report import Report
from node import settings
from node.bootstrap.outlets import outlets
from node.bootstrap.state import database
from node.errors import SettingsInvalid
from tests.peers.sekmet import MRN_SYSTEM, Sekmet
from tests.unit.integrations.samples import ISSUER, colin, report

pytestmark = pytest.mark.peers


def given(sekmet: Sekmet, folder: Path, results: str, of: Report) -> None:
    """Deliver a report as a site is configured."""
    sekmet.put(colin())
    path = folder / "overread.toml"
    path.write_text(
        f"""
        [node]
        data = "{folder / "data"}"
        [[peer]]
        name = "ehr"
        roles = ["ehr"]
        [peer.fhir]
        url = "{sekmet.base_url}"
        identifier_systems = {{ "{ISSUER}" = "{MRN_SYSTEM}" }}
        [peer.fhir.results]
        {results}
        """,
        encoding="utf-8",
    )
    read = settings.load(path, {})
    outlet = outlets(read, database(read))["ehr"]
    told = replace(of, record_patient="Patient/colin")
    outlet.destination.deliver(told, [], in_doubt=frozenset(), progress=lambda _uid, _state: None)


def held(sekmet: Sekmet, resource_type: str, of: Report) -> list[dict[str, object]]:
    """Return what the server has of one type that was written for a report."""
    uids = {of.result_set_uid, of.study.study_instance_uid}
    return [one for one in sekmet.search(resource_type) if any(uid in str(one) for uid in uids)]


def test_a_document_is_all_that_a_site_wants(sekmet: Sekmet, tmp_path: Path) -> None:
    of = report(41)
    given(sekmet, tmp_path, 'kind = "DocumentReference"\nleave_out = ["Provenance"]', of)
    (document,) = held(sekmet, "DocumentReference", of)
    assert document["docStatus"] == "preliminary"
    for resource_type in ("DiagnosticReport", "Observation", "Provenance"):
        assert held(sekmet, resource_type, of) == []


def test_a_site_wants_more_and_in_another_status(sekmet: Sekmet, tmp_path: Path) -> None:
    of = report(42)
    flags = len(sekmet.search("Flag"))
    results = 'status = "partial"\ntask = true\ncritical = ["Brain"]\nnotice = "flag"\nstrategy = "search"'
    given(sekmet, tmp_path, results, of)
    (made,) = held(sekmet, "DiagnosticReport", of)
    assert made["status"] == "partial"
    assert len(sekmet.search("Task")) == 1
    assert len(sekmet.search("Flag")) == flags + 1


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ('notice = "flag"', "results.notice tells of findings that results.critical names"),
        ('kind = "DocumentReference"\npage = true', "are of a DiagnosticReport"),
        ('leave_out = ["Patient"]', "leave_out"),
        ('status = "final"', "status"),
    ],
)
def test_what_contradicts_itself_is_told(
    sekmet: Sekmet, tmp_path: Path, results: str, said: str
) -> None:
    with pytest.raises(SettingsInvalid, match=said):
        given(sekmet, tmp_path, results, report(43))
