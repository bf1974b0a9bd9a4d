"""A model that compares: its earlier study lies in a real archive, among others that are not it."""

from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from inference.results.tree import items
from tests.acceptance.site import (
    ANALYSE,
    SMALL_MODELS,
    Plan,
    Site,
    peer_archive,
    peer_source,
    running_site,
)
from tests.acceptance.studies import SLICES, SmallStudy, small_study
from tests.peers.dcmtk import storescu
from tests.peers.orthanc import Modality, Orthanc, running_orthanc

pytestmark = [pytest.mark.peers, pytest.mark.slow]

NOW = 1
SAME = {"PatientID": f"OVR-{NOW:06d}", "PatientName": f"Ball^Number {NOW}"}


def _plan(pacs: Orthanc, **archive: Any) -> Plan:
    source = peer_source(results_to=[], archive="pacs", archive_again_s=1.0, quiet_short_s=2.0)
    asked = peer_archive("pacs", "ORTHANC", pacs.dicom_port, **archive)
    return Plan(
        peers=[{**source, "prior_wait_s": 60.0}, asked],
        rules=[{"name": "balls", "model": "growing-ball", "deadline_s": 3600.0}],
        tables={"inference": {"models": str(SMALL_MODELS), "server": "in-process"}},
    )


def _earlier(folder: Path, number: int, day: str, **header: Any) -> SmallStudy:
    return small_study(folder, number, header={**SAME, "StudyDate": day, **header})


def _report(site: Site) -> Dataset:
    question = "select path from result_instance where kind = 'SR'"
    ((path,),) = site.rows(question)
    return dcmread(site.data / "files" / path)


def _means(item: Dataset, code: str) -> bool:
    return any(one.CodeValue == code for one in item.get("ConceptNameCodeSequence") or [])


def _analysed(site: Site, study: SmallStudy) -> None:
    with site.running(("listener",), ("keeper",), ANALYSE):
        site.wait_listening()
        assert storescu(study.folder, port=site.port).returncode == 0
        site.wait_jobs("COMPLETED")
        if site.rows("select 1 from series where prior = 1"):
            excluded = "select count(*) from series where excluded = 'FETCHED-AS-PRIOR'"
            held = "select count(*) from series where prior = 1"
            site.wait(
                lambda: site.rows(excluded) == site.rows(held), "the exclusion of what was fetched"
            )


@pytest.mark.parametrize(
    "archive",
    [
        {},
        pytest.param({"retrieve": "get"}, marks=pytest.mark.long),
        pytest.param({"dicomweb": {}}, marks=pytest.mark.long),
    ],
    ids=["C-MOVE", "C-GET", "QIDO-RS"],
)
def test_the_newest_earlier_study_of_the_same_patient_is_compared_with(
    tmp_path: Path, archive: dict[str, Any]
) -> None:
    today = small_study(tmp_path / "today", NOW)
    wanted = _earlier(tmp_path / "wanted", 2, "20260901")
    others = [
        _earlier(tmp_path / "older", 3, "20260301"),
        _earlier(tmp_path / "oldest", 4, "20200101"),
        _earlier(tmp_path / "later", 5, "20261101"),
        _earlier(tmp_path / "reused-number", 6, "20261001", PatientBirthDate="19480229"),
        _earlier(tmp_path / "other-issuer", 7, "20261002", IssuerOfPatientID="ELSEWHERE"),
        _earlier(tmp_path / "another-kind", 8, "20261003", Modality="CT"),
        _earlier(tmp_path / "another-sequence", 9, "20261004", ScanningSequence="SE"),
        _earlier(tmp_path / "another-number", 10, "20261005", PatientID=SAME["PatientID"] + "1"),
    ]
    with running_orthanc(tmp_path / "orthanc") as pacs:
        if "dicomweb" in archive:
            archive = {"dicomweb": {"url": pacs.dicomweb_url}}
        with running_site(tmp_path / "site", _plan(pacs, **archive)) as site:
            pacs.register(Modality(name="overread", ae_title="OVERREAD", port=site.port))
            for study in (wanted, *others):
                for file in study.folder.glob("*.dcm"):
                    pacs.upload(file)
            _analysed(site, today)
            states = site.rows("select state, reason, prior_study_uid from prior")
            assert states == [("FOUND", None, wanted.uid)]
            # no list tells the sequence, and Orthanc's by QIDO-RS not the issuer: one image was looked at
            looked_at = {others[6].uid: 1} | ({others[4].uid: 1} if "dicomweb" in archive else {})
            held = "select study_instance_uid, count(*) from instance group by study_instance_uid"
            expected = {today.uid: SLICES, wanted.uid: SLICES, **looked_at}
            assert dict(site.rows(held)) == expected
            journal = dict(site.rows("select outcome, count(*) from journal group by outcome"))
            assert journal == {"stored": SLICES, "fetched": SLICES + len(looked_at)}
            assert site.rows("select study_instance_uid from job") == [(today.uid,)]
            assert site.rows("select distinct study_instance_uid from expectation") == [
                (today.uid,)
            ]
            report = _report(site)
            (other,) = report.PertinentOtherEvidenceSequence
            assert other.StudyInstanceUID == wanted.uid
            (series,) = other.ReferencedSeriesSequence
            assert len(series.ReferencedSOPSequence) == SLICES
            told = [str(item.get("TextValue", "")) for item in items(report)]
            assert "Compared with an earlier MR series of 2026-09-01: before." in told
            growth = [item for item in items(report) if _means(item, "GROWTH")]
            assert float(growth[0].MeasuredValueSequence[0].NumericValue) == pytest.approx(1.0)
            story = " ".join(site.explain(today.uid).split())
            assert "prior passed over" in story
            assert "PRIOR-NOT-FITTING" in story
            assert ("PRIOR-OF-ANOTHER-PATIENT" in story) == ("dicomweb" in archive)
            assert "prior found" in story
            assert "FETCHED-AS-PRIOR" in site.explain(wanted.uid)
            assert site.cli("ledger", "--verify").returncode == 0
            site.require_no_patient_in_logs()


def test_a_job_without_an_earlier_study_runs_and_says_so(tmp_path: Path) -> None:
    today = small_study(tmp_path / "today", NOW)
    stranger = _earlier(tmp_path / "stranger", 6, "20261001", PatientBirthDate="19480229")
    with (
        running_orthanc(tmp_path / "orthanc") as pacs,
        running_site(tmp_path / "site", _plan(pacs)) as site,
    ):
        pacs.register(Modality(name="overread", ae_title="OVERREAD", port=site.port))
        for file in stranger.folder.glob("*.dcm"):
            pacs.upload(file)
        _analysed(site, today)
        assert site.rows("select state, reason from prior") == [("NONE", "PRIOR-NOT-FOUND")]
        assert site.rows("select count(*) from journal where outcome = 'fetched'") == [(0,)]
        told = [str(item.get("TextValue", "")) for item in items(_report(site))]
        assert "Earlier study not compared: before, PRIOR-NOT-FOUND." in told
        assert "no prior before: PRIOR-NOT-FOUND" in " ".join(site.story(today.uid))
        assert site.cli("ledger", "--verify").returncode == 0
