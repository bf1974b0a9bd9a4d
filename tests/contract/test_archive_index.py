"""What every archive index promises, held on the double and on real archives alike."""

from dataclasses import replace
from pathlib import Path

import pytest

from integrations.archive import ArchiveIndex
from integrations.destination import Destination
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
def archive(request: pytest.FixtureRequest) -> tuple[Destination, ArchiveIndex]:
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
