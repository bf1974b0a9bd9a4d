"""What every destination promises, held on the doubles and on the real peers alike."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from pydicom import dcmread

from inference.uids import derived_uid
from integrations.archive import ArchiveIndex
from integrations.destination import Destination
from integrations.errors import NotVerified, Refused
from integrations.fhir.client import FhirClient
from integrations.fhir.destination import FhirDestination
from integrations.hl7.destination import OruDestination
from integrations.hl7.sending import MllpPeer
from integrations.pacs.delivery import Ways
from integrations.pacs.dicomweb import Dicomweb
from integrations.pacs.orthanc import OrthancDeletion
from integrations.pacs.peer import DicomPeer
from integrations.pacs.qido import QidoArchiveIndex
from integrations.pacs.query import DicomArchiveIndex
from integrations.pacs.storage import StorageDestination
from integrations.pacs.stow import StowDestination
from integrations.report import Report
from integrations.testing import MemoryArchive, MemoryReports
from tests.peers.dcmqrscp import Dcmqrscp
from tests.peers.ehr import OtherEhr, served
from tests.peers.engine import running_engine
from tests.peers.orthanc import Orthanc
from tests.peers.receiver import Receiver
from tests.peers.sekmet import Sekmet
from tests.unit.integrations.samples import colin, report, write_instances


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """An archive under test: how to bring something there, and what it says it has."""

    destination: Destination
    index: ArchiveIndex
    arrivals: Callable[[], list[str]] | None
    """Every arrival in order; None where the peer does not tell."""


def _dicom(port: int, ae_title: str) -> tuple[StorageDestination, DicomArchiveIndex]:
    peer = DicomPeer(ae_title=ae_title, host="127.0.0.1", port=port)
    index = DicomArchiveIndex(peer)
    return StorageDestination(peer, index), index


@pytest.fixture(
    params=[
        "memory",
        pytest.param("receiver", marks=pytest.mark.peers),
        pytest.param("orthanc", marks=pytest.mark.peers),
        pytest.param("orthanc-stow", marks=pytest.mark.peers),
        pytest.param("dcmqrscp", marks=pytest.mark.peers),
    ]
)
def archive(request: pytest.FixtureRequest) -> Archive:
    if request.param == "memory":
        double = MemoryArchive()
        return Archive(destination=double, index=double, arrivals=lambda: list(double.sent))
    if request.param == "receiver":
        receiver: Receiver = request.getfixturevalue("receiver")
        storage, index = _dicom(receiver.port, receiver.ae_title)
        return Archive(
            destination=storage,
            index=index,
            arrivals=lambda: [one.sop_instance_uid for one in receiver.received],
        )
    if request.param == "dcmqrscp":
        dcmqrscp: Dcmqrscp = request.getfixturevalue("dcmqrscp")
        storage, index = _dicom(dcmqrscp.port, dcmqrscp.ae_title)
        return Archive(destination=storage, index=index, arrivals=None)
    server: Orthanc = request.getfixturevalue("orthanc")
    if request.param == "orthanc-stow":
        service = Dicomweb(server.dicomweb_url)
        by_web = QidoArchiveIndex(service)
        return Archive(destination=StowDestination(service, by_web), index=by_web, arrivals=None)
    storage, index = _dicom(server.dicom_port, server.ae_title)
    return Archive(destination=storage, index=index, arrivals=None)


class Steps:
    """Records the progress that a destination tells."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def __call__(self, sop_instance_uid: str, state: str) -> None:
        self.told.append((sop_instance_uid, state))


@pytest.fixture
def steps() -> Steps:
    return Steps()


def test_instances_arrive_in_order_and_are_confirmed(
    archive: Archive, steps: Steps, tmp_path: Path
) -> None:
    of = report()
    instances = write_instances(tmp_path, of, uids=("3", "1", "2"))
    uids = [one.sop_instance_uid for one in instances]
    receipt = archive.destination.deliver(of, instances, in_doubt=frozenset(), progress=steps)
    assert receipt.references == tuple(uids)
    assert receipt.confirmed
    assert receipt.remark is None
    assert steps.told == [(uid, state) for uid in uids for state in ("SENDING", "SENT")]
    if archive.arrivals is not None:
        assert archive.arrivals() == uids
    for one in instances:
        held = archive.index.instances(of.study.study_instance_uid, one.series_instance_uid)
        assert one.sop_instance_uid in held


def test_an_instance_in_doubt_that_arrived_is_not_sent_again(
    archive: Archive, steps: Steps, tmp_path: Path
) -> None:
    of = report()
    instances = write_instances(tmp_path, of)
    first, second = (one.sop_instance_uid for one in instances)
    archive.destination.deliver(of, instances[:1], in_doubt=frozenset(), progress=Steps())
    receipt = archive.destination.deliver(
        of, instances, in_doubt=frozenset({first, second}), progress=steps
    )
    assert receipt.confirmed
    assert steps.told == [(first, "SENT"), (second, "SENDING"), (second, "SENT")]
    if archive.arrivals is not None:
        assert archive.arrivals() == [first, second]


def test_an_instance_sent_twice_has_one_effect(archive: Archive, tmp_path: Path) -> None:
    of = report()
    instances = write_instances(tmp_path, of)
    for _ in range(2):
        receipt = archive.destination.deliver(of, instances, in_doubt=frozenset(), progress=Steps())
        assert receipt.confirmed
    held = [
        archive.index.instances(of.study.study_instance_uid, one.series_instance_uid)
        for one in instances
    ]
    assert held == [frozenset({one.sop_instance_uid}) for one in instances]


def test_an_archive_without_a_way_takes_nothing_back(archive: Archive, tmp_path: Path) -> None:
    of = report()
    receipt = archive.destination.deliver(
        of, write_instances(tmp_path, of), in_doubt=frozenset(), progress=Steps()
    )
    with pytest.raises(Refused) as refused:
        archive.destination.withdraw(of, receipt, "IDENTITY-CORRECTED")
    assert refused.value.reason == "NO-WITHDRAWAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Yielding:
    """An archive that takes results back, and which of them it still gives to whoever looks."""

    destination: Destination
    shown: Callable[[], set[str]]


def _rejected(paths: Sequence[Path]) -> set[str]:
    """Return what the rejection notes among some objects name (IHE RAD IOCM)."""
    notes = [one for one in map(dcmread, paths) if one.Modality == "KO"]
    return {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for note in notes
        for item in note.ContentSequence
    }


@pytest.fixture(
    params=[
        "memory",
        pytest.param("orthanc-delete", marks=pytest.mark.peers),
        pytest.param("orthanc-iocm", marks=pytest.mark.peers),
        pytest.param("orthanc-stow-delete", marks=pytest.mark.peers),
        pytest.param("orthanc-stow-iocm", marks=pytest.mark.peers),
        pytest.param("receiver-iocm", marks=pytest.mark.peers),
        pytest.param("dcmqrscp-iocm", marks=pytest.mark.peers),
    ]
)
def yielding(request: pytest.FixtureRequest, tmp_path: Path) -> Yielding:
    if request.param == "memory":
        double = MemoryArchive(withdraws=True)
        return Yielding(destination=double, shown=lambda: set(double.stored))
    if request.param == "receiver-iocm":
        receiver: Receiver = request.getfixturevalue("receiver")
        peer = DicomPeer(ae_title=receiver.ae_title, host="127.0.0.1", port=receiver.port)
        return Yielding(
            destination=StorageDestination(peer, DicomArchiveIndex(peer), notes=derived_uid),
            shown=lambda: (
                {uid for uid, path in receiver.stored.items() if _is_result(path)}
                - _rejected([*receiver.stored.values()])
            ),
        )
    if request.param == "dcmqrscp-iocm":
        dcmqrscp: Dcmqrscp = request.getfixturevalue("dcmqrscp")
        peer = DicomPeer(ae_title=dcmqrscp.ae_title, host="127.0.0.1", port=dcmqrscp.port)
        return Yielding(
            destination=StorageDestination(peer, DicomArchiveIndex(peer), notes=derived_uid),
            shown=lambda: (
                {str(dcmread(one).SOPInstanceUID) for one in dcmqrscp.files() if _is_result(one)}
                - _rejected(dcmqrscp.files())
            ),
        )
    server: Orthanc = request.getfixturevalue("orthanc")
    peer = DicomPeer(ae_title=server.ae_title, host="127.0.0.1", port=server.dicom_port)
    service = Dicomweb(server.dicomweb_url)
    deletes = request.param.endswith("-delete")
    ways = Ways(
        take_back=OrthancDeletion(server.url) if deletes else None,
        notes=None if deletes else derived_uid,
    )
    by_stow = StowDestination(service, QidoArchiveIndex(service), **ways)
    by_store = StorageDestination(peer, DicomArchiveIndex(peer), **ways)

    def shown() -> set[str]:
        paths = server.download(tmp_path / uuid4().hex)
        return {path.stem for path in paths if _is_result(path)} - _rejected(paths)

    return Yielding(destination=by_stow if "stow" in request.param else by_store, shown=shown)


def _is_result(path: Path) -> bool:
    return bool(dcmread(path).Modality != "KO")


@pytest.mark.parametrize("reason", ["SUPERSEDED", "RETRACTED"])
def test_what_was_delivered_is_taken_back_and_nothing_else(
    yielding: Yielding, tmp_path: Path, reason: str
) -> None:
    wrong, right = report(11), report(12)
    study = wrong.study
    right = replace(right, study=study)
    instances = write_instances(tmp_path, wrong)
    others = write_instances(tmp_path, right)
    for of, objects in ((wrong, instances), (right, others)):
        yielding.destination.deliver(of, objects, in_doubt=frozenset(), progress=Steps())
    first, second = (
        yielding.destination.withdraw(
            wrong, None, reason, instances=instances, owed_at=datetime(2026, 11, 1, tzinfo=UTC)
        )
        for _ in range(2)
    )
    assert set(first.references) == {one.sop_instance_uid for one in instances}
    assert first.confirmed
    assert first.remark is None
    assert second.remark in {"nothing stood there", "it was withdrawn before"}
    assert yielding.shown() == {one.sop_instance_uid for one in others}


def test_what_never_arrived_is_no_object_to_take_back(yielding: Yielding, tmp_path: Path) -> None:
    of = report(13)
    first, second = write_instances(tmp_path, of)
    nothing = yielding.destination.withdraw(of, None, "RETRACTED", instances=[first, second])
    assert (nothing.references, nothing.remark) == ((), "nothing stood there")
    yielding.destination.deliver(of, [first], in_doubt=frozenset(), progress=Steps())
    part = yielding.destination.withdraw(of, None, "RETRACTED", instances=[first, second])
    assert part.references == (first.sop_instance_uid,)
    assert yielding.shown() == set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """A record under test, and how many reports it holds.

    Parameters
    ----------
    tells
        Whether it can be asked what it holds. Who cannot be asked is sent the same again, and has it once.
    nobody, refusal
        How a report becomes one of nobody, and the reason why that is not brought.
    """

    destination: Destination
    patient: str
    count: Callable[[], int]
    tells: bool = True
    nobody: Callable[[Report], Report] = lambda of: replace(of, record_patient=None)
    refusal: str = "PATIENT-NOT-VERIFIED"


OTHER_EHRS = {
    "other-transaction": lambda: OtherEhr(transactions="in parts"),
    "other-put": lambda: OtherEhr(conditional=False, transactions="none", chooses_ids=False),
    "other-search": lambda: OtherEhr(conditional=False, transactions="none", versions=False),
}
"""An EHR that does everything in the other way, by what it can."""


@pytest.fixture(
    params=["memory", pytest.param("sekmet", marks=pytest.mark.peers), *OTHER_EHRS, "oru"],
)
def reports(request: pytest.FixtureRequest) -> Iterator[Reports]:
    if request.param == "oru":
        with running_engine() as engine:
            yield Reports(
                destination=OruDestination(MllpPeer(host="127.0.0.1", port=engine.port)),
                patient="Patient/colin",
                count=lambda: len(engine.reports),
                tells=False,
                nobody=_without_patient_id,
                refusal="NO-PATIENT-ID",
            )
        return
    if request.param in OTHER_EHRS:
        ehr = OTHER_EHRS[request.param]()
        with served(ehr) as url, FhirClient(url) as client:
            yield Reports(
                destination=FhirDestination(client),
                patient="Patient/colin",
                count=lambda: ehr.count("DiagnosticReport"),
            )
        return
    if request.param == "memory":
        double = MemoryReports()
        yield Reports(
            destination=double, patient="Patient/colin", count=lambda: len(double.reports)
        )
        return
    server: Sekmet = request.getfixturevalue("sekmet")
    before = server.count("DiagnosticReport")
    server.put(colin())
    with FhirClient(server.base_url) as client:
        yield Reports(
            destination=FhirDestination(client),
            patient="Patient/colin",
            count=lambda: server.count("DiagnosticReport") - before,
        )


def _without_patient_id(of: Report) -> Report:
    patient = replace(of.study.patient, patient_id="")
    return replace(of, study=replace(of.study, patient=patient))


def _own_report(patient: str | None) -> Report:
    """Give a report with identifiers that no earlier test has written."""
    number = uuid4().int % 10**9
    return replace(report(number), record_patient=patient)


def test_a_report_is_written_once_however_often_it_is_brought(reports: Reports) -> None:
    of = _own_report(reports.patient)
    told = Steps()
    first = reports.destination.deliver(of, [], in_doubt=frozenset(), progress=told)
    second = reports.destination.deliver(of, [], in_doubt=frozenset(), progress=told)
    assert reports.count() == 1
    assert first.confirmed
    assert second.confirmed
    assert second.references[0] == first.references[0]
    assert first.remark is None
    if reports.tells:
        assert first.references[0].startswith("DiagnosticReport/")
        assert second.remark == "it was there already"


def test_two_result_sets_are_two_reports(reports: Reports) -> None:
    for _ in range(2):
        of = _own_report(reports.patient)
        reports.destination.deliver(of, [], in_doubt=frozenset(), progress=Steps())
    assert reports.count() == 2


def test_a_revision_takes_the_place_of_the_former_and_not_the_other_way_round(
    reports: Reports,
) -> None:
    first = _own_report(reports.patient)
    second = replace(
        first,
        result_set_uid=f"{first.result_set_uid}.1",
        issued=first.issued + timedelta(hours=1),
        predecessors=(first.result_set_uid,),
    )
    former, newer, late = (
        reports.destination.deliver(of, [], in_doubt=frozenset(), progress=Steps())
        for of in (first, second, first)
    )
    assert former.references[0] == newer.references[0] == late.references[0]
    assert newer.remark is None
    assert reports.count() == 1
    if reports.tells:
        assert late.remark == "a newer result stands there"
        gone = reports.destination.withdraw(first, former, "RETRACTED")
        assert gone.remark == "nothing stood there"
    assert reports.destination.withdraw(second, newer, "RETRACTED").remark is None


def test_nothing_is_written_without_a_verified_patient(reports: Reports) -> None:
    of = reports.nobody(_own_report(reports.patient))
    with pytest.raises(Refused) as refused:
        reports.destination.deliver(of, [], in_doubt=frozenset(), progress=Steps())
    assert refused.value.reason == reports.refusal
    assert not isinstance(refused.value, NotVerified)
    assert reports.count() == 0


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "answer lost"])
def test_a_report_is_withdrawn_once_however_often_it_is_taken_back(
    reports: Reports, answered: bool
) -> None:
    of = _own_report(reports.patient)
    given = reports.destination.deliver(of, [], in_doubt=frozenset(), progress=Steps())
    receipt = given if answered else None
    first = reports.destination.withdraw(of, receipt, "IDENTITY-CORRECTED")
    second = reports.destination.withdraw(of, receipt, "IDENTITY-CORRECTED")
    assert first.references[0] == given.references[0]
    assert first.confirmed
    assert first.remark is None
    again = reports.destination.deliver(of, [], in_doubt=frozenset(), progress=Steps())
    if reports.tells:
        assert (second.references, second.remark) == ((), "it was withdrawn before")
        assert again.remark == "it was there already"
    else:
        assert second == first
    assert reports.count() == 1


def test_what_never_arrived_is_nothing_to_withdraw(reports: Reports) -> None:
    receipt = reports.destination.withdraw(_own_report(reports.patient), None, "IDENTITY-CORRECTED")
    if reports.tells:
        assert (receipt.references, receipt.remark) == ((), "nothing stood there")
        assert reports.count() == 0
    else:
        assert receipt.confirmed, "it may have arrived: it is withdrawn from the beginning"


def test_withdrawing_one_report_leaves_another_as_it_is(reports: Reports) -> None:
    wrong, right = _own_report(reports.patient), _own_report(reports.patient)
    for of in (wrong, right):
        reports.destination.deliver(of, [], in_doubt=frozenset(), progress=Steps())
    reports.destination.withdraw(wrong, None, "IDENTITY-CORRECTED")
    assert reports.destination.withdraw(right, None, "x").remark is None  # it stood
