from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from inference.card import Card
from integrations.context import Record
from integrations.errors import Refused, Unavailable
from integrations.report import Coding, UsedValue
from integrations.testing import MemoryRecord
from node.clock import SetClock
from node.core.job import Claim, Readiness
from node.core.orders import Patient
from node.pipeline.apart import Apart
from node.pipeline.prepare import ATTEMPTS, prepare
from node.pipeline.translate import Source
from tests.unit.node.doubles import Call, MemoryJobs
from tests.unit.node.samples import claim

AGE = UsedValue(
    feature="age",
    concept=Coding("121033", "DCM", "Subject Age"),
    value="62",
    unit=Coding("a", "UCUM", "year"),
    source="Patient/1/_history/1",
    effective="2026-10-15",
)
KNOWN: Mapping[tuple[str | None, str], Mapping[str, UsedValue]] = {
    ("EXAMPLE", "OVR-000042"): {"age": AGE}
}
SOURCE = Source(default_issuer=None, time_zone=None)


def run(card: Card, record: Record | None, *waiting: Claim) -> list[Call]:
    jobs = MemoryJobs(waiting=list(waiting) or [claim()])
    cards = {card.key: card}
    prepare(jobs, cards, lambda _: record, lambda _: SOURCE, Apart(SetClock()))
    return jobs.calls


def test_a_known_patients_context_is_stored(brain_card: Card) -> None:
    ((name, job_id, readiness, context),) = run(brain_card, MemoryRecord(patients=KNOWN))
    assert (name, job_id, readiness) == ("prepared", "job-1", Readiness.READY)
    assert context["patient"] == "Patient/1"
    assert context["values"]["age"]["value"] == "62"
    assert context["missing"] == {"sex": "FEATURE-NOT-SUPPORTED"}


@pytest.mark.parametrize(
    ("record", "identity", "reason"),
    [
        (None, {}, "NO-RECORD-CONFIGURED"),
        (MemoryRecord(), {}, "NO-PATIENT"),
        (MemoryRecord(patients=KNOWN), {"StudyDate": ""}, "STUDY-DATE-UNKNOWN"),
        (MemoryRecord(patients=KNOWN), {"PatientID": "OTHER"}, "NO-PATIENT"),
        (
            MemoryRecord(
                patients=KNOWN, contradictions={("EXAMPLE", "OVR-000042"): "NAME-DIFFERS"}
            ),
            {},
            "NAME-DIFFERS",
        ),
        (MemoryRecord(failure=Refused("EHR-403", "no scope")), {}, "EHR-403"),
    ],
)
def test_without_one_verified_patient_there_is_no_context_but_a_reason(
    brain_card: Card, record: Record | None, identity: dict[str, Any], reason: str
) -> None:
    asked = claim()
    asked = replace(asked, identity={**asked.identity, **identity})
    ((name, _, readiness, context),) = run(brain_card, record, asked)
    assert (name, readiness) == ("prepared", Readiness.UNAVAILABLE)
    assert context == {"refused": reason}


def test_the_record_is_asked_for_the_number_that_the_patient_has_now(brain_card: Card) -> None:
    asked = claim()
    asked = replace(asked, identity={**asked.identity, "PatientID": "OVR-BEFORE"})
    now = {asked.study_instance_uid: Patient(patient_id="OVR-000042", issuer="EXAMPLE")}
    jobs = MemoryJobs(waiting=[asked])
    cards, known = {brain_card.key: brain_card}, MemoryRecord(patients=KNOWN)
    prepare(jobs, cards, lambda _: known, lambda _: SOURCE, Apart(SetClock()), now.get)
    ((_, _, readiness, context),) = jobs.calls
    assert (readiness, context["patient"]) == (Readiness.READY, "Patient/1")


def test_a_record_that_does_not_answer_is_asked_again_and_then_done_without(
    brain_card: Card,
) -> None:
    away = MemoryRecord(failure=Unavailable("no answer"))
    for attempt in range(1, ATTEMPTS):
        assert run(brain_card, away, claim(attempt=attempt)) == [
            ("postpone", "job-1", 2.0**attempt)
        ]
    assert run(brain_card, away, claim(attempt=ATTEMPTS)) == [
        ("prepared", "job-1", Readiness.UNAVAILABLE, {"refused": "PEER-UNAVAILABLE"})
    ]


def test_a_model_that_is_not_installed_any_more_asks_for_nothing(brain_card: Card) -> None:
    ((_, _, readiness, context),) = run(
        brain_card, MemoryRecord(patients=KNOWN), claim(model="gone")
    )
    assert readiness is Readiness.READY
    assert context["values"] == {}


@pytest.mark.parametrize(
    "identity",
    [
        {"TimezoneOffsetFromUTC": "+9999"},
        {"TimezoneOffsetFromUTC": "-2400"},
        {"IssuerOfPatientID": ["A", "B"]},
        {"PatientID": ["OVR", "000042"]},
        {"PatientSex": ["F", "M"]},
        {"PatientBirthDate": ["19640812", "19640813"]},
        {"StudyTime": "995999"},
        {"StudyTime": ["1", "2"]},
    ],
)
def test_malformed_identities_stop_nobody(brain_card: Card, identity: dict[str, Any]) -> None:
    asked = claim()
    odd = replace(asked, job_id="odd", identity={**asked.identity, **identity})
    calls = run(brain_card, MemoryRecord(patients=KNOWN), odd, asked)
    assert [call[:2] for call in calls] == [("prepared", "odd"), ("prepared", "job-1")]


def test_a_job_that_meets_a_bug_stops_no_other(brain_card: Card) -> None:
    class Record(MemoryRecord):
        def context(self, patient: Any, *arguments: Any, **options: Any) -> Any:
            if patient.patient_id == "ODD":
                raise ZeroDivisionError
            return super().context(patient, *arguments, **options)

    asked = claim()
    odd = replace(asked, job_id="odd", identity={**asked.identity, "PatientID": "ODD"})
    calls = run(brain_card, Record(patients=KNOWN), odd, asked)
    assert [call[:2] for call in calls] == [("prepared", "job-1")]
