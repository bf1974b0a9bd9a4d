"""Killed, paused, rung twice, sent twice: one SEG, one SR, one report, counted by a receiver that logs."""

import itertools
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import MRImageStorage

from integrations.pacs.peer import keep_answers
from node import settings
from node.worker.app import create_app, ring
from tests.acceptance.proxy import Wire, wire
from tests.acceptance.site import (
    ANALYSE,
    DELIVER,
    HEAD,
    JPEG_LS,
    PATIENT,
    SMALL_MODELS,
    Plan,
    Site,
    end,
    kill,
    kill_all,
    peer_archive,
    peer_ehr,
    peer_source,
    running_site,
)
from tests.acceptance.studies import SmallStudy, admit, small_study
from tests.peers import free_port
from tests.peers.dcmtk import storescu
from tests.peers.receiver import Receiver
from tests.peers.sekmet import Sekmet

pytestmark = [pytest.mark.peers, pytest.mark.slow]

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
REPORT = "1.2.840.10008.5.1.4.1.1.88.34"
LEASE_S = 3.0
BELLS = 10
NUMBERS = itertools.count(101)


@dataclass(kw_only=True)
class Hospital:
    """A site whose listener and keeper run, an archive that counts, and an EHR behind a wire."""

    site: Site
    archive: Receiver
    ehr: Sekmet
    ehr_wire: Wire
    listener: subprocess.Popen[bytes]
    keeper: subprocess.Popen[bytes]

    def send(self, study: SmallStudy) -> None:
        sent = storescu(study.folder, port=self.site.port)
        assert sent.returncode == 0, sent.output

    def wait_confirmed(self, uid: str) -> None:
        confirmed = {"pacs": ("CONFIRMED", None), "ehr": ("CONFIRMED", None)}
        self.site.wait(lambda: self.site.deliveries(uid) == confirmed, "both deliveries")

    def patient(self, number: int) -> str:
        return admit(self.ehr, number)

    def assert_once(self, uid: str, patient: str) -> None:
        """One job, one result, one C-STORE of each object, one report."""
        assert self.site.jobs(uid) == ["COMPLETED"]
        question = "select count(*) from result_set where study_instance_uid = ?"
        assert self.site.rows(question, uid) == [(1,)]
        stored = [one for one in self.archive.received if one.study_instance_uid == uid]
        assert [one.sop_class_uid for one in stored] == [SEGMENTATION, REPORT]
        reports = self.ehr.search("DiagnosticReport", subject=patient)
        assert len(reports) == 1
        assert self.ehr.count("Observation", subject=patient) == len(reports[0]["result"])
        assert self.ehr.count("ImagingStudy", subject=patient) == 1
        assert len(self.trails(reports[0])) == 1

    def trails(self, report: dict[str, Any]) -> list[dict[str, Any]]:
        reference = f"DiagnosticReport/{report['id']}"
        return [
            trail
            for trail in self.ehr.search("Provenance")
            if any(one["reference"].endswith(reference) for one in trail["target"])
        ]


def running_hospital(
    folder: Path, archive: Receiver, ehr: Sekmet, tables: dict[str, Any], grpc_port: int | None
) -> Iterator[Hospital]:
    with wire(free_port(), ehr.port) as ehr_wire:
        shipped = grpc_port is not None
        plan = Plan(
            peers=[
                peer_source(results_to=["pacs", "ehr"]),
                peer_archive("pacs", archive.ae_title, archive.port),
                peer_ehr(f"http://127.0.0.1:{ehr_wire.port}/fhir"),
            ],
            lease_s=LEASE_S,
            grpc_port=grpc_port,
            rules=[{"name": "all", "model": "brain-extraction" if shipped else "threshold-brain"}],
            tables=tables,
        )
        with running_site(folder, plan) as site:
            listener, keeper = site.start("listener"), site.start("keeper")
            site.wait_listening()
            yield Hospital(
                site=site,
                archive=archive,
                ehr=ehr,
                ehr_wire=ehr_wire,
                listener=listener,
                keeper=keeper,
            )


@pytest.fixture(scope="module")
def small_hospital(
    tmp_path_factory: pytest.TempPathFactory, receiver_server: Receiver, sekmet: Sekmet
) -> Iterator[Hospital]:
    """Give a hospital whose model is quick and waits when it is told to."""
    inference = {"server": "in-process", "models": str(SMALL_MODELS)}
    folder = tmp_path_factory.mktemp("small")
    yield from running_hospital(folder, receiver_server, sekmet, {"inference": inference}, None)


@pytest.fixture
def hospital(small_hospital: Hospital, receiver: Receiver) -> Hospital:
    assert small_hospital.archive is receiver  # and it has forgotten the tests before
    small_hospital.site.open_gate()
    small_hospital.ehr_wire.let_go()
    return small_hospital


@pytest.fixture
def study(hospital: Hospital, tmp_path: Path) -> SmallStudy:
    """Give a study whose patient the EHR knows."""
    number = next(NUMBERS)
    return small_study(tmp_path / "study", number, patient=hospital.patient(number))


@pytest.fixture(scope="module")
def real_hospital(
    tmp_path_factory: pytest.TempPathFactory,
    receiver_server: Receiver,
    sekmet: Sekmet,
    triton_port: int,
) -> Iterator[Hospital]:
    """Give a hospital with the shipped model on Triton's own binary."""
    folder = tmp_path_factory.mktemp("real")
    yield from running_hospital(folder, receiver_server, sekmet, {}, triton_port)


def test_a_worker_killed_in_the_middle_of_a_job(hospital: Hospital, study: SmallStudy) -> None:
    site = hospital.site
    site.close_gate()
    with site.running(ANALYSE, DELIVER) as (first, _):
        hospital.send(study)
        site.wait_at_gate(first)
        assert site.jobs(study.uid) == ["IN PROGRESS"]
        kill(first)
        site.open_gate()
        with site.running(ANALYSE):
            hospital.wait_confirmed(study.uid)
    hospital.assert_once(study.uid, study.patient)
    assert any("attempt 2, the lease before had ended" in line for line in site.story(study.uid))


def test_a_worker_paused_past_its_lease_while_another_finishes(
    hospital: Hospital, study: SmallStudy
) -> None:
    site = hospital.site
    site.close_gate()
    with site.running(ANALYSE, DELIVER) as (sleeper, _):
        hospital.send(study)
        site.wait_at_gate(sleeper)
        sleeper.send_signal(signal.SIGSTOP)
        site.open_gate()
        with site.running(ANALYSE):
            hospital.wait_confirmed(study.uid)
            sleeper.send_signal(signal.SIGCONT)
            site.wait(lambda: "lease lost" in site.log_of(sleeper), "the sleeper's discovery")
    hospital.assert_once(study.uid, study.patient)
    assert len(list((site.data / "files" / "results").glob("*/overlay.png"))) == len(
        site.rows("select * from result_set")
    ), "what the sleeper made was kept"


def test_every_bell_rung_ten_times(hospital: Hospital, study: SmallStudy) -> None:
    site = hospital.site
    site.close_gate()
    with (
        site.running(ANALYSE, ANALYSE, DELIVER, DELIVER) as workers,
        create_app(settings.load(site.config)) as app,
    ):
        hospital.send(study)
        site.wait(lambda: site.jobs(study.uid) == ["IN PROGRESS"], "a claimed job")
        for _ in range(BELLS):
            assert ring(app, "analyse")
        site.open_gate()
        site.wait(lambda: site.deliveries(study.uid), "results")
        for _ in range(BELLS):
            assert ring(app, "deliver")
        hospital.wait_confirmed(study.uid)
        messages = site.data / "queue" / "messages"
        site.wait(lambda: not any(messages.iterdir()), "every bell to be answered")
        assert all(worker.poll() is None for worker in workers)
        end(workers)  # what a last bell began is finished before it is counted
    hospital.assert_once(study.uid, study.patient)


@pytest.mark.parametrize("objects", [1, 2], ids=["SEG", "SR"])
def test_a_delivery_killed_between_the_archives_response_and_its_record(
    hospital: Hospital, study: SmallStudy, objects: int
) -> None:
    site, archive = hospital.site, hospital.archive
    archive.delay_s = 2.0
    with site.running(ANALYSE, DELIVER) as (_, first):
        hospital.send(study)
        site.wait(lambda: len(archive.received) == objects, "the archive to have it")
        kill(first)
        question = "select count(*) from delivery_instance where state = 'SENDING'"
        assert site.rows(question) == [(1,)]
        archive.delay_s = 0.0
        with site.running(DELIVER):
            hospital.wait_confirmed(study.uid)
    hospital.assert_once(study.uid, study.patient)
    told = [one for one in site.story(study.uid) if one.startswith("delivery confirmed pacs")]
    assert told
    assert all(one.startswith("delivery confirmed pacs: 2 objects") for one in told)


def test_a_delivery_killed_between_the_ehrs_commit_and_its_record(
    hospital: Hospital, study: SmallStudy
) -> None:
    site, ehr = hospital.site, hospital.ehr
    hospital.ehr_wire.hold_answers_to("POST")
    with site.running(ANALYSE, DELIVER) as (_, first):
        hospital.send(study)
        site.wait(lambda: ehr.count("DiagnosticReport", subject=study.patient), "the EHR's commit")
        kill(first)
        assert site.deliveries(study.uid)["ehr"] == ("OWED", None)
        hospital.ehr_wire.let_go()
        with site.running(DELIVER):
            hospital.wait_confirmed(study.uid)
    hospital.assert_once(study.uid, study.patient)
    assert any("it was there already" in line for line in site.story(study.uid))


def test_a_keeper_killed_while_a_series_is_open(hospital: Hospital, study: SmallStudy) -> None:
    site = hospital.site
    hospital.send(study)
    kill(hospital.keeper)
    assert site.jobs(study.uid) == []
    hospital.keeper = site.start("keeper")
    with site.running(ANALYSE, DELIVER):
        hospital.wait_confirmed(study.uid)
    hospital.assert_once(study.uid, study.patient)


def test_a_listener_killed_in_the_middle_of_an_association(
    hospital: Hospital, study: SmallStudy
) -> None:
    site = hospital.site
    images = sorted(study.folder.iterdir())
    modality = AE("MODALITY")
    modality.add_requested_context(MRImageStorage)
    sender = modality.associate("127.0.0.1", site.port, ae_title="OVERREAD")
    assert sender.is_established
    keep_answers(sender)
    for image in images[: len(images) // 2]:
        assert sender.send_c_store(image).Status == 0x0000
    # Without the keeper nobody takes the interrupted half for a complete study while the listener is down.
    kill(hospital.keeper)
    kill_all(hospital.listener)
    site.wait(lambda: not sender.is_alive(), "the sender to notice")
    hospital.listener = site.start("listener")
    site.wait_listening()
    question = "select count(*) from instance where study_instance_uid = ?"
    site.wait(lambda: site.rows(question, study.uid) == [(len(images) // 2,)], "its half")
    hospital.send(study)
    hospital.keeper = site.start("keeper")
    with site.running(ANALYSE, DELIVER):
        hospital.wait_confirmed(study.uid)
    hospital.assert_once(study.uid, study.patient)


def test_nothing_of_all_that_was_acknowledged_is_lost(small_hospital: Hospital) -> None:
    balance = small_hospital.site.cli("ledger", "--verify")
    assert balance.returncode == 0, balance.stderr


def test_the_whole_way_run_twice_and_a_worker_killed_while_triton_computes(
    real_hospital: Hospital, receiver: Receiver, tmp_path: Path
) -> None:
    hospital, site = real_hospital, real_hospital.site
    assert hospital.archive is receiver
    patient = f"Patient/{hospital.ehr.create(PATIENT)['id']}"
    with site.running(ANALYSE, DELIVER) as (first, _):
        assert storescu(HEAD, port=site.port, transfer_syntax_uid=JPEG_LS).returncode == 0
        site.wait(lambda: _shares_memory(first.pid), "tensors in Triton's hands")
        kill(first)
        with site.running(ANALYSE):
            uid = str(site.rows("select study_instance_uid from study")[0][0])
            hospital.wait_confirmed(uid)
    hospital.assert_once(uid, patient)
    with site.running(ANALYSE, DELIVER):
        assert storescu(HEAD, port=site.port, transfer_syntax_uid=JPEG_LS).returncode == 0
        _wait_for_the_keeper(hospital, tmp_path)
    hospital.assert_once(uid, patient)
    question = (
        "select outcome, count(*) from journal join instance using (sop_instance_uid) "
        "where study_instance_uid = ? group by outcome"
    )
    count = len(list(HEAD.glob("*.dcm")))
    site.wait(lambda: sum(dict(site.rows(question, uid)).values()) >= 2 * count, "the second half")
    assert dict(site.rows(question, uid)) == {"stored": count, "duplicate": count}
    balance = site.cli("ledger", "--verify")
    assert balance.returncode == 0, balance.stderr


def _shares_memory(pid: int) -> bool:
    """Whether a worker holds tensors in memory that it shares with Triton."""
    return "/dev/shm/overread-" in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")


def _wait_for_the_keeper(hospital: Hospital, folder: Path) -> None:
    """Wait until a study that came later is dealt with: then what came before is, too."""
    later = small_study(folder / "later", next(NUMBERS))
    hospital.send(later)
    question = "select * from event where study_instance_uid = ? and what = 'not routed'"
    hospital.site.wait(lambda: hospital.site.rows(question, later.uid), "a later study")
