"""A study turns out to be another patient's: what every database engine keeps of what must be taken back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.core.job import DeliveryClaim, DeliveryState, InstanceState, Readiness
from node.core.withdrawal import WithdrawalClaim, WithdrawalState
from node.errors import LeaseLost
from node.store import schema
from tests.contract.stores import ENGINES, EXPIRED, LEASE_S, Store, opened
from tests.unit.node.samples import STUDY, result_set

CORRECTED = "IDENTITY-CORRECTED"


@pytest.fixture(params=sorted(ENGINES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened(request.param, tmp_path) as empty:
        empty.reissued = {"ehr"}
        yield empty


@pytest.fixture
def delivered(store: Store) -> Store:
    """Give one whose result is in the archive and in the record."""
    store.published()
    assert store.deliver_all() == ["ehr", "pacs"]
    return store


def states(store: Store) -> dict[str, tuple[str, str | None]]:
    """State and reason of each delivery of the first result."""
    first = result_set().result_set_id
    return {
        row.destination: (row.state, row.reason)
        for row in store.rows(schema.delivery)
        if row.result_set_id == first
    }


def withdrawals(store: Store) -> dict[str, str]:
    return {row.destination: row.state for row in store.rows(schema.withdrawal)}


def claimed_of(store: Store, destination: str) -> DeliveryClaim:
    while (claim := store.claimed_delivery()).destination != destination:
        pass
    return claim


def take_back(store: Store) -> list[WithdrawalClaim]:
    """Do every withdrawal, as a worker does that knows what the destinations are."""
    claims = []
    while (claim := store.withdrawals.claim()) is not None:
        ehr = claim.destination == "ehr"
        state = WithdrawalState.WITHDRAWN if ehr else WithdrawalState.KEPT
        store.withdrawals.finish(claim, state, {"references": ["x"]} if ehr else None)
        claims.append(claim)
    return claims


def analysed(store: Store, number: int) -> None:
    """Let the job that a correction ordered be done."""
    (job,) = store.jobs.unprepared()
    store.jobs.prepared(job.job_id, Readiness.READY, {})
    store.jobs.publish(store.claimed(), result_set(number))


def test_what_was_delivered_is_withdrawn_or_kept_and_made_anew_for_the_record(
    delivered: Store,
) -> None:
    store = delivered
    store.correct()
    assert withdrawals(store) == {"ehr": "OWED", "pacs": "OWED"}
    claims = take_back(store)
    assert {claim.cause for claim in claims} == {CORRECTED}
    assert {claim.study_instance_uid for claim in claims} == {STUDY}
    assert [dict(claim.receipt or {})["references"] for claim in claims] == [
        ["DiagnosticReport/7"]
    ] * 2
    assert withdrawals(store) == {"ehr": "WITHDRAWN", "pacs": "KEPT"}
    assert states(store) == {"ehr": ("WITHDRAWN", None), "pacs": ("CONFIRMED", None)}
    store.dispatch()
    (job,) = store.jobs.unprepared()
    assert job.destinations == ("ehr",)
    assert job.identity["PatientID"] == "OVR-7"
    assert {"result withdrawn", "result kept"} <= set(store.story())


def test_each_correction_of_an_instance_owes_nothing_twice(delivered: Store) -> None:
    delivered.correct(1)
    before = delivered.counts()["withdrawal"]
    delivered.correct(2, 3)
    assert delivered.counts()["withdrawal"] == before == 2


def test_the_right_result_waits_until_the_wrong_one_is_away(delivered: Store) -> None:
    store = delivered
    store.correct()
    store.dispatch()
    analysed(store, 2)
    assert store.deliveries.claim() is None
    store.write("UPDATE outbox SET rung_at = 1e12")  # the bell was rung, and nobody could answer
    take_back(store)
    assert store.one(schema.outbox).rung_at is None
    assert store.deliver_all() == ["ehr"]


def test_a_withdrawal_that_is_parked_holds_nothing_right_back(delivered: Store) -> None:
    store = delivered
    store.correct()
    store.dispatch()
    analysed(store, 2)
    for _ in range(2):
        store.withdrawals.park(store.claimed_withdrawal(), "EHR-403", "no scope")
    assert store.deliver_all() == ["ehr"]
    assert states(store)["ehr"] == ("CONFIRMED", None)
    assert store.story().count("withdrawal parked") == 2


def test_what_nobody_began_to_deliver_is_not_delivered_any_more(store: Store) -> None:
    store.published()
    store.correct()
    assert set(states(store).values()) == {("PARKED", CORRECTED)}
    assert withdrawals(store) == {}
    assert store.deliveries.claim() is None
    for row in store.rows(schema.delivery):
        assert not store.deliveries.owe_again(row.delivery_id)
    assert store.rows(schema.outbox) == []
    assert store.outbox().sweep() == 0
    store.dispatch()
    (job,) = store.jobs.unprepared()
    assert job.destinations == ("pacs", "ehr")


def test_a_delivery_that_somebody_is_at_is_taken_from_him_and_withdrawn_when_he_must_be_over(
    store: Store,
) -> None:
    store.published()
    claim = claimed_of(store, "ehr")
    store.correct()
    with pytest.raises(LeaseLost):
        store.deliveries.finish(claim, DeliveryState.CONFIRMED, {"references": []})
    rows = [row for row in store.rows(schema.withdrawal) if row.destination == "ehr"]
    assert rows[0].due_at > rows[0].created_at + LEASE_S / 2
    store.write("UPDATE withdrawal SET due_at = 1")
    found = [one for one in take_back(store) if one.destination == "ehr"]
    assert [one.receipt for one in found] == [None]
    assert states(store)["ehr"] == ("PARKED", CORRECTED)


def test_a_delivery_whose_answer_was_lost_is_withdrawn_too(store: Store) -> None:
    store.published()
    store.deliveries.give_back(claimed_of(store, "ehr"), "PEER-UNAVAILABLE", 1000)
    store.correct()
    assert withdrawals(store)["ehr"] == "OWED"
    assert states(store)["ehr"] == ("PARKED", CORRECTED)


def test_a_parked_delivery_cannot_be_brought_to_the_wrong_patient_later(store: Store) -> None:
    store.published()
    claim = claimed_of(store, "ehr")
    store.deliveries.park(claim, "EHR-403", "no scope")
    store.correct()
    assert states(store)["ehr"] == ("PARKED", CORRECTED)
    assert not store.deliveries.owe_again(claim.delivery_id)


def test_half_a_result_set_in_an_archive_is_finished(store: Store) -> None:
    store.published()
    claim = claimed_of(store, "pacs")
    (first, _), _ = claim.instances
    store.deliveries.progress(claim, first.sop_instance_uid, InstanceState.SENDING)
    store.correct()
    store.deliveries.finish(claim, DeliveryState.CONFIRMED, {"references": []})
    assert states(store)["pacs"] == ("CONFIRMED", None)


def test_a_job_that_runs_under_the_former_identity_publishes_nothing(store: Store) -> None:
    store.ready()
    claim = store.claimed()
    store.correct(1)
    with pytest.raises(LeaseLost):
        store.jobs.publish(claim, result_set())
    assert store.rows(schema.result_set) == []
    assert store.one(schema.job).reason == "OVERTAKEN"


@pytest.mark.parametrize("between", [True, False], ids=["after an answer", "before any answer"])
def test_an_identity_that_is_corrected_back_is_answered_again(
    delivered: Store, between: bool
) -> None:
    store = delivered
    store.correct()
    if between:
        store.dispatch()
        analysed(store, 2)
        take_back(store)
        store.deliver_all()
    store.correct(patient="OVR-000042")
    take_back(store)
    store.dispatch()
    (job,) = store.jobs.unprepared()
    assert (job.request, job.destinations) == (1, ("ehr",))
    assert job.identity["PatientID"] == "OVR-000042"
    assert len(store.rows(schema.job)) == (3 if between else 2)


def test_an_identity_that_is_corrected_back_before_anything_was_read_is_read(store: Store) -> None:
    store.ready()
    store.correct()
    store.correct(patient="OVR-000042")
    store.dispatch()
    (job,) = store.jobs.unprepared()
    assert (job.request, job.destinations) == (1, ("pacs", "ehr"))


def test_an_identity_that_is_corrected_back_to_one_that_could_not_be_read_is_read_again(
    store: Store,
) -> None:
    store.ready()
    store.jobs.cancel(store.claimed(), "MODEL-FAILED", "NaN")
    store.correct()
    store.dispatch()
    (job,) = store.jobs.unprepared()
    store.jobs.prepared(job.job_id, Readiness.READY, {})
    store.jobs.cancel(store.claimed(), "MODEL-FAILED", "NaN")
    store.correct(patient="OVR-000042")
    store.dispatch()
    (job,) = store.jobs.unprepared()
    assert job.request == 1


def test_an_archive_that_wants_it_gets_the_result_anew(delivered: Store) -> None:
    delivered.reissued = {"ehr", "pacs"}
    delivered.correct()
    delivered.dispatch()
    (job,) = delivered.jobs.unprepared()
    assert job.destinations == ("pacs", "ehr")


def test_an_archive_that_got_the_first_result_does_not_get_the_third(delivered: Store) -> None:
    store = delivered
    store.correct()
    store.dispatch()
    analysed(store, 2)
    take_back(store)
    store.deliver_all()
    store.correct(patient="OVR-8")
    store.dispatch()
    (job,) = store.jobs.unprepared()
    assert job.destinations == ("ehr",)


def test_a_withdrawal_survives_who_did_it(delivered: Store) -> None:
    store = delivered
    store.correct()
    loser = store.another(lease_s=EXPIRED).claimed_withdrawal()
    winner = store.claimed_withdrawal()
    while winner.withdrawal_id != loser.withdrawal_id:
        winner = store.claimed_withdrawal()
    assert (winner.attempt, winner.lost_leases) == (2, 1)
    before = store.counts()
    with pytest.raises(LeaseLost):
        store.withdrawals.renew(loser)
    with pytest.raises(LeaseLost):
        store.withdrawals.finish(loser, WithdrawalState.WITHDRAWN, None)
    with pytest.raises(LeaseLost):
        store.withdrawals.park(loser, "NO", "no")
    with pytest.raises(LeaseLost):
        store.withdrawals.give_back(loser, "NO", 1)
    assert store.counts() == before
    store.withdrawals.finish(winner, WithdrawalState.WITHDRAWN, {"references": []})


def test_a_bell_of_a_withdrawal_that_is_missing_is_put_back(delivered: Store) -> None:
    delivered.correct()
    delivered.write("DELETE FROM outbox")
    assert delivered.outbox().sweep() == 2


def test_a_withdrawal_is_postponed_parked_and_owed_again(delivered: Store) -> None:
    store = delivered
    store.correct()
    claim = store.claimed_withdrawal()
    store.withdrawals.give_back(claim, "PEER-UNAVAILABLE", 1000)
    assert not store.withdrawals.owe_again(claim.withdrawal_id)
    other = store.claimed_withdrawal()
    assert other.withdrawal_id != claim.withdrawal_id
    assert store.withdrawals.claim() is None
    store.withdrawals.park(other, "EHR-403", "no scope")
    assert store.withdrawals.owe_again(other.withdrawal_id)
    again = store.claimed_withdrawal()
    assert (again.withdrawal_id, again.attempt) == (other.withdrawal_id, 2)
