"""A study of which an image is missing: the archive shows why AI did not run, until the result is there."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from tests.acceptance.site import (
    ANALYSE,
    DELIVER,
    SMALL_MODELS,
    Plan,
    Site,
    peer_archive,
    peer_source,
    running_site,
)
from tests.acceptance.studies import SLICES, small_study
from tests.conformance import validators
from tests.peers.dcmtk import storescu
from tests.peers.orthanc import Orthanc

pytestmark = [pytest.mark.peers, pytest.mark.slow, pytest.mark.long]


def plan(archive: Orthanc, **rule: Any) -> Plan:
    return Plan(
        peers=[
            peer_source(results_to=["pacs"], quiet_short_s=0.5, quiet_long_s=2.0),
            peer_archive(
                "pacs",
                archive.ae_title,
                archive.dicom_port,
                profile="told",
                withdrawal="delete",
                orthanc={"url": archive.url},
            ),
        ],
        profiles=[{"name": "told", "notice": "SR"}],
        rules=[{"name": "balls", "model": "threshold-brain", **rule}],
        tables={"inference": {"models": str(SMALL_MODELS), "server": "in-process"}},
    )


def titles(archive: Orthanc) -> set[str]:
    return {
        str(dcmread(BytesIO(archive.file(one))).ConceptNameCodeSequence[0].CodeMeaning)
        for one in archive.instances(modality="SR")
    }


def said(report: Dataset) -> str:
    return " ".join(str(item.get("TextValue", "")) for item in report.ContentSequence)


def confirmed(site: Site, count: int) -> bool:
    (row,) = site.rows("select count(*) from delivery where state = 'CONFIRMED'") or [(0,)]
    return bool(row[0] == count)


def test_the_archive_says_why_until_the_result_is_there(tmp_path: Path, orthanc: Orthanc) -> None:
    study = small_study(tmp_path / "study", 971)
    held_back = sorted(study.folder.glob("*.dcm"))[SLICES // 2]
    aside = held_back.rename(tmp_path / held_back.name)
    with running_site(tmp_path / "site", plan(orthanc)) as site:
        with site.running(("listener",), ("keeper",), ANALYSE, DELIVER):
            site.wait_listening()
            assert storescu(study.folder, port=site.port).returncode == 0
            site.wait(lambda: confirmed(site, 1), "the notice", 60)
            (one,) = orthanc.instances(modality="SR")
            path = tmp_path / "notice.dcm"
            path.write_bytes(orthanc.file(one))
            notice = dcmread(path)
            assert "AI did not run, because slices are missing between others (GAP)." in said(
                notice
            )
            assert (notice.PatientID, notice.StudyInstanceUID) == ("OVR-000971", study.uid)
            assert notice.ContentQualification == "RESEARCH"
            assert validators.dciodvfy_errors(path) == []
            assert "notice stored" in site.explain(study.uid)

            late = tmp_path / "late"
            late.mkdir()
            aside.rename(late / aside.name)
            assert storescu(late, port=site.port).returncode == 0
            site.wait_jobs("COMPLETED")
            withdrawn = "select count(*) from withdrawal where state = 'WITHDRAWN'"
            site.wait(lambda: site.rows(withdrawn) == [(1,)], "the notice to go", 60)
            site.wait(lambda: confirmed(site, 1), "the result", 60)
        assert titles(orthanc) == {"Imaging Measurement Report"}
        report = dcmread(BytesIO(orthanc.file(orthanc.instances(modality="SR")[0])))
        assert "PredecessorDocumentsSequence" not in report
        ledger = site.cli("ledger")
        assert ledger.returncode == 0, ledger.stdout


def test_the_archive_says_that_a_result_is_late_until_it_is_there(
    tmp_path: Path, orthanc: Orthanc
) -> None:
    study = small_study(tmp_path / "study", 972)
    with running_site(tmp_path / "site", plan(orthanc, deadline_s=6.0)) as site:
        site.close_gate()
        with site.running(("listener",), ("keeper",), ANALYSE, DELIVER):
            site.wait_listening()
            assert storescu(study.folder, port=site.port).returncode == 0
            site.wait(lambda: confirmed(site, 1), "the notice", 60)
            (one,) = orthanc.instances(modality="SR")
            assert one.series_description.endswith("did not run")
            notice = dcmread(BytesIO(orthanc.file(one)))
            assert "when the result was due (STILL-RUNNING)." in said(notice)
            assert site.rows("select state from job") == [("IN PROGRESS",)]

            site.open_gate()
            site.wait_jobs("COMPLETED")
            withdrawn = "select count(*) from withdrawal where state = 'WITHDRAWN'"
            site.wait(lambda: site.rows(withdrawn) == [(1,)], "the notice to go", 60)
        assert titles(orthanc) == {"Imaging Measurement Report"}
        assert not any(" rev " in one.series_description for one in orthanc.instances())
        assert "notice superseded" in site.explain(study.uid)
        assert site.cli("ledger", "--verify").returncode == 0
