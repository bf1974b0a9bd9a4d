"""Asked again and retracted, from the command line to two archives and the record."""

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, FileDataset, dcmread

from tests.acceptance.site import (
    ANALYSE,
    DELIVER,
    SMALL_MODELS,
    Plan,
    Site,
    peer_archive,
    peer_ehr,
    peer_source,
    running_site,
)
from tests.acceptance.studies import SmallStudy, admit, small_study
from tests.conformance import validators
from tests.peers.dcmtk import storescu
from tests.peers.orthanc import Orthanc, running_orthanc
from tests.peers.sekmet import Sekmet

pytestmark = [pytest.mark.peers, pytest.mark.slow, pytest.mark.long]

QUALITY, PATIENT_SAFETY = "113001", "113037"


def plan(yields: Orthanc, hides: Orthanc, ehr: Sekmet) -> Plan:
    return Plan(
        peers=[
            peer_source(results_to=["yields", "hides", "ehr"]),
            peer_archive(
                "yields",
                yields.ae_title,
                yields.dicom_port,
                withdrawal="delete",
                orthanc={"url": yields.url},
            ),
            peer_archive(
                "hides", hides.ae_title, hides.dicom_port, withdrawal="iocm", profile="air-strict"
            ),
            peer_ehr(ehr.base_url),
        ],
        rules=[{"name": "balls", "model": "threshold-brain"}],
        tables={"inference": {"models": str(SMALL_MODELS), "server": "in-process"}},
    )


class Life:
    """What stands where, as its archives say it."""

    def __init__(self, folder: Path, yields: Orthanc, hides: Orthanc) -> None:
        self._folder, self.yields, self.hides = folder, yields, hides
        self._looks = 0

    def look(self, archive: Orthanc) -> tuple[set[str], list[FileDataset]]:
        """Return the UIDs of results, and the rejection notes."""
        self._looks += 1
        paths = archive.download(self._folder / str(self._looks))
        read = [dcmread(path, stop_before_pixels=True) for path in paths]
        notes = [one for one in read if "Rejected" in one.get("SeriesDescription", "")]
        rejecting = {str(one.SOPInstanceUID) for one in notes}
        return {str(one.SOPInstanceUID) for one in read} - rejecting, notes


def named(note: Dataset) -> set[str]:
    return {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in note.ContentSequence}


def title(note: Dataset) -> str:
    return str(note.ConceptNameCodeSequence[0].CodeValue)


def reports_of(archive: Orthanc) -> set[str]:
    return {one.sop_instance_uid for one in archive.instances(modality="SR")}


def predecessors(archive: Orthanc) -> set[str]:
    """Return what the reports of an archive say that they take the place of."""
    found = set()
    for one in archive.instances(modality="SR"):
        report = dcmread(BytesIO(archive.file(one)))
        for study in report.get("PredecessorDocumentsSequence", ()):
            for series in study.ReferencedSeriesSequence:
                found |= {item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence}
    return found


def settled(site: Site, deliveries: int, withdrawals: int) -> bool:
    (owed,), *_ = site.rows("select count(*) from delivery where state = 'OWED'")
    (made,), *_ = site.rows("select count(*) from delivery where state != 'PARKED'")
    (gone,), *_ = site.rows("select count(*) from withdrawal where state in ('WITHDRAWN', 'KEPT')")
    return (owed, made, gone) == (0, deliveries, withdrawals)


def send(site: Site, study: SmallStudy) -> None:
    sent = storescu(study.folder, port=site.port)
    assert sent.returncode == 0, sent.output


def descriptions(archive: Orthanc) -> set[str]:
    return {one.series_description for one in archive.instances() if one.modality != "KO"}


def test_each_archive_shows_one_result_and_none_when_it_is_retracted(
    tmp_path: Path, orthanc: Orthanc, sekmet: Sekmet
) -> None:
    patient = admit(sekmet, 951)
    study = small_study(tmp_path / "study", 951)
    with (
        running_orthanc(tmp_path / "hides", ae_title="HIDES") as hides,
        running_site(tmp_path / "site", plan(orthanc, hides, sekmet)) as site,
    ):
        life = Life(tmp_path / "looks", orthanc, hides)
        with site.running(("listener",), ("keeper",), ANALYSE, DELIVER):
            site.wait_listening()
            send(site, study)
            site.wait(lambda: settled(site, 3, 0), "the first result", 120)
            first = {archive.url: life.look(archive)[0] for archive in (orthanc, hides)}
            assert not first[orthanc.url] & first[hides.url]

            assert site.cli("rerun", study.uid).returncode == 0
            site.wait(lambda: settled(site, 6, 3), "the second result", 120)
            second, notes = life.look(orthanc)
            assert not second & first[orthanc.url]
            assert notes == []
            assert all(one.endswith("rev 1") for one in descriptions(orthanc))
            both, (note,) = life.look(hides)
            assert named(note) == first[hides.url]
            assert title(note) == QUALITY
            newer = both - named(note)
            assert predecessors(hides) == named(note) & reports_of(hides)
            assert len(newer) == len(first[hides.url])

            done = site.cli("retract", study.uid, "--reason", "trained on wrong labels")
            assert done.returncode == 0, done.stderr
            site.wait(lambda: settled(site, 6, 6), "the retraction", 120)
        assert life.look(orthanc) == (set(), [])
        everything, notes = life.look(hides)
        assert everything == first[hides.url] | newer
        (last,) = [one for one in notes if title(one) == PATIENT_SAFETY]
        assert named(last) == newer
        for note in notes:
            path = Path(str(note.filename))
            assert validators.dciodvfy_errors(path) == []
            assert validators.pixelmed_errors(path) == []
        assert {one.StudyInstanceUID for one in notes} == {study.uid}
        assert {one.PatientID for one in notes} == {"OVR-000951"}
        statuses = {one["status"] for one in sekmet.search("DiagnosticReport", subject=patient)}
        assert statuses == {"entered-in-error"}
        story = site.explain(study.uid)
        for words in ("result superseded", "result retracted", "RETRACTED: WITHDRAWN"):
            assert words in story
        assert site.cli("ledger", "--verify").returncode == 0
