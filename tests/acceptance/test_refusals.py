"""What is not done, and how the node says so: every refusal has a name that `overread explain` prints."""

import itertools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.proxy import Wire
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
from tests.acceptance.studies import SLICES, SPACING_MM, SmallStudy, admit, small_study
from tests.peers import free_port
from tests.peers.dcmtk import storescu
from tests.peers.receiver import Receiver, running_receiver
from tests.peers.sekmet import Sekmet

pytestmark = [pytest.mark.peers, pytest.mark.slow]

CONFIRMED = ("CONFIRMED", None)
NUMBERS = itertools.count(501)
WRITTEN = ("DiagnosticReport", "Observation", "ImagingStudy", "Device", "Provenance", "Patient")


@dataclass(kw_only=True)
class Hospital:
    """Run every role but Triton, which the site wants and has not; of two archives one is away."""

    site: Site
    far_archive: Receiver
    to_far_archive: Wire
    ehr: Sekmet
    analyser: subprocess.Popen[bytes]

    def send(self, study: SmallStudy, calling: str = "MODALITY") -> None:
        sent = storescu(study.folder, port=self.site.port, calling=calling)
        assert sent.returncode == 0, sent.output

    def wait_delivered(self, study: SmallStudy, **states: tuple[str, str | None]) -> None:
        self.site.wait(lambda: self.site.deliveries(study.uid) == states, f"{states}")


@pytest.fixture(scope="module")
def hospital(
    tmp_path_factory: pytest.TempPathFactory, receiver_server: Receiver, sekmet: Sekmet
) -> Iterator[Hospital]:
    receiver_server.reset()
    elsewhere = {"name": "elsewhere", "ae_title": "ELSEWHERE"}
    far_port = free_port()
    plan = Plan(
        peers=[
            peer_source(results_to=["pacs", "ehr"]),
            {**peer_source(results_to=["far", "ehr"]), **elsewhere},
            peer_archive("pacs", receiver_server.ae_title, receiver_server.port),
            peer_archive("far", "FAR", far_port),
            peer_ehr(sekmet.base_url),
        ],
        rules=[{"name": "balls", "model": "threshold-brain"}],
        tables={"inference": {"models": str(SMALL_MODELS), "ready_timeout_s": 0.5}},
    )
    with (
        running_receiver(tmp_path_factory.mktemp("far"), ae_title="FAR") as far,
        running_site(tmp_path_factory.mktemp("site"), plan) as site,
    ):
        site.start("listener")
        site.start("keeper")
        analyser = site.start(*ANALYSE)
        site.start(*DELIVER)
        site.wait_listening()
        yield Hospital(
            site=site,
            far_archive=far,
            to_far_archive=Wire(far_port, far.port),
            ehr=sekmet,
            analyser=analyser,
        )


@pytest.fixture
def number() -> int:
    return next(NUMBERS)


def test_a_study_that_no_rule_wants(hospital: Hospital, number: int, tmp_path: Path) -> None:
    study = small_study(tmp_path, number, header={"Modality": "CT"})
    hospital.send(study)
    hospital.site.wait(lambda: "not routed" in _story(hospital, study), "the routing")
    told = hospital.site.explain(study.uid)
    assert "NO-RULE-MATCHED" in told
    assert "rule balls: card: Modality must be MR" in told
    assert hospital.site.jobs(study.uid) == []


def test_a_series_with_a_missing_slice(hospital: Hospital, number: int, tmp_path: Path) -> None:
    missing = 9
    order = [index for index in range(SLICES) if index != missing]
    study = small_study(tmp_path, number, order=order)
    hospital.send(study)
    hospital.site.wait(lambda: hospital.site.jobs(study.uid), "a job")
    assert hospital.site.jobs(study.uid) == ["CANCELED"]
    told = hospital.site.explain(study.uid)
    line = next(line for line in told.splitlines() if "job threshold-brain" in line)
    assert "CANCELED (GAP: " in line
    around = (missing - 1) * SPACING_MM, (missing + 1) * SPACING_MM
    assert "between {:.2f} and {:.2f} mm".format(*around) in line
    assert hospital.site.deliveries(study.uid) == {}


def test_a_patient_whose_birth_date_differs_in_the_ehr(
    hospital: Hospital, number: int, tmp_path: Path
) -> None:
    admit(hospital.ehr, number, birth_date="1970-01-02")
    before = hospital.ehr.counts(*WRITTEN)
    study = small_study(tmp_path, number)
    hospital.send(study)
    hospital.wait_delivered(study, pacs=CONFIRMED, ehr=("PARKED", "BIRTH-DATE-DIFFERS"))
    assert hospital.ehr.counts(*WRITTEN) == before
    told = hospital.site.explain(study.uid)
    assert "context: refused, BIRTH-DATE-DIFFERS" in told
    assert "delivery to ehr: PARKED (BIRTH-DATE-DIFFERS" in told
    assert "delivery to pacs: CONFIRMED" in told


def test_an_archive_that_is_away_delays_nobody_else(
    hospital: Hospital, number: int, tmp_path: Path
) -> None:
    study = small_study(tmp_path, number, patient=admit(hospital.ehr, number))
    hospital.send(study, calling="ELSEWHERE")
    hospital.wait_delivered(study, far=("OWED", "PEER-UNAVAILABLE"), ehr=CONFIRMED)
    assert "delivery to far: OWED (PEER-UNAVAILABLE" in hospital.site.explain(study.uid)
    hospital.to_far_archive.mend()
    hospital.wait_delivered(study, far=CONFIRMED, ehr=CONFIRMED)
    hospital.to_far_archive.cut()
    assert len(hospital.far_archive.received) == 2
    assert hospital.ehr.count("DiagnosticReport", subject=study.patient) == 1


def test_without_triton_the_models_run_in_process_and_the_job_says_so(
    hospital: Hospital, number: int, tmp_path: Path
) -> None:
    study = small_study(tmp_path, number, patient=admit(hospital.ehr, number))
    hospital.send(study)
    hospital.wait_delivered(study, pacs=CONFIRMED, ehr=CONFIRMED)
    question = "select server from result_set where study_instance_uid = ?"
    assert hospital.site.rows(question, study.uid) == [("this process (no Triton)",)]
    assert "on this process (no Triton)" in hospital.site.explain(study.uid)
    assert "triton not ready" in hospital.site.log_of(hospital.analyser)


@pytest.mark.parametrize(
    ("calling", "called", "diagnosis"),
    [
        ("STRANGER", "OVERREAD", "Calling AE Title Not Recognized"),
        ("MODALITY", "SOMEONE", "Called AE Title Not Recognized"),
    ],
)
def test_an_unknown_ae_title_is_refused(
    hospital: Hospital, number: int, tmp_path: Path, calling: str, called: str, diagnosis: str
) -> None:
    study = small_study(tmp_path, number)
    sent = storescu(study.folder, port=hospital.site.port, calling=calling, called=called)
    assert sent.returncode != 0
    assert diagnosis in sent.output
    assert (
        hospital.site.rows("select * from instance where study_instance_uid = ?", study.uid) == []
    )


def _story(hospital: Hospital, study: SmallStudy) -> str:
    return "\n".join(hospital.site.story(study.uid))
