from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference import phantoms
from inference.card import Card, Input
from inference.errors import ModelFailed, ServerUnavailable
from inference.results.objects import Equipment
from inference.results.profile import PROFILES
from inference.selection import Selection
from inference.testing import ThresholdServer
from integrations.report import ReportedOrder
from node.clock import SetClock
from node.core.form import EarlierReport, Wish
from node.core.job import Claim
from node.core.pictures import KEY_SLICES, OVERLAY, PAGE, key_slice
from node.errors import LeaseLost, OutOfResources
from node.pipeline.analyse import ANSWER, Bench, analyse_next
from node.pipeline.forms import Workshop
from node.pipeline.records import from_record
from node.pipeline.translate import Source
from tests.unit.node.doubles import MemoryFiles, MemoryForms, MemoryJobs, held
from tests.unit.node.samples import PATIENT, claim

SHAPE = (8, 16, 16)


@pytest.fixture
def ball(tmp_path: Path, brain_card: Card) -> Claim:
    """Give a job that reads a small ball of the fictional patient."""
    affine = phantoms.grid(spacing_mm=(4, 4, 4))
    phantom = phantoms.Phantom(
        voxels=phantoms.sphere(affine, SHAPE, radius_mm=12), affine=affine, header=PATIENT
    )
    paths = phantoms.write(phantom, tmp_path / "instances")
    return claim(
        study_instance_uid=phantom.uid("study"),
        series_instance_uid=phantom.uid("series"),
        version=brain_card.version,
        files={"volume": tuple(str(path.relative_to(tmp_path)) for path in paths)},
        identity={**PATIENT, "StudyDate": "20261015", "StudyTime": "101500"},
    )


@pytest.fixture
def files(tmp_path: Path) -> MemoryFiles:
    return MemoryFiles(root=tmp_path)


def workshop(**changes: Any) -> Workshop:
    stands = Workshop(
        equipment=Equipment(
            model_name="Overread", device_serial_number="1", software_versions=("0",)
        ),
        uid_root="2.25",
        source_of=lambda _: Source(default_issuer=None, time_zone="UTC"),
        profiles=PROFILES,
        wishes={},
        forms=MemoryForms(),
    )
    return replace(stands, **changes)


def bench(card: Card, **changes: Any) -> Bench:
    anything = replace(
        card, inputs=(Input(name="volume", select=Selection()),), spacing_mm=(4, 4, 4)
    )
    stands = Bench(
        cards={card.key: anything},
        server=ThresholdServer(),
        workshop=workshop(),
        lost_leases=5,
    )
    return replace(stands, **changes)


def run(jobs: MemoryJobs, files: MemoryFiles, stands: Bench) -> bool:
    return analyse_next(jobs, files, stands, held, SetClock())


def names(calls: list[tuple[Any, ...]]) -> list[str]:
    return [call[0] for call in calls]


def test_nothing_owed_is_nothing_done(files: MemoryFiles, brain_card: Card) -> None:
    assert not run(MemoryJobs(), files, bench(brain_card))


def test_results_are_kept_then_published_then_drawn(
    files: MemoryFiles, ball: Claim, brain_card: Card
) -> None:
    jobs = MemoryJobs(owed=[ball], calls=files.calls)  # one note for both
    assert run(jobs, files, bench(brain_card))
    kept = ["keep_result"] * 3
    assert names(files.calls) == ["renew", "keep_result", *kept, "publish", *kept]
    assert files.calls[1] == ("keep_result", ball.transaction_uid, PAGE)
    assert files.calls[2] == ("keep_result", ball.transaction_uid, ANSWER)
    drawn = [call[2] for call in files.calls[-3:]]
    assert drawn == [OVERLAY, key_slice(1), KEY_SLICES]
    made = jobs.published
    assert made is not None
    assert [one.kind for one in made.instances] == ["SEG", "SR"]
    assert made.result_set_id == made.instances[-1].sop_instance_uid
    assert made.picture == f"results/{ball.transaction_uid}/{OVERLAY}"
    assert made.answer == f"results/{ball.transaction_uid}/{ANSWER}"
    assert made.server == ThresholdServer().name
    report = from_record(made.report)
    assert report.study.patient.patient_id == PATIENT["PatientID"]
    assert report.study.study_instance_uid == ball.study_instance_uid
    assert report.record_patient is None
    assert "Muster" not in report.conclusion


def test_a_page_is_made_where_somebody_is_no_archive(
    files: MemoryFiles, ball: Claim, brain_card: Card
) -> None:
    pacs = {"pacs": Wish(names=("generic-pacs",), configured="")}
    pages = []
    for destinations in (("pacs",), ("pacs", "ehr")):
        jobs = MemoryJobs(owed=[replace(ball, destinations=destinations)])
        run(jobs, files, bench(brain_card, workshop=workshop(wishes=pacs)))
        assert jobs.published is not None
        pages.append(from_record(jobs.published.report).page)
    assert pages == [None, Path(f"results/{ball.transaction_uid}/{PAGE}")]
    assert [call[2] for call in files.calls].count(PAGE) == 1


def test_a_report_names_those_that_it_takes_the_place_of(
    files: MemoryFiles, ball: Claim, brain_card: Card
) -> None:
    former = EarlierReport(
        profile="generic-pacs",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        sop_instance_uid="2.25.77",
        series_instance_uid="2.25.78",
    )
    jobs = MemoryJobs(owed=[replace(ball, revision=1, earlier=(former,))])
    run(jobs, files, bench(brain_card))
    assert jobs.published is not None
    assert from_record(jobs.published.report).predecessors == ("2.25.77",)


def test_a_report_names_the_order_of_its_study(
    files: MemoryFiles, ball: Claim, brain_card: Card
) -> None:
    numbers = {"placer_order_number": "P1", "filler_order_number": "F1"}
    said = {**numbers, "urgency": "STAT", "reason": "Fall"}
    jobs = MemoryJobs(owed=[replace(ball, order=said)])
    assert run(jobs, files, bench(brain_card))
    assert jobs.published is not None
    order = from_record(jobs.published.report).order
    assert order == ReportedOrder(**numbers, reason="Fall")


def test_a_revision_has_series_of_its_own(
    files: MemoryFiles, ball: Claim, brain_card: Card
) -> None:
    made = []
    for revision in (0, 0, 1):
        jobs = MemoryJobs(owed=[replace(ball, revision=revision)])
        run(jobs, files, bench(brain_card))
        assert jobs.published is not None
        made.append([one.series_instance_uid for one in jobs.published.instances])
    assert made[0] == made[1]
    assert not set(made[0]) & set(made[2])


def test_images_of_another_patient_are_not_analysed(
    files: MemoryFiles, ball: Claim, brain_card: Card
) -> None:
    stranger = {**ball.identity, "PatientID": "OVR-000043"}
    server = ThresholdServer()
    jobs = MemoryJobs(owed=[replace(ball, identity=stranger)])
    run(jobs, files, bench(brain_card, server=server))
    assert jobs.calls[-1][:3] == ("cancel", "job-1", "IDENTITY-DIFFERS")
    assert server.calls == []
    assert jobs.published is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": "0.9"}, "CARD-INVALID"),
        ({"model": "gone"}, "CARD-INVALID"),
        ({"files": {"volume": ("instances/absent.dcm",)}}, "UNREADABLE"),
        ({"files": {"volume": ()}}, "NO-INSTANCES"),
    ],
)
def test_what_cannot_be_analysed_is_canceled_with_its_reason(
    files: MemoryFiles, ball: Claim, brain_card: Card, changes: dict[str, Any], reason: str
) -> None:
    jobs = MemoryJobs(owed=[replace(ball, **changes)])
    assert run(jobs, files, bench(brain_card))
    assert jobs.calls[-1][:3] == ("cancel", "job-1", reason)
    assert jobs.published is None


def test_a_model_that_fails_cancels(files: MemoryFiles, ball: Claim, brain_card: Card) -> None:
    jobs = MemoryJobs(owed=[ball])
    run(jobs, files, bench(brain_card, server=ThresholdServer(failure=ModelFailed("NaN"))))
    assert jobs.calls[-1] == ("cancel", "job-1", "MODEL-FAILED", "NaN")


def test_a_server_that_is_away_is_tried_again(
    files: MemoryFiles, ball: Claim, brain_card: Card
) -> None:
    jobs = MemoryJobs(owed=[replace(ball, attempt=2)])
    run(jobs, files, bench(brain_card, server=ThresholdServer(failure=ServerUnavailable("away"))))
    assert jobs.calls[-1] == ("give_back", "job-1", "MODEL-SERVER-UNAVAILABLE", 4.0)
    assert files.calls == [("discard_results", ball.transaction_uid)]


def test_a_job_at_which_workers_fall_silent_is_canceled(
    files: MemoryFiles, ball: Claim, brain_card: Card
) -> None:
    server = ThresholdServer()
    jobs = MemoryJobs(owed=[replace(ball, lost_leases=5), replace(ball, lost_leases=4)])
    stands = bench(brain_card, server=server)
    assert run(jobs, files, stands)
    assert jobs.calls[-1][:3] == ("cancel", "job-1", "WORKERS-LOST")
    assert server.calls == []
    assert run(jobs, files, stands)
    assert jobs.published is not None


def test_a_lease_that_is_lost_discards_what_was_made(
    files: MemoryFiles, ball: Claim, brain_card: Card
) -> None:
    jobs = MemoryJobs(owed=[ball], failures={"publish": LeaseLost("gone")})
    assert run(jobs, files, bench(brain_card))
    assert files.calls[-1] == ("discard_results", ball.transaction_uid)
    assert jobs.published is None
    assert names(jobs.calls) == ["renew"]


def test_a_full_disk_gives_the_job_back(files: MemoryFiles, ball: Claim, brain_card: Card) -> None:
    files.failure = OutOfResources("disk")
    jobs = MemoryJobs(owed=[ball])
    run(jobs, files, bench(brain_card))
    assert jobs.calls[-1][:3] == ("give_back", "job-1", "OUT-OF-RESOURCES")


def test_files_of_a_commit_whose_outcome_is_unknown_stay(
    files: MemoryFiles, ball: Claim, brain_card: Card
) -> None:
    """The commit happened and its answer was an error: the job is done, and not ours to give back."""
    failures: dict[str, Exception] = {
        "publish": OutOfResources("database"),
        "give_back": LeaseLost("completed"),
    }
    jobs = MemoryJobs(owed=[ball], failures=failures)
    assert run(jobs, files, bench(brain_card))
    assert "discard_results" not in names(files.calls)


def test_files_are_discarded_only_after_the_job_was_given_back(
    files: MemoryFiles, ball: Claim, brain_card: Card
) -> None:
    jobs = MemoryJobs(
        owed=[ball], calls=files.calls, failures={"publish": OutOfResources("database")}
    )
    run(jobs, files, bench(brain_card))
    assert names(files.calls)[-2:] == ["give_back", "discard_results"]


@pytest.mark.parametrize("error", [OutOfResources("disk")])
def test_a_picture_that_cannot_be_drawn_takes_nothing_back(
    files: MemoryFiles, ball: Claim, brain_card: Card, error: Exception
) -> None:
    class Jobs(MemoryJobs):
        def publish(self, claim: Claim, *result_sets: Any) -> None:
            super().publish(claim, *result_sets)
            files.failure = error

    jobs = Jobs(owed=[ball])
    assert run(jobs, files, bench(brain_card))
    assert jobs.published is not None
    assert names(jobs.calls) == ["renew", "publish"]
    assert "discard_results" not in names(files.calls)


def test_a_bug_is_not_swallowed_and_writes_nothing(
    files: MemoryFiles, ball: Claim, brain_card: Card
) -> None:
    jobs = MemoryJobs(owed=[ball], failures={"publish": ZeroDivisionError()})
    with pytest.raises(ZeroDivisionError):
        run(jobs, files, bench(brain_card))
    assert names(jobs.calls) == ["renew"]  # the lease ends, and the job is claimed again


def test_each_archive_gets_its_form_and_everybody_else_the_first(
    files: MemoryFiles, ball: Claim, brain_card: Card
) -> None:
    wishes = {
        "pacs": Wish(names=("ohif", "pictures"), configured="1"),
        "store": Wish(names=("ohif",), configured="2"),
        "viewer": Wish(names=("pictures",), configured="3"),
    }
    jobs = MemoryJobs(owed=[replace(ball, destinations=("ehr", "pacs", "viewer", "store"))])
    assert run(jobs, files, bench(brain_card, workshop=workshop(wishes=wishes)))
    assert [(one.profile, one.destinations) for one in jobs.forms] == [
        ("ohif", ("pacs", "store", "ehr")),
        ("pictures", ("viewer",)),
    ]
    first, second = jobs.forms
    assert (second.answer, second.picture) == (None, None)
    assert from_record(first.report).result_set_uid != from_record(second.report).result_set_uid
    series = [{one.series_instance_uid for one in form.instances} for form in jobs.forms]
    assert not series[0] & series[1]


def test_a_form_that_was_learnt_is_made_first_while_it_is_among_those_that_are_configured(
    files: MemoryFiles, ball: Claim, brain_card: Card
) -> None:
    wishes = {"pacs": Wish(names=("ohif", "pictures"), configured="1")}
    made = []
    for key, learnt in (
        (("pacs", "1"), "pictures"),
        (("pacs", "0"), "pictures"),
        (("pacs", "1"), "x"),
    ):
        forms = MemoryForms(learnt={key: learnt})
        jobs = MemoryJobs(owed=[replace(ball, destinations=("pacs",))])
        run(jobs, files, bench(brain_card, workshop=workshop(wishes=wishes, forms=forms)))
        made.append([one.profile for one in jobs.forms])
    assert made == [["pictures"], ["ohif"], ["ohif"]]


def test_a_result_without_destinations_is_made_all_the_same(
    files: MemoryFiles, ball: Claim, brain_card: Card
) -> None:
    jobs = MemoryJobs(owed=[replace(ball, destinations=())])
    run(jobs, files, bench(brain_card))
    assert [(one.profile, one.destinations) for one in jobs.forms] == [("generic-pacs", ())]
