"""What becomes of results that stand: superseded, retracted, asked again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.core.job import DeliveryClaim, DeliveryState, InstanceState, Readiness
from node.core.withdrawal import WithdrawalState
from node.errors import LeaseLost, NothingToRerun
from node.store import schema
from node.store.reruns import RerunStore
from node.store.retractions import RetractionStore
from tests.contract.stores import ENGINES, LEASE_S, Store, opened
from tests.unit.node.samples import STUDY, result_set


@pytest.fixture(params=sorted(ENGINES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened(request.param, tmp_path) as empty:
        yield empty


@pytest.fixture
def delivered(store: Store) -> Store:
    """Give one whose result is in the archive and in the record."""
    store.published()
    assert store.deliver_all() == ["ehr", "pacs"]
    return store


def rerun(store: Store, number: int = 2) -> None:
    """Ask again, and let it be answered."""
    reruns = RerunStore(store.database)
    (last,) = reruns.asked(STUDY)
    job = reruns.rerun(last.job_id, "1.0.2")
    store.jobs.prepared(job, Readiness.READY, {})
    store.jobs.publish(store.claimed(), result_set(number))


def retract(store: Store, of: str = STUDY) -> int:
    retractions = RetractionStore(store.database)
    return retractions.retract(retractions.results(of), "the model was trained on wrong labels")


def causes(store: Store) -> dict[str, tuple[str, str]]:
    return {row.destination: (row.cause, row.state) for row in store.rows(schema.withdrawal)}


def states(store: Store, number: int = 1) -> dict[str, tuple[str, str | None]]:
    uid = result_set(number).result_set_id
    rows = [row for row in store.rows(schema.delivery) if row.result_set_id == uid]
    return {row.destination: (row.state, row.reason) for row in rows}


def results(store: Store) -> list[str]:
    return [row.state for row in store.rows(schema.result_set)]


def claimed_of(store: Store, destination: str) -> DeliveryClaim:
    while (claim := store.claimed_delivery()).destination != destination:
        pass
    return claim


def withdraw_all(store: Store, state: WithdrawalState = WithdrawalState.WITHDRAWN) -> int:
    count = 0
    while (claim := store.withdrawals.claim()) is not None:
        store.withdrawals.finish(claim, state, {"references": ["x"]})
        count += 1
    return count


# --- superseded


def test_an_older_result_goes_from_where_the_newer_one_has_arrived(delivered: Store) -> None:
    store = delivered
    rerun(store)
    assert results(store) == ["SUPERSEDED", "CURRENT"]
    assert causes(store) == {}  # nobody is without a result
    claim = claimed_of(store, "pacs")
    for item, _ in claim.instances:
        store.deliveries.progress(claim, item.sop_instance_uid, InstanceState.SENT)
    store.deliveries.finish(claim, DeliveryState.SENT, {"references": []})
    assert causes(store) == {"pacs": ("SUPERSEDED", "OWED")}
    wrong = store.claimed_withdrawal()
    assert [one.sop_instance_uid for one in wrong.instances] == ["2.25.11", "2.25.12"]
    assert wrong.identity["PatientID"] == "OVR-000042"
    store.withdrawals.finish(wrong, WithdrawalState.WITHDRAWN, {"references": ["x"]})
    assert states(store)["pacs"] == ("WITHDRAWN", None)


def test_a_newer_delivery_does_not_wait_until_an_older_result_is_away(delivered: Store) -> None:
    store = delivered
    rerun(store)
    store.deliver_all()
    rerun(store, 3)
    assert {state for _, state in causes(store).values()} == {"OWED"}
    assert store.deliver_all() == ["ehr", "pacs"]


def test_each_older_result_is_withdrawn_once(delivered: Store) -> None:
    store = delivered
    for number in (2, 3):
        rerun(store, number)
        store.deliver_all()
        withdraw_all(store)
    assert results(store) == ["SUPERSEDED", "SUPERSEDED", "CURRENT"]
    assert len(store.rows(schema.withdrawal)) == 4
    assert withdraw_all(store) == 0


def test_a_newer_result_waits_for_the_older_one_that_is_on_its_way(store: Store) -> None:
    store.published()
    older = claimed_of(store, "pacs")
    for item, _ in older.instances[:1]:
        store.deliveries.progress(older, item.sop_instance_uid, InstanceState.SENDING)
    rerun(store)
    claimed = []
    while (claim := store.deliveries.claim()) is not None:
        claimed.append(claim.destination)
    assert claimed == ["ehr"]  # of the older one there nothing has left
    store.deliveries.finish(older, DeliveryState.CONFIRMED, {"references": []})
    newer = claimed_of(store, "pacs")
    assert newer.follows
    assert causes(store) == {}
    store.deliveries.finish(newer, DeliveryState.CONFIRMED, {"references": []})
    assert causes(store) == {"pacs": ("SUPERSEDED", "OWED")}


def test_an_older_result_stays_until_the_newer_one_is_there(store: Store) -> None:
    store.published()
    older = claimed_of(store, "pacs")
    for item, _ in older.instances:
        store.deliveries.progress(older, item.sop_instance_uid, InstanceState.SENT)
    rerun(store)
    store.deliveries.finish(older, DeliveryState.CONFIRMED, {"references": []})
    assert causes(store) == {}
    store.deliver_all()
    assert causes(store) == {"pacs": ("SUPERSEDED", "OWED")}


def test_half_a_result_that_was_taken_back_is_not_again(store: Store) -> None:
    store.published()
    older = claimed_of(store, "pacs")
    store.deliveries.progress(older, older.instances[0][0].sop_instance_uid, InstanceState.SENT)
    store.deliveries.park(older, "PACS-A900", "no")
    rerun(store)
    store.deliver_all()
    assert withdraw_all(store) == 1
    retract(store)
    assert withdraw_all(store) == 2  # those of the newer result


def test_half_an_older_result_goes_too_and_is_not_completed(store: Store) -> None:
    store.published()
    older = claimed_of(store, "pacs")
    uid = older.instances[0][0].sop_instance_uid
    store.deliveries.progress(older, uid, InstanceState.SENT)
    store.deliveries.park(older, "PACS-A900", "no")
    rerun(store)
    assert not store.deliveries.owe_again(older.delivery_id)
    newer = claimed_of(store, "pacs")
    store.deliveries.finish(newer, DeliveryState.CONFIRMED, {"references": []})
    wrong = store.claimed_withdrawal()
    assert [one.sop_instance_uid for one in wrong.instances] == [uid]
    assert wrong.receipt is None


def test_another_models_result_stays(delivered: Store) -> None:
    store = delivered
    series = store.intake.undispatched_series()
    assert series == []
    rerun(store)
    store.write("UPDATE result_set SET model = 'another' WHERE state = 'SUPERSEDED'")
    store.deliver_all()
    assert causes(store) == {}


# --- retracted


def test_a_retracted_result_is_taken_back_everywhere(delivered: Store) -> None:
    assert retract(delivered) == 1
    assert results(delivered) == ["RETRACTED"]
    assert causes(delivered) == {"ehr": ("RETRACTED", "OWED"), "pacs": ("RETRACTED", "OWED")}
    assert "result retracted" in delivered.story()
    assert retract(delivered) == 0
    withdraw_all(delivered)
    assert set(states(delivered).values()) == {("WITHDRAWN", None)}


@pytest.mark.parametrize("of", ["study", "result", "job"])
def test_a_result_is_named_by_its_study_itself_or_its_job(delivered: Store, of: str) -> None:
    named = {
        "study": STUDY,
        "result": result_set().result_set_id,
        "job": delivered.one(schema.job).job_id,
    }
    assert retract(delivered, "2.25.9") == 0
    assert retract(delivered, named[of]) == 1


def test_what_nobody_began_to_deliver_is_never_delivered(store: Store) -> None:
    store.published()
    retract(store)
    assert store.deliveries.claim() is None
    assert set(states(store).values()) == {("PARKED", "RETRACTED")}
    assert causes(store) == {}
    assert not any(
        store.deliveries.owe_again(row.delivery_id) for row in store.rows(schema.delivery)
    )


def test_a_delivery_under_way_is_stopped_and_taken_back_when_its_worker_must_be_over(
    store: Store,
) -> None:
    store.published()
    claim = claimed_of(store, "pacs")
    uid = claim.instances[0][0].sop_instance_uid
    store.deliveries.progress(claim, uid, InstanceState.SENT)
    retract(store)
    with pytest.raises(LeaseLost):
        store.deliveries.progress(
            claim, claim.instances[1][0].sop_instance_uid, InstanceState.SENDING
        )
    row = next(row for row in store.rows(schema.withdrawal) if row.destination == "pacs")
    assert row.due_at > row.created_at + LEASE_S / 2


def test_a_superseded_result_that_is_kept_somewhere_is_retracted_there_too(
    delivered: Store,
) -> None:
    store = delivered
    rerun(store)
    store.deliver_all()
    withdraw_all(store, WithdrawalState.KEPT)
    assert retract(store) == 2
    assert {cause for cause, _ in causes(store).values()} == {"RETRACTED"}
    assert withdraw_all(store) == 4


def test_what_was_withdrawn_already_is_not_again(delivered: Store) -> None:
    store = delivered
    rerun(store)
    store.deliver_all()
    withdraw_all(store)
    retract(store)
    assert withdraw_all(store) == 2  # those of the newer result


def test_a_retraction_overtakes_a_withdrawal_that_is_owed(delivered: Store) -> None:
    store = delivered
    rerun(store)
    store.deliver_all()
    retract(store)
    assert {cause for cause, _ in causes(store).values()} == {"RETRACTED"}
    assert withdraw_all(store) == 4


def test_a_retracted_result_is_nobodys_predecessor(delivered: Store) -> None:
    retract(delivered)
    reruns = RerunStore(delivered.database)
    (last,) = reruns.asked(STUDY)
    delivered.jobs.prepared(reruns.rerun(last.job_id, "1.0.2"), Readiness.READY, {})
    claim = delivered.claimed()
    assert (claim.revision, claim.earlier) == (1, ())


# --- asked again


def test_a_rerun_is_a_request_more_for_the_same_destinations(delivered: Store) -> None:
    reruns = RerunStore(delivered.database)
    (last,) = reruns.asked(STUDY)
    job = reruns.rerun(last.job_id, "2.0.0")
    (claim,) = delivered.jobs.unprepared()
    assert (claim.job_id, claim.request, claim.version) == (job, 1, "2.0.0")
    assert claim.destinations == ("pacs", "ehr")
    assert len(claim.files["volume"]) == 3
    again = reruns.rerun(job, "2.0.0")
    (claim,) = delivered.jobs.unprepared()
    assert (claim.job_id, claim.request) == (again, 2)
    first = next(row for row in delivered.rows(schema.job) if row.job_id == job)
    assert (first.state, first.reason) == ("CANCELED", "OVERTAKEN")


def test_a_study_is_asked_again_by_its_last_job_of_each_question(delivered: Store) -> None:
    reruns = RerunStore(delivered.database)
    (first,) = reruns.asked(STUDY)
    second = reruns.rerun(first.job_id, "2.0.0")
    assert [one.job_id for one in reruns.asked(STUDY)] == [second]
    assert [one.job_id for one in reruns.asked(first.job_id)] == [first.job_id]
    assert reruns.asked("2.25.9") == []


def test_what_is_not_here_any_more_cannot_be_read_again(delivered: Store) -> None:
    reruns = RerunStore(delivered.database)
    (last,) = reruns.asked(STUDY)
    delivered.write("DELETE FROM instance WHERE sop_instance_uid = '2.25.3002'")
    before = delivered.counts()
    with pytest.raises(NothingToRerun, match="1 of its 3"):
        reruns.rerun(last.job_id, "1.0.2")
    assert delivered.counts() == before
