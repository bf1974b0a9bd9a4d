"""Storage Commitment, MPPS and IAN: the node's own processes, asked by a real requestor."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import (
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from tests.acceptance.site import Plan, Site, running_site
from tests.peers import wait_for
from tests.peers.orthanc import Modality, Orthanc, running_orthanc
from tests.unit.node.samples import MR, SERIES, STUDY, dicom

pytestmark = pytest.mark.peers

COUNT = 3
KEEPER = ("keeper",)
LISTENER = ("listener",)


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path / "orthanc") as server:
        for number in range(1, COUNT + 1):
            path = tmp_path / f"{number}.dcm"
            path.write_bytes(dicom(number))
            server.upload(path)
        yield server


def plan(orthanc: Orthanc, *, enabled: bool = True) -> Plan:
    peer = {
        "name": "pacs",
        "ae_title": "ORTHANC",
        "host": "127.0.0.1",
        "port": orthanc.dicom_port,
        "roles": ["source"],
        "timeout_s": 5.0,
    }
    caller = {"name": "ct", "ae_title": "CT", "roles": ["source"]}
    return Plan(
        peers=[peer, caller], rules=[], tables={"commitment": {"enabled": enabled}}, lease_s=3.0
    )


@pytest.fixture
def site(tmp_path: Path, orthanc: Orthanc) -> Iterator[Site]:
    with running_site(tmp_path / "site", plan(orthanc)) as site:
        orthanc.register(Modality(name="overread", ae_title="OVERREAD", port=site.port))
        yield site


def ask(orthanc: Orthanc) -> Callable[[], dict[str, object]]:
    """Ask the node to keep everything; return what tells how the transaction stands."""
    ids = [one.orthanc_id for one in orthanc.instances()]
    told = json.loads(
        orthanc._rest("POST", "/modalities/overread/storage-commitment", {"Resources": ids})
    )

    def standing() -> dict[str, object]:
        found: dict[str, object] = json.loads(orthanc._rest("GET", told["Path"]))
        return found

    return standing


def wait_reported(standing: Callable[[], dict[str, object]]) -> dict[str, object]:
    wait_for(lambda: standing()["Status"] != "Pending", timeout_s=60, what="the report")
    return standing()


def test_what_was_sent_is_committed_and_held(site: Site, orthanc: Orthanc) -> None:
    with site.running(LISTENER, KEEPER):
        site.wait_listening()
        orthanc.send("overread")
        found = wait_reported(ask(orthanc))
        site.wait(lambda: site.rows("select 1 from commitment where state = 'REPORTED'"), "the end")
    assert found["Status"] == "Success"
    assert found["Failures"] == []
    assert len(found["Success"]) == COUNT  # type: ignore[arg-type]
    ((held, days),) = site.rows(
        "select count(*), round(min(until - answered_at) / 86400) from commitment_held, commitment"
    )
    assert (held, days) == (COUNT, 30)
    assert site.rows("select kind, count(*) from announcement group by 1") == [
        ("commitment", COUNT)
    ]
    assert "commitment reported" in site.explain(STUDY)


def test_what_never_came_is_not_committed(site: Site, orthanc: Orthanc) -> None:
    with site.running(LISTENER, KEEPER):
        site.wait_listening()
        found = wait_reported(ask(orthanc))
    assert found["Status"] == "Failure"
    failures = found["Failures"]
    assert isinstance(failures, list)
    assert [one["FailureReason"] for one in failures] == [0x0112] * COUNT
    assert site.rows("select * from commitment_held") == []


def test_a_file_that_changed_on_the_disk_is_not_committed(site: Site, orthanc: Orthanc) -> None:
    with site.running(LISTENER, KEEPER):
        site.wait_listening()
        orthanc.send("overread")
        site.wait_recorded(COUNT)
        ((path,),) = site.rows("select path from instance where sop_instance_uid = '2.25.3002'")
        file = site.data / "files" / path
        file.write_bytes(file.read_bytes()[:-2] + b"\1\1")
        found = wait_reported(ask(orthanc))
    failures = found["Failures"]
    assert isinstance(failures, list)
    assert [one["SOPInstanceUID"] for one in failures] == ["2.25.3002"]
    held = site.rows("select sop_instance_uid from commitment_held order by 1")
    assert held == [("2.25.3001",), ("2.25.3003",)]


def test_the_report_comes_although_the_node_was_killed_after_the_request(
    site: Site, orthanc: Orthanc
) -> None:
    with site.running(LISTENER):
        site.wait_listening()
        orthanc.send("overread")
        standing = ask(orthanc)
        assert standing()["Status"] == "Pending"
    # the listener is dead now, by SIGKILL, and no keeper was ever there
    assert standing()["Status"] == "Pending"
    with site.running(KEEPER):
        assert wait_reported(standing)["Status"] == "Success"


def test_a_keeper_that_is_killed_while_it_reports_owes_the_same_answer(
    site: Site, orthanc: Orthanc, tmp_path: Path
) -> None:
    (peer,) = (
        pid
        for pid in (int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit())
        if str(tmp_path / "orthanc").encode() in _command(pid)
    )
    with site.running(LISTENER):
        site.wait_listening()
        orthanc.send("overread")
        standing = ask(orthanc)
        os.kill(peer, signal.SIGSTOP)  # accepts the connection in the kernel, and answers nothing
        try:
            with site.running(KEEPER):
                site.wait(
                    lambda: site.rows("select 1 from commitment where answered_at is not null"),
                    "the answer to be kept",
                )
        finally:
            os.kill(peer, signal.SIGCONT)
        assert site.rows("select state from commitment") == [("OWED",)]
        answered = site.rows("select answered_at from commitment")
        with site.running(KEEPER):
            assert wait_reported(standing)["Status"] == "Success"
        assert site.rows("select answered_at from commitment") == answered


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


# --- requests by pynetdicom, which can also send what a peer should not


def references(*numbers: int) -> list[Dataset]:
    items = []
    for number in numbers:
        item = Dataset()
        item.ReferencedSOPClassUID = MR
        item.ReferencedSOPInstanceUID = f"2.25.300{number}"
        items.append(item)
    return items


def associate(site: Site, sop_class: str, ae_title: str = "CT") -> AE:
    entity = AE(ae_title=ae_title)
    entity.add_requested_context(sop_class)
    return entity.associate("127.0.0.1", site.port, ae_title="OVERREAD")


def test_a_peer_without_address_is_not_promised_an_answer(site: Site) -> None:
    asked = Dataset()
    asked.TransactionUID = "2.25.9"
    asked.ReferencedSOPSequence = references(1)
    with site.running(LISTENER):
        site.wait_listening()
        association = associate(site, StorageCommitmentPushModel)
        status, _ = association.send_n_action(
            asked, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        association.release()
    assert status.Status == 0x0124
    assert site.rows("select * from commitment") == []


def test_storage_commitment_is_not_offered_unless_it_is_switched_on(
    tmp_path: Path, orthanc: Orthanc
) -> None:
    with (
        running_site(tmp_path / "off", plan(orthanc, enabled=False)) as site,
        site.running(LISTENER),
    ):
        site.wait_listening()
        association = associate(site, StorageCommitmentPushModel)
        assert not association.is_established
        assert associate(site, ModalityPerformedProcedureStep).is_established


def test_a_completed_procedure_step_announces_its_instances(site: Site) -> None:
    scheduled = Dataset()
    scheduled.StudyInstanceUID = STUDY
    begun = Dataset()
    begun.PerformedProcedureStepStatus = "IN PROGRESS"
    begun.ScheduledStepAttributesSequence = [scheduled]
    begun.PerformedSeriesSequence = []
    series = Dataset()
    series.SeriesInstanceUID = SERIES
    series.ReferencedImageSequence = references(1, 2, 3)
    done = Dataset()
    done.PerformedProcedureStepStatus = "COMPLETED"
    done.PerformedSeriesSequence = [series]
    mpps = ModalityPerformedProcedureStep
    with site.running(LISTENER):
        site.wait_listening()
        association = associate(site, mpps)
        unknown, _ = association.send_n_set(done, mpps, "2.25.7")
        created, _ = association.send_n_create(begun, mpps, "2.25.7")
        doubled, _ = association.send_n_create(begun, mpps, "2.25.7")
        assert site.rows("select * from announcement") == []
        completed, _ = association.send_n_set(done, mpps, "2.25.7")
        over, _ = association.send_n_set(done, mpps, "2.25.7")
        association.release()
    answers = [one.Status for one in (unknown, created, doubled, completed, over)]
    assert answers == [0x0112, 0x0000, 0x0111, 0x0000, 0x0110]
    assert over.ErrorID == 0xA710
    assert site.rows(
        "select kind, study_instance_uid, series_instance_uid, sop_instance_uid, peer "
        "from announcement order by line"
    ) == [("mpps", STUDY, SERIES, f"2.25.300{number}", "ct") for number in (1, 2, 3)]


def test_an_availability_notification_announces_its_instances(site: Site) -> None:
    series = Dataset()
    series.SeriesInstanceUID = SERIES
    series.ReferencedSOPSequence = references(1, 2)
    series.ReferencedSOPSequence[0].InstanceAvailability = "ONLINE"
    series.ReferencedSOPSequence[1].InstanceAvailability = "UNAVAILABLE"
    told = Dataset()
    told.StudyInstanceUID = STUDY
    told.ReferencedSeriesSequence = [series]
    ian = InstanceAvailabilityNotification
    with site.running(LISTENER):
        site.wait_listening()
        association = associate(site, ian)
        first, _ = association.send_n_create(told, ian, "2.25.8")
        again, _ = association.send_n_create(told, ian, "2.25.8")
        association.release()
    assert (first.Status, again.Status) == (0, 0)
    assert site.rows("select kind, sop_instance_uid from announcement") == [("ian", "2.25.3001")]
