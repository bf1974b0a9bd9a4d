"""What every archive index promises, held on the double and on real archives alike."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from integrations.archive import ArchiveIndex, PatientIndex
from integrations.destination import Destination
from integrations.errors import Refused
from integrations.pacs.dicomweb import Dicomweb
from integrations.pacs.peer import DicomPeer
from integrations.pacs.qido import QidoArchiveIndex
from integrations.pacs.query import DicomArchiveIndex
from integrations.pacs.storage import StorageDestination
from integrations.testing import MemoryArchive
from tests.peers.dcmqrscp import Dcmqrscp
from tests.peers.orthanc import Orthanc
from tests.peers.receiver import Receiver
from tests.unit.integrations.samples import report, write_instances


@pytest.fixture(
    params=[
        "memory",
        pytest.param("receiver", marks=pytest.mark.peers),
        pytest.param("orthanc", marks=pytest.mark.peers),
        pytest.param("dcmqrscp", marks=pytest.mark.peers),
        pytest.param("orthanc by QIDO-RS", marks=pytest.mark.peers),
    ]
)
def archive(request: pytest.FixtureRequest) -> tuple[Destination, object]:
    if request.param == "memory":
        double = MemoryArchive()
        return double, double
    server: Receiver | Orthanc | Dcmqrscp = request.getfixturevalue(request.param.partition(" ")[0])
    port = server.dicom_port if isinstance(server, Orthanc) else server.port
    peer = DicomPeer(ae_title=server.ae_title, host="127.0.0.1", port=port)
    destination = StorageDestination(peer, None)
    if isinstance(server, Orthanc) and "QIDO" in request.param:
        return destination, QidoArchiveIndex(Dicomweb(server.dicomweb_url))
    return destination, DicomArchiveIndex(peer)


def _ignore(sop_instance_uid: str, state: str) -> None:
    """Take no note of the progress."""


def test_lists_every_instance_of_a_series_and_none_of_another(
    archive: tuple[Destination, ArchiveIndex], tmp_path: Path
) -> None:
    destination, index = archive
    of, other = report(1), report(2)
    instances = write_instances(tmp_path, of, uids=("1", "2", "3", "4"))
    others = write_instances(tmp_path, other)
    destination.deliver(of, instances, in_doubt=frozenset(), progress=_ignore)
    destination.deliver(other, others, in_doubt=frozenset(), progress=_ignore)
    series = instances[1].series_instance_uid
    expected = frozenset(one.sop_instance_uid for one in instances[1:])
    assert index.instances(of.study.study_instance_uid, series) == expected


def test_an_unknown_series_is_empty(archive: tuple[Destination, ArchiveIndex]) -> None:
    _, index = archive
    assert index.instances("2.25.404", "2.25.405") == frozenset()


def test_a_series_is_not_found_under_another_study(
    archive: tuple[Destination, ArchiveIndex], tmp_path: Path
) -> None:
    destination, index = archive
    of = report(3)
    instances = write_instances(tmp_path, of)
    destination.deliver(of, instances, in_doubt=frozenset(), progress=_ignore)
    assert index.instances("2.25.404", instances[0].series_instance_uid) == frozenset()


KEYWORDS = ("PatientID", "IssuerOfPatientID", "PatientName", "AccessionNumber")
NAMES = ("Doe^Colin", "Müller^Jürgen", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Иванов^Иван")


@pytest.mark.parametrize("name", NAMES)
def test_says_whose_study_it_is_decoded(
    archive: tuple[Destination, ArchiveIndex], tmp_path: Path, name: str
) -> None:
    destination, index = archive
    of = report(20 + NAMES.index(name))
    patient = replace(of.study.patient, patient_name=name)
    of = replace(of, study=replace(of.study, patient=patient))
    instances = write_instances(tmp_path, of)
    destination.deliver(of, instances, in_doubt=frozenset(), progress=_ignore)
    told = index.attributes(of.study.study_instance_uid, KEYWORDS)
    assert told is not None
    assert told["PatientID"] == "MRN-4711"
    groups = told.get("PatientName", "").split("=")
    # some give the alphabetic group alone, and Orthanc answers in Latin 1 unless it is told otherwise, without
    # the characters that are not in it: of those it says nothing, and nothing else instead
    for said, meant in zip(groups, name.split("="), strict=False):
        assert said.strip("^") in {"", meant}
    if groups[0].isascii() is name.isascii():
        assert groups[0] == name.split("=", maxsplit=1)[0]
    assert set(told) <= set(KEYWORDS)
    assert all(told.values())


def test_an_unknown_study_is_nobodys(archive: tuple[Destination, ArchiveIndex]) -> None:
    _, index = archive
    assert index.attributes("2.25.404", KEYWORDS) is None


def test_lists_the_studies_of_a_patient_within_days(
    archive: tuple[Destination, PatientIndex], tmp_path: Path
) -> None:
    destination, index = archive
    days = {31: date(2025, 1, 31), 32: date(2025, 2, 1), 33: date(2025, 3, 1), 34: date(2025, 2, 3)}
    for number, day in days.items():
        of = report(number)
        patient = replace(of.study.patient, patient_id="PRIORS-1" if number < 34 else "PRIORS-11")
        of = replace(of, study=replace(of.study, patient=patient, started=day))
        folder = tmp_path / str(number)
        folder.mkdir()
        instances = write_instances(folder, of, uids=(f"2.25.9{number}1", f"2.25.9{number}2"))
        destination.deliver(of, instances, in_doubt=frozenset(), progress=_ignore)
    between = (date(2025, 2, 1), date(2025, 2, 28))
    (told,) = index.studies_of("PRIORS-1", between, ("PatientID", "StudyDate"))
    assert told == {
        "StudyInstanceUID": report(32).study.study_instance_uid,
        "PatientID": "PRIORS-1",
        "StudyDate": "20250201",
    }
    both = index.studies_of("PRIORS-1", (date(2025, 1, 31), date(2025, 2, 28)), ("StudyDate",))
    assert sorted(one["StudyDate"] for one in both) == ["20250131", "20250201"]
    assert list(index.studies_of("PRIORS-404", between, ("PatientID",))) == []


@pytest.mark.parametrize("number", ["", " ", "PRIORS-*", "PRIORS-?", "PRIORS-1\\PRIORS-11"])
def test_a_number_that_matches_others_is_not_asked_for(
    archive: tuple[Destination, PatientIndex], number: str
) -> None:
    _, index = archive
    with pytest.raises(Refused, match="PATIENT-ID-AMBIGUOUS"):
        index.studies_of(number, (date(2025, 1, 1), date(2025, 1, 1)), ())


def test_lists_the_series_of_a_study(
    archive: tuple[Destination, PatientIndex], tmp_path: Path
) -> None:
    destination, index = archive
    of = report(41)
    instances = write_instances(tmp_path, of)
    destination.deliver(of, instances, in_doubt=frozenset(), progress=_ignore)
    told = index.series_of(of.study.study_instance_uid, ("Modality", "BodyPartExamined"))
    assert {(one["SeriesInstanceUID"], one["Modality"]) for one in told} == {
        (instances[0].series_instance_uid, "SEG"),
        (instances[1].series_instance_uid, "SR"),
    }
    assert list(index.series_of("2.25.404", ("Modality",))) == []
