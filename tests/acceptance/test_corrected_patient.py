"""A study comes again as another patient's when its results are in the archive and in the record already."""

from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.acceptance.site import (
    ANALYSE,
    DELIVER,
    SMALL_MODELS,
    Plan,
    Site,
    kill,
    peer_archive,
    peer_ehr,
    peer_source,
    running_site,
)
from tests.acceptance.studies import SmallStudy, admit, small_study
from tests.peers.dcmtk import storescu
from tests.peers.orthanc import Orthanc
from tests.peers.sekmet import Sekmet

pytestmark = [pytest.mark.peers, pytest.mark.slow]


def plan(pacs: Orthanc, ehr: Sekmet, on_correction: str) -> Plan:
    archive = peer_archive("pacs", "ORTHANC", pacs.dicom_port, on_correction=on_correction)
    return Plan(
        peers=[peer_source(results_to=["pacs", "ehr"]), archive, peer_ehr(ehr.base_url)],
        lease_s=3.0,
        rules=[{"name": "balls", "model": "threshold-brain"}],
        tables={"inference": {"models": str(SMALL_MODELS), "server": "in-process"}},
    )


def reports(ehr: Sekmet, patient: str) -> list[str]:
    """Status of each report of a patient."""
    return [one["status"] for one in ehr.search("DiagnosticReport", subject=patient)]


def send(site: Site, study: SmallStudy) -> None:
    sent = storescu(study.folder, port=site.port)
    assert sent.returncode == 0, sent.output


def right(site: Site, ehr: Sekmet, wrong: str, patient: str) -> bool:
    return reports(ehr, patient) == ["preliminary"] and reports(ehr, wrong) == ["entered-in-error"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("on_correction", "results"),
    [("archive-corrects", 2), ("reissue", 4)],
    ids=["kept", "reissued"],
)
def test_the_record_is_put_right_and_the_archive_gets_what_its_site_wants(
    tmp_path: Path, orthanc: Orthanc, sekmet: Sekmet, on_correction: str, results: int
) -> None:
    number = 901 if on_correction == "reissue" else 903
    wrong, patient = admit(sekmet, number), admit(sekmet, number + 1)
    first = small_study(tmp_path / "first", number)
    header: dict[str, Any] = {
        "PatientID": f"OVR-{number + 1:06d}",
        "PatientName": f"Ball^Number {number + 1}",
    }
    again = small_study(tmp_path / "again", number, header=header)
    assert again.uid == first.uid
    with running_site(tmp_path / "site", plan(orthanc, sekmet, on_correction)) as site:
        with site.running(("listener",), ("keeper",), ANALYSE):
            deliverer = site.start(*DELIVER)
            site.wait_listening()
            send(site, first)
            site.wait_delivered(2)
            assert reports(sekmet, wrong) == ["preliminary"]
            kill(deliverer)
            send(site, again)
            site.wait(lambda: site.rows("select 1 from withdrawal"), "a withdrawal that is owed")
            killed = site.start(*DELIVER)
            site.wait(
                lambda: site.rows("select 1 from withdrawal where attempts > 0"), "its worker"
            )
            kill(killed)
            site.start(*DELIVER)
            site.wait(lambda: right(site, sekmet, wrong, patient), "the right record", 120)
            site.wait(
                lambda: not site.rows("select 1 from delivery where state = 'OWED'"), "the rest"
            )
        states = dict(site.rows("select destination, state from withdrawal"))
        assert states == {"ehr": "WITHDRAWN", "pacs": "KEPT"}
        assert orthanc.count() == results
        (path, *_), *_ = site.rows(
            "select path from result_instance join result_set using (result_set_id) "
            "where state = 'CURRENT'"
        )
        assert dcmread(site.data / "files" / path).PatientID == header["PatientID"]
        story = site.explain(first.uid)
        for words in ("identity corrected", "result withdrawn", "result kept"):
            assert words in story
        assert site.cli("ledger", "--verify").returncode == 0
