from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference.selection import Selection, parse
from integrations.context import Record
from integrations.errors import IntegrationError, Refused, Unavailable
from integrations.report import Report
from integrations.testing import MemoryArchive, MemoryRecord, MemoryReports
from node.core.form import notice_form
from node.core.job import DeliveryClaim, DeliveryState, InstanceState
from node.core.lane import Backoff
from node.core.orders import Patient
from node.errors import LeaseLost, OutOfResources
from node.pipeline.deliver import Outlet, deliver_next
from node.pipeline.records import as_record
from tests.unit.integrations.samples import IDENTITY, REPORT
from tests.unit.node.doubles import MemoryDeliveries, MemoryFiles, held
from tests.unit.node.samples import delivery_claim

SEG, SR = "2.25.11", "2.25.12"
KEY = (IDENTITY.issuer_of_patient_id, IDENTITY.patient_id)


@pytest.fixture
def files(tmp_path: Path) -> MemoryFiles:
    """Give the store's folder with both objects in it."""
    for one, _ in delivery_claim({}).instances:
        path = tmp_path / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(one.kind.encode())
    return MemoryFiles(root=tmp_path)


def owed(report: Report = REPORT, **changes: Any) -> MemoryDeliveries:
    return MemoryDeliveries(owed=[delivery_claim(as_record(report), **changes)])


def run(
    deliveries: MemoryDeliveries,
    files: MemoryFiles,
    destination: MemoryArchive | MemoryReports,
    record: Record | None = None,
    takes: tuple[Selection, ...] = (),
) -> bool:
    outlets = {"pacs": Outlet(destination=destination, record=record, takes=takes)}
    return deliver_next(deliveries, files, outlets, held, 3)


def with_states(seg: InstanceState, sr: InstanceState) -> dict[str, Any]:
    objects = [one for one, _ in delivery_claim({}).instances]
    return {"instances": ((objects[0], seg), (objects[1], sr))}


def test_nothing_owed_is_nothing_done(files: MemoryFiles) -> None:
    assert not run(MemoryDeliveries(), files, MemoryArchive())


def test_both_objects_arrive_in_order_and_each_step_is_recorded(files: MemoryFiles) -> None:
    deliveries, archive = owed(), MemoryArchive()
    assert run(deliveries, files, archive)
    assert archive.sent == [SEG, SR]
    assert archive.stored == {SEG: b"SEG", SR: b"SR"}
    assert deliveries.calls == [
        ("renew", "delivery-1"),
        ("progress", SEG, InstanceState.SENDING),
        ("progress", SEG, InstanceState.SENT),
        ("progress", SR, InstanceState.SENDING),
        ("progress", SR, InstanceState.SENT),
        (
            "finish",
            "delivery-1",
            DeliveryState.CONFIRMED,
            {"references": (SEG, SR), "confirmed": True, "remark": None, "awaits": None},
        ),
    ]


def test_an_archive_that_cannot_be_asked_is_sent_to_and_not_confirmed(files: MemoryFiles) -> None:
    deliveries = owed()
    run(deliveries, files, MemoryArchive(answers=False))
    assert deliveries.calls[-1][2] is DeliveryState.SENT


def test_what_was_sent_is_not_sent_again_and_stays_on_the_receipt(files: MemoryFiles) -> None:
    deliveries = owed(**with_states(InstanceState.SENT, InstanceState.OWED))
    archive = MemoryArchive()
    run(deliveries, files, archive)
    assert archive.sent == [SR]
    _, _, state, receipt = deliveries.calls[-1]
    assert receipt["references"] == (SEG, SR)
    # nobody was asked about the first one in this call
    assert (state, receipt["awaits"]) == (DeliveryState.SENT, "READ BACK")


def test_a_worker_killed_after_the_last_object_has_confirmed_nothing(files: MemoryFiles) -> None:
    deliveries = owed(**with_states(InstanceState.SENT, InstanceState.SENT))
    archive = MemoryArchive()
    run(deliveries, files, archive)
    assert archive.sent == []
    _, _, state, receipt = deliveries.calls[-1]
    assert (state, receipt["awaits"]) == (DeliveryState.SENT, "READ BACK")


@pytest.mark.parametrize("arrived", [True, False])
def test_what_is_in_doubt_is_asked_for_first(files: MemoryFiles, arrived: bool) -> None:
    deliveries = owed(**with_states(InstanceState.SENDING, InstanceState.OWED))
    archive = MemoryArchive(stored={SEG: b"SEG"} if arrived else {})
    run(deliveries, files, archive)
    assert archive.sent == ([SR] if arrived else [SEG, SR])
    assert ("progress", SEG, InstanceState.SENT) in deliveries.calls


def test_a_destination_that_is_away_is_tried_again_later(files: MemoryFiles) -> None:
    deliveries = owed(attempt=3)
    run(deliveries, files, MemoryArchive(failures=[None, Unavailable("no answer")]))
    pause = Backoff().delay_s(3, "2.25.901")
    assert deliveries.calls[-1] == ("give_back", "delivery-1", "PEER-UNAVAILABLE", pause)
    assert 4.0 <= pause <= 8.0
    assert deliveries.unanswered == [True]
    assert ("progress", SEG, InstanceState.SENT) in deliveries.calls


def test_a_destination_that_refuses_parks_with_its_reason(files: MemoryFiles) -> None:
    deliveries = owed()
    run(deliveries, files, MemoryArchive(failures=[Refused("PACS-A900", "no")]))
    assert deliveries.calls[-1] == ("park", "delivery-1", "PACS-A900", "no")


def test_a_destination_that_lets_nobody_in_is_tried_again(files: MemoryFiles) -> None:
    deliveries = owed()
    run(deliveries, files, MemoryArchive(failures=[Refused("ASSOCIATION-REJECTED", "who?")]))
    assert deliveries.calls[-1][:3] == ("give_back", "delivery-1", "ASSOCIATION-REJECTED")
    assert deliveries.unanswered == [True]


def test_a_shortage_of_ours_does_not_count_against_the_destination(files: MemoryFiles) -> None:
    deliveries = owed()
    deliveries.failures["finish"] = OutOfResources("database")
    run(deliveries, files, MemoryArchive())
    assert deliveries.unanswered == [False]


def only(**takes: Any) -> tuple[Selection, ...]:
    return (parse(takes),)


@pytest.mark.parametrize(
    ("takes", "why"),
    [
        ({"Present": "Cyst"}, "Present must be Cyst"),
        ({"Undecided": {"present": True}}, "Undecided must be present"),
        ({"ContentQualification": "SERVICE"}, "ContentQualification must be SERVICE"),
        ({"Model": "another", "Present": "Cyst"}, "Model must be another; Present must be Cyst"),
    ],
)
def test_a_result_that_is_not_for_a_destination_is_not_brought(
    files: MemoryFiles, takes: dict[str, Any], why: str
) -> None:
    deliveries, archive = owed(), MemoryArchive()
    run(deliveries, files, archive, takes=only(**takes))
    assert deliveries.calls[-1] == ("park", "delivery-1", "NOT-ROUTED", why)
    assert archive.sent == []


def test_one_criterion_of_several_suffices(files: MemoryFiles) -> None:
    found = REPORT.findings[0]
    archive = MemoryArchive()
    takes = (*only(Model="another"), *only(Present=found.label))
    assert found.present
    run(owed(), files, archive, takes=takes)
    assert archive.sent == [SEG, SR]


def test_what_was_measured_may_decide(files: MemoryFiles) -> None:
    found = REPORT.findings[0]
    (quantity, *_) = found.quantities
    key, value = f"{found.label}/{quantity.concept.meaning}", float(quantity.value)
    for minimum, sent in ((value, [SEG, SR]), (value + 1, [])):
        archive = MemoryArchive()
        run(owed(), files, archive, takes=only(**{key: {"min": minimum}}))
        assert archive.sent == sent


def test_whoever_has_the_former_result_is_told_the_newer_one(files: MemoryFiles) -> None:
    archive = MemoryArchive()
    run(owed(follows=True), files, archive, takes=only(Present="Cyst"))
    assert archive.sent == [SEG, SR]


def test_a_notice_is_brought_whatever_results_a_destination_takes(files: MemoryFiles) -> None:
    deliveries, archive = owed(profile=notice_form("told")), MemoryArchive()
    run(deliveries, files, archive, takes=only(Present="Cyst"))
    assert archive.sent == [SEG, SR]


def test_a_destination_that_was_taken_out_of_the_file(files: MemoryFiles) -> None:
    deliveries = owed(destination="gone")
    run(deliveries, files, MemoryArchive())
    assert deliveries.calls[-1][:3] == ("park", "delivery-1", "UNKNOWN-DESTINATION")


def test_a_result_whose_file_is_gone_is_parked_before_anything_leaves(files: MemoryFiles) -> None:
    deliveries, archive = owed(), MemoryArchive()
    (files.root / "results" / "2.25.900" / f"{SR}.dcm").unlink()
    run(deliveries, files, archive)
    assert deliveries.calls[-1][:3] == ("park", "delivery-1", "RESULT-FILE-GONE")
    assert archive.sent == []


def test_a_delivery_at_which_workers_fall_silent_is_parked(files: MemoryFiles) -> None:
    deliveries, archive = owed(lost_leases=3), MemoryArchive()
    assert run(deliveries, files, archive)
    assert [call[:3] for call in deliveries.calls] == [("park", "delivery-1", "WORKERS-LOST")]
    assert archive.sent == []
    assert run(owed(lost_leases=2), files, archive)
    assert archive.sent == [SEG, SR]


def test_a_lease_that_is_lost_stops_the_sending(files: MemoryFiles) -> None:
    deliveries, archive = owed(), MemoryArchive()
    deliveries.failures["progress"] = LeaseLost("gone")
    assert run(deliveries, files, archive)
    assert archive.sent == []
    assert [call[0] for call in deliveries.calls] == ["renew"]


@pytest.mark.parametrize("call", ["finish", "park", "give_back"])
def test_a_lease_that_is_lost_at_the_end_is_the_other_workers_business(
    files: MemoryFiles, call: str
) -> None:
    failures: dict[str, list[IntegrationError | None]] = {
        "finish": [],
        "park": [Refused("NO", "no")],
        "give_back": [Unavailable("away")],
    }
    deliveries = owed()
    deliveries.failures[call] = LeaseLost("gone")
    assert run(deliveries, files, MemoryArchive(failures=failures[call]))
    assert call not in {name for name, *_ in deliveries.calls}


def test_a_finish_that_cannot_be_recorded_is_owed_again(files: MemoryFiles) -> None:
    deliveries = owed()
    deliveries.failures["finish"] = OutOfResources("database")
    run(deliveries, files, MemoryArchive())
    assert deliveries.calls[-1][:3] == ("give_back", "delivery-1", "OUT-OF-RESOURCES")


def test_a_bug_is_not_swallowed(files: MemoryFiles) -> None:
    deliveries = MemoryDeliveries(owed=[delivery_claim({"no": "report"})])
    with pytest.raises(KeyError):
        run(deliveries, files, MemoryArchive())


def test_the_record_is_asked_again_whose_patient_it_is(files: MemoryFiles) -> None:
    deliveries, reports = owed(), MemoryReports()
    record = MemoryRecord(patients={("X", "0"): {}, KEY: {}})
    run(deliveries, files, reports, record)
    (report,) = reports.reports.values()
    assert report.record_patient == "Patient/2"  # REPORT says Patient/colin: that was before


def test_a_merged_patient_is_asked_for_under_the_number_that_he_has_now(files: MemoryFiles) -> None:
    before = replace(IDENTITY, patient_id="BEFORE")
    of = replace(REPORT, study=replace(REPORT.study, patient=before))
    now = Patient(patient_id=IDENTITY.patient_id, issuer=IDENTITY.issuer_of_patient_id or "")
    reports, record = MemoryReports(), MemoryRecord(patients={KEY: {}})
    for merged, state in ((None, "parked"), (now, "delivered")):
        merges = {} if merged is None else {of.study.study_instance_uid: merged}
        outlet = Outlet(destination=reports, record=record, merged_to=merges.get)
        assert deliver_next(owed(of), files, {"pacs": outlet}, held, 3)
        assert len(reports.reports) == (state == "delivered")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (MemoryRecord(), "NO-PATIENT"),
        (MemoryRecord(patients={KEY: {}}, contradictions={KEY: "SEX-DIFFERS"}), "SEX-DIFFERS"),
    ],
)
def test_a_patient_who_is_not_verified_any_more_gets_nothing(
    files: MemoryFiles, record: MemoryRecord, reason: str
) -> None:
    deliveries, reports = owed(), MemoryReports()
    run(deliveries, files, reports, record)
    assert reports.reports == {}
    assert deliveries.calls[-1][:3] == ("park", "delivery-1", reason)


def test_a_record_that_does_not_answer_holds_the_report_back(files: MemoryFiles) -> None:
    deliveries, reports = owed(), MemoryReports()
    run(deliveries, files, reports, MemoryRecord(failure=Unavailable("no answer")))
    assert reports.reports == {}
    assert deliveries.calls[-1][0] == "give_back"


def test_a_report_without_a_verified_patient_is_refused_by_the_destination(
    files: MemoryFiles,
) -> None:
    deliveries = owed(replace(REPORT, record_patient=None))
    run(deliveries, files, MemoryReports())
    assert deliveries.calls[-1][:3] == ("park", "delivery-1", "PATIENT-NOT-VERIFIED")


def test_a_claim_that_was_made_says_so() -> None:
    assert isinstance(delivery_claim({}), DeliveryClaim)
