"""A job's order is asked for beside its way: once for each study, until a deadline, and no job waits for it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from integrations.errors import Refused, Unavailable
from integrations.order import Order, PatientKey, Urgency
from integrations.testing import MemoryOrders
from node.core.orders import Patient
from node.pipeline.ordered import Asked, ask_for_orders
from node.store import schema
from node.store.order_questions import OrderStore
from tests.contract.stores import ENGINES, Store, opened
from tests.unit.node.samples import PATIENT

STAT = Order(
    accession_number="ACC42",
    patient=(PatientKey(patient_id=PATIENT["PatientID"], authority="urn:mrn"),),
    urgency=Urgency.STAT,
)


@pytest.fixture(params=list(ENGINES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened(request.param, tmp_path) as store:
        yield store


def ask(store: Store, source: MemoryOrders, *, deadline_s: float = 60.0) -> None:
    asked = Asked(
        peer="ehr",
        source=source,
        patient_of=lambda key: Patient(patient_id=key.patient_id, issuer="EXAMPLE"),
        deadline_s=deadline_s,
    )
    ask_for_orders(OrderStore(store.database, {}), asked)


def state(store: Store) -> tuple[str, str | None]:
    row = store.one(schema.order_question)
    return row.state, row.reason


def due_now(store: Store) -> None:
    store.write("UPDATE order_question SET due_at = 1")


def test_a_jobs_order_is_asked_for_once(store: Store) -> None:
    source = MemoryOrders(known=[STAT])
    store.receive(1)
    ask(store, source)
    assert source.asked == []  # nothing is wanted of the study yet
    store.dispatch()
    ask(store, source)
    ask(store, source)
    assert source.asked == ["ACC42"]
    assert state(store) == ("ANSWERED", None)
    assert store.one(schema.job).priority == 100


def test_a_job_does_not_wait_for_it(store: Store) -> None:
    store.ready()
    ask(store, MemoryOrders(failures=[Unavailable("not now")]))
    assert store.jobs.claim() is not None


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (MemoryOrders(), "ORDER-NOT-FOUND"),
        (MemoryOrders(failures=[Unavailable("not now")] * 9), "SOURCE-UNAVAILABLE"),
    ],
)
def test_it_is_asked_for_again_until_the_deadline(
    store: Store, source: MemoryOrders, reason: str
) -> None:
    store.receive(1)
    store.dispatch()
    ask(store, source)
    ask(store, source)
    assert len(source.asked) == 1  # not due again yet
    assert state(store) == ("OWED", reason)
    due_now(store)
    ask(store, source)
    assert state(store) == ("OWED", reason)
    store.write("UPDATE order_question SET due_at = 1, until = 2")
    ask(store, source)
    assert state(store) == ("GIVEN UP", reason)
    due_now(store)
    ask(store, source)
    assert len(source.asked) == 3
    assert "order not found" in store.story()


def test_an_order_that_is_written_down_late_is_found(store: Store) -> None:
    source = MemoryOrders()
    store.receive(1)
    store.dispatch()
    ask(store, source)
    source.known.append(STAT)
    due_now(store)
    ask(store, source)
    assert state(store) == ("ANSWERED", None)
    assert store.one(schema.job).priority == 100


def test_whoever_refuses_is_not_asked_again(store: Store) -> None:
    source = MemoryOrders(failures=[Refused("EHR-403", "no")])
    store.receive(1)
    store.dispatch()
    ask(store, source)
    due_now(store)
    ask(store, source)
    assert state(store) == ("GIVEN UP", "EHR-403")
    assert len(source.asked) == 1


def test_an_order_of_another_patient_is_no_answer(store: Store) -> None:
    other = PatientKey(patient_id="OVR-000043", authority="urn:mrn")
    source = MemoryOrders(known=[replace(STAT, patient=(other,))])
    store.receive(1)
    store.dispatch()
    ask(store, source)
    assert state(store) == ("OWED", "ORDER-NOT-FOUND")
    assert store.one(schema.job).priority == 0


def test_a_study_without_accession_number_is_not_asked_for(store: Store) -> None:
    source = MemoryOrders()
    store.receive(1, AccessionNumber=None)
    store.dispatch()
    ask(store, source)
    assert source.asked == []


def test_a_study_whose_jobs_are_done_is_not_asked_for(store: Store) -> None:
    source = MemoryOrders()
    store.published()
    ask(store, source)
    assert source.asked == []


def test_a_corrected_study_is_asked_for_anew(store: Store) -> None:
    source = MemoryOrders(known=[STAT])
    store.receive(1)
    store.dispatch()
    ask(store, source)
    store.correct(1)
    store.dispatch()
    ask(store, source)
    assert source.asked == ["ACC42", "ACC42"]
    assert store.rows(schema.study_order) == []
