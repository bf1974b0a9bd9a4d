"""A series is complete by evidence: real sender, real archive, one image held back."""

import time
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import MRImageStorage
from pynetdicom import AE

from integrations.pacs.peer import keep_answers
from tests.acceptance.site import (
    ANALYSE,
    SMALL_MODELS,
    Plan,
    Site,
    peer_archive,
    peer_source,
    running_site,
)
from tests.acceptance.studies import SLICES, small_study
from tests.peers.dcmtk import storescu
from tests.peers.orthanc import Modality, Orthanc, running_orthanc

PAUSE_S = 3.0

pytestmark = [pytest.mark.peers, pytest.mark.slow]


def _plan(pacs: Orthanc, **archive: Any) -> Plan:
    source = peer_source(results_to=[], archive="pacs", archive_again_s=1.0, quiet_short_s=6.0)
    asked = peer_archive("pacs", "ORTHANC", pacs.dicom_port, **archive)
    return Plan(
        peers=[{**source, "quiet_long_s": 60.0}, asked],
        rules=[{"name": "balls", "model": "threshold-brain"}],
        tables={"inference": {"models": str(SMALL_MODELS), "server": "in-process"}},
    )


def _orthanc_knows(pacs: Orthanc, site: Site) -> None:
    pacs.register(Modality(name="overread", ae_title="OVERREAD", port=site.port))


@pytest.mark.parametrize(
    "held_back", [SLICES // 2, pytest.param(SLICES - 1, marks=pytest.mark.long)]
)
def test_exactly_the_image_that_was_held_back_is_fetched(tmp_path: Path, held_back: int) -> None:
    study = small_study(tmp_path / "study", 1)
    files = sorted(study.folder.glob("*.dcm"))
    with (
        running_orthanc(tmp_path / "orthanc") as pacs,
        running_site(tmp_path / "site", _plan(pacs)) as site,
    ):
        _orthanc_knows(pacs, site)
        for file in files:
            pacs.upload(file)
        files[held_back].unlink()
        with site.running(("listener",), ("keeper",)):
            site.wait_listening()
            assert storescu(study.folder, port=site.port).returncode == 0
            site.wait_jobs("SCHEDULED")
            journal = dict(site.rows("select outcome, count(*) from journal group by outcome"))
            assert journal == {"stored": SLICES - 1, "fetched": 1}
            ((fetched, state),) = site.rows("select sop_instance_uid, state from retrieval")
            assert state == "ARRIVED"
            ((uid,),) = site.rows("select sop_instance_uid from journal where outcome = 'fetched'")
            assert uid == fetched
            story = site.explain(study.uid)
            assert f"{SLICES} of {SLICES}; PACS list equal twice; no gap" in " ".join(story.split())
            ((closed, created),) = site.rows(
                "select closed_at, job.created_at from job join series using (series_instance_uid)"
            )
            assert created - closed <= 0.5


@pytest.mark.long
@pytest.mark.parametrize("by_qido", [False, True], ids=["C-FIND", "QIDO-RS"])
def test_an_archive_that_does_not_know_us_gives_what_is_missing(
    tmp_path: Path, by_qido: bool
) -> None:
    """C-GET: the bytes are as safe as what comes to the listener, and the ledger adds up."""
    study = small_study(tmp_path / "study", 4)
    files = sorted(study.folder.glob("*.dcm"))
    missing = files[5]
    with running_orthanc(tmp_path / "orthanc") as pacs:
        told: dict[str, Any] = {"dicomweb": {"url": pacs.dicomweb_url}} if by_qido else {}
        with running_site(tmp_path / "site", _plan(pacs, retrieve="get", **told)) as site:
            for file in files:
                pacs.upload(file)
            held = missing.read_bytes()
            missing.unlink()
            with site.running(("listener",), ("keeper",)):
                site.wait_listening()
                assert storescu(study.folder, port=site.port).returncode == 0
                site.wait_jobs("SCHEDULED")
            ((path, peer),) = site.rows("select path, peer from journal where outcome = 'fetched'")
            assert peer == "pacs"
            fetched = (site.data / "files" / path).read_bytes()
            assert _data_set(fetched) == _data_set(held)
            assert site.rows("select state from retrieval") == [("ARRIVED",)]
            outcomes = site.rows("select peer, outcome from association order by peer")
            assert outcomes == [("modality", "RELEASED"), ("pacs", "RELEASED")]
            story = " ".join(site.explain(study.uid).split())
            assert f"{SLICES} of {SLICES}; PACS list equal twice; no gap" in story
            assert site.cli("ledger", "--verify").returncode == 0
            assert list((site.data / "files" / "incoming" / "fetch-pacs").iterdir()) == []


def _data_set(part10: bytes) -> bytes:
    return part10[144 + int.from_bytes(part10[140:144], "little") :]


def test_the_result_carries_the_corrected_identity(tmp_path: Path) -> None:
    first = small_study(tmp_path / "first", 2)
    again = small_study(tmp_path / "again", 2, header={"PatientID": "OVR-000077"})
    assert again.uid == first.uid
    plan = Plan(
        peers=[peer_source(results_to=[])],
        rules=[{"name": "balls", "model": "threshold-brain"}],
        tables={"inference": {"models": str(SMALL_MODELS), "server": "in-process"}},
    )
    with running_site(tmp_path / "site", plan) as site:
        with site.running(("listener",), ("keeper",), ANALYSE):
            site.wait_listening()
            assert storescu(first.folder, port=site.port).returncode == 0
            site.wait_jobs("COMPLETED")
            assert storescu(again.folder, port=site.port).returncode == 0
            site.wait_jobs("COMPLETED", 2)
        journal = dict(site.rows("select outcome, count(*) from journal group by outcome"))
        assert journal == {"stored": SLICES, "correction": SLICES}
        results = site.rows(
            "select path from result_instance join result_set using (result_set_id) "
            "where state = 'CURRENT'"
        )
        assert results
        for (path,) in results:
            assert dcmread(site.data / "files" / path).PatientID == "OVR-000077"
        assert "identity corrected" in site.explain(first.uid)
        assert site.cli("ledger", "--verify").returncode == 0


@pytest.mark.parametrize(
    "length",
    [*(pytest.param(one, marks=pytest.mark.long) for one in (1, SLICES // 2)), SLICES - 1],
)
def test_a_sender_that_pauses_on_an_open_association_gets_no_job(
    tmp_path: Path, length: int
) -> None:
    study = small_study(tmp_path / "study", 3)
    plan = Plan(
        peers=[peer_source(results_to=[], quiet_long_s=60.0)],
        rules=[{"name": "balls", "model": "threshold-brain"}],
        tables={"inference": {"models": str(SMALL_MODELS), "server": "in-process"}},
    )
    entity = AE(ae_title="MODALITY")
    entity.add_requested_context(MRImageStorage)
    with running_site(tmp_path / "site", plan) as site, site.running(("listener",), ("keeper",)):
        site.wait_listening()
        association = entity.associate("127.0.0.1", site.port, ae_title="OVERREAD")
        assert association.is_established
        keep_answers(association)
        files = sorted(study.folder.glob("*.dcm"))
        for file in files[:length]:
            assert association.send_c_store(dcmread(file)).Status == 0
        site.wait_recorded(length)
        end = time.monotonic() + PAUSE_S
        while time.monotonic() < end:
            assert site.rows("select state from series") == [("OPEN",)]
            assert site.jobs(study.uid) == []
            time.sleep(0.1)
        for file in files[length:]:
            assert association.send_c_store(dcmread(file)).Status == 0
        association.release()
        site.wait_jobs("SCHEDULED")
