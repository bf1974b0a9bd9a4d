"""What every database keeps of destinations: who may begin, in which order, when one that failed is tried."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pytest

from node.core.job import DeliveryClaim, DeliveryState, InstanceState, Readiness
from node.core.lane import Backoff, Closing, Lane
from node.core.withdrawal import WithdrawalState
from node.store import database as database_module
from node.store import schema
from node.store.deliveries import DeliveryStore
from node.store.destinations import destinations
from node.store.overview import Overview
from node.store.retractions import RetractionStore
from node.store.withdrawals import WithdrawalStore
from tests.contract.stores import ENGINES, LEASE_S, Store, opened
from tests.unit.node.samples import result_set

NOON = datetime(2026, 10, 12, 12, tzinfo=UTC).timestamp()
BACKOFF = Backoff(first_s=2.0, longest_s=900.0)


@dataclass
class Destinations:
    """A store under a clock that is moved by hand, with lanes for its destinations."""

    store: Store
    lanes: dict[str, Lane]
    at: list[float] = field(default_factory=lambda: [NOON])
    made: int = 0

    @property
    def deliveries(self) -> DeliveryStore:
        return DeliveryStore(self.store.database, LEASE_S, self.lanes)

    @property
    def withdrawals(self) -> WithdrawalStore:
        return WithdrawalStore(self.store.database, LEASE_S, self.lanes)

    def pass_time(self, seconds: float) -> None:
        self.at[0] += seconds

    def owe(self, count: int = 1, destinations: tuple[str, ...] = ("pacs", "ehr")) -> None:
        """Publish results of different series."""
        for _ in range(count):
            self.made += 1
            number = self.made * 10
            self.store.receive(number, SeriesInstanceUID=f"2.25.77{number}")
            (request,) = self.store.dispatch(destinations=destinations)
            self.store.jobs.prepared(request.job_id, Readiness.READY, {})
            self.store.jobs.publish(self.store.claimed(), result_set(self.made))
            self.pass_time(0.001)

    def claim(self, destination: str = "pacs") -> DeliveryClaim:
        claim = self.deliveries.claim(destination)
        assert claim is not None
        return claim

    def none(self, destination: str = "pacs") -> bool:
        return self.deliveries.claim(destination) is None

    def fail(self, destination: str = "pacs") -> DeliveryClaim:
        claim = self.claim(destination)
        after_s = BACKOFF.delay_s(claim.attempt, claim.transaction_uid)
        self.deliveries.give_back(claim, "PEER-UNAVAILABLE", after_s, unanswered=True)
        return claim

    def succeed(self, destination: str = "pacs") -> DeliveryClaim:
        claim = self.claim(destination)
        self.deliveries.finish(claim, DeliveryState.CONFIRMED, {"references": []})
        return claim

    def circuit(self, destination: str = "pacs") -> Any:
        rows = self.store.rows(schema.circuit)
        return next((row for row in rows if row.destination == destination), None)


@pytest.fixture(params=ENGINES)
def site(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Destinations]:
    with opened(request.param, tmp_path) as store:
        lanes = {name: Lane(destination=name, backoff=BACKOFF) for name in ("pacs", "ehr")}
        made = Destinations(store=store, lanes=lanes)
        monkeypatch.setattr(database_module, "_now", lambda _: made.at[0])
        yield made


def configure(site: Destinations, name: str = "pacs", **settings: Any) -> None:
    site.lanes[name] = Lane(destination=name, backoff=BACKOFF, **settings)


# --- a queue of its own


def test_each_destination_has_its_own_queue_in_the_order_in_which_it_was_owed(
    site: Destinations,
) -> None:
    site.owe(3)
    sets = [result_set(number).result_set_id for number in (1, 2, 3)]
    assert [site.succeed("pacs").result_set_id for _ in sets] == sets
    assert [site.succeed("ehr").result_set_id for _ in sets] == sets
    assert site.none("pacs")
    assert site.none("ehr")


def test_no_more_at_a_time_than_its_concurrency_over_all_processes(site: Destinations) -> None:
    configure(site, concurrency=2)
    site.owe(4)
    first, _ = site.claim(), site.claim()
    assert site.none()
    another = DeliveryStore(site.store.another().database, LEASE_S, site.lanes)
    assert another.claim("pacs") is None
    assert not site.none("ehr")  # another one's slots are its own
    site.deliveries.finish(first, DeliveryState.CONFIRMED, {"references": []})
    assert another.claim("pacs") is not None
    assert site.none()


def test_a_slot_of_a_worker_that_fell_silent_is_free_again(site: Destinations) -> None:
    site.owe(2)
    site.claim()
    assert site.none()
    site.pass_time(LEASE_S + 1)
    assert not site.none()


def test_those_that_are_not_configured_are_nobodys_lane(site: Destinations) -> None:
    site.owe(1, ("pacs", "gone"))
    claim = site.deliveries.claim(None)
    assert claim is not None
    assert claim.destination == "gone"
    assert site.deliveries.claim(None) is None


def test_a_withdrawal_takes_a_slot_too(site: Destinations) -> None:
    site.owe(2)
    wrong_one = site.succeed().result_set_id
    RetractionStore(site.store.database).retract([wrong_one], "wrong labels")
    assert site.withdrawals.claim("ehr") is None  # that one's delivery was not made
    wrong = site.withdrawals.claim("pacs")
    assert wrong is not None
    assert site.none()
    site.withdrawals.finish(wrong, WithdrawalState.KEPT, None)
    assert not site.none()


# --- the circuit breaker


def test_it_opens_after_failures_in_a_row_and_lets_nothing_through(site: Destinations) -> None:
    site.owe(5)
    failed = [site.fail().delivery_id for _ in range(3)]
    assert len(set(failed)) == 3
    circuit = site.circuit()
    assert (circuit.failures, circuit.opened_at, circuit.reason) == (
        3,
        site.at[0],
        "PEER-UNAVAILABLE",
    )
    assert 4.0 <= circuit.due_at - site.at[0] <= 8.0
    assert site.none()
    assert not site.none("ehr")


def test_a_success_between_failures_keeps_it_closed(site: Destinations) -> None:
    site.owe(6)
    for _ in range(2):
        site.fail()
    site.succeed()
    assert site.circuit() is None
    for _ in range(2):
        site.pass_time(1e-3)
        site.fail()
    assert site.circuit().opened_at is None
    assert not site.none()


def test_half_open_it_lets_one_through_and_a_failure_doubles_the_pause(site: Destinations) -> None:
    configure(site, concurrency=4)
    site.owe(8)
    for _ in range(3):
        site.fail()
    pauses = []
    for _ in range(12):
        site.pass_time(site.circuit().due_at - site.at[0] - 0.01)
        assert site.none()
        site.pass_time(0.02)
        claim = site.claim()
        assert site.none()  # one, although there are four slots and more is due
        pause = BACKOFF.delay_s(claim.attempt, claim.transaction_uid)
        site.deliveries.give_back(claim, "PEER-UNAVAILABLE", pause, unanswered=True)
        pauses.append(site.circuit().due_at - site.at[0])
    for failures, pause in enumerate(pauses, start=4):
        whole = min(2.0 * 2 ** (failures - 1), 900.0)
        assert whole / 2 <= pause <= whole
    assert site.circuit().opened_at == pytest.approx(NOON, abs=1)


def test_the_first_answer_closes_it_and_whatever_waited_goes_at_once(site: Destinations) -> None:
    site.owe(4)
    for pause in (900, 900, 900):
        claim = site.claim()
        site.deliveries.give_back(claim, "PEER-UNAVAILABLE", pause, unanswered=True)
    site.pass_time(8)
    site.succeed()  # the fourth, which nobody had tried yet
    assert site.circuit() is None
    sets = [result_set(number).result_set_id for number in (1, 2, 3)]
    assert [site.succeed().result_set_id for _ in sets] == sets
    assert site.at[0] < NOON + 9


def test_a_refusal_is_an_answer(site: Destinations) -> None:
    site.owe(4)
    for _ in range(2):
        site.fail()
    site.deliveries.park(site.claim(), "PACS-A900", "no")
    assert site.circuit() is None


def test_what_was_found_without_asking_the_destination_is_none(site: Destinations) -> None:
    site.owe(4)
    for _ in range(2):
        site.fail()
    site.deliveries.park(site.claim(), "RESULT-FILE-GONE", "gone")
    assert site.circuit().failures == 2


def test_a_shortage_of_ours_counts_against_nobody(site: Destinations) -> None:
    site.owe(1)
    site.deliveries.give_back(site.claim(), "OUT-OF-RESOURCES", 2.0)
    assert site.circuit() is None


def test_a_prober_that_falls_silent_gives_way_to_another(site: Destinations) -> None:
    site.owe(5)
    for _ in range(3):
        site.fail()
    site.pass_time(9)
    site.claim()
    assert site.none()
    site.pass_time(LEASE_S + 1)
    assert not site.none()


def test_one_that_always_fails_does_not_keep_the_others_from_being_tried(
    site: Destinations,
) -> None:
    site.owe(3)
    poison = site.fail().delivery_id
    for _ in range(2):
        site.fail()
    tried = []
    for _ in range(6):
        while (claim := site.deliveries.claim("pacs")) is None:
            site.pass_time(1)
        tried.append(claim.delivery_id)
        pause = BACKOFF.delay_s(claim.attempt, claim.transaction_uid)
        site.deliveries.give_back(claim, "PEER-UNAVAILABLE", pause, unanswered=True)
    assert len(set(tried)) == 3
    assert poison in tried


# --- schedule and cap


def test_nothing_is_delivered_during_maintenance(site: Destinations) -> None:
    configure(site, closed=(Closing(begins=time(11, 30), ends=time(13)),))
    site.owe(1)
    assert site.none()
    assert not site.none("ehr")
    site.pass_time(3600)
    assert not site.none()


def test_a_day_brings_no_more_than_the_cap(site: Destinations) -> None:
    configure(site, daily_cap=2, concurrency=4)
    site.owe(4)
    held = [site.claim(), site.claim()]
    assert site.none()  # what is under way counts
    for claim in held:
        site.deliveries.finish(claim, DeliveryState.SENT, {"references": []})
    assert site.none()
    site.pass_time(12 * 3600)
    assert not site.none()


# --- order


def test_a_revision_waits_for_its_predecessor_at_the_same_destination_only(
    site: Destinations,
) -> None:
    site.store.ready(1)
    site.store.jobs.publish(site.store.claimed(), result_set(1))
    older = site.claim()
    site.deliveries.progress(older, older.instances[0][0].sop_instance_uid, InstanceState.SENDING)
    site.pass_time(1)
    site.deliveries.give_back(older, "PEER-UNAVAILABLE", 600, unanswered=True)
    site.store.ready(4)
    site.store.jobs.publish(site.store.claimed(), result_set(2))
    assert site.none()  # the older one is not due, and goes first all the same
    assert site.succeed("ehr").result_set_id == result_set(2).result_set_id
    site.pass_time(601)
    assert site.succeed().result_set_id == result_set(1).result_set_id
    newer = site.succeed()
    assert newer.result_set_id == result_set(2).result_set_id
    assert newer.follows


def test_a_predecessor_that_is_parked_holds_nobody_up(site: Destinations) -> None:
    site.store.ready(1)
    site.store.jobs.publish(site.store.claimed(), result_set(1))
    older = site.claim()
    site.deliveries.progress(older, older.instances[0][0].sop_instance_uid, InstanceState.SENDING)
    site.deliveries.park(older, "PACS-A900", "no")
    site.pass_time(1)
    site.store.ready(4)
    site.store.jobs.publish(site.store.claimed(), result_set(2))
    assert site.succeed().result_set_id == result_set(2).result_set_id


# --- dead letters


def test_one_call_owes_every_parked_delivery_again_but_those_that_are_over(
    site: Destinations,
) -> None:
    site.owe(3)
    for destination, reason in (
        ("pacs", "PACS-A900"),
        ("pacs", "NOT-ROUTED"),
        ("pacs", "SUPERSEDED"),
        ("ehr", "EHR-422"),
    ):
        site.deliveries.park(site.claim(destination), reason, "no")
    letters = Overview(site.store.database).dead_letters()
    assert {row["reason"] for row in letters} == {"PACS-A900", "EHR-422"}
    assert site.deliveries.owe_all_again("pacs") == 1
    assert site.deliveries.owe_all_again() == 1
    assert site.deliveries.owe_all_again() == 0
    states = [(row.destination, row.state) for row in site.store.rows(schema.delivery)]
    assert states.count(("pacs", "OWED")) == 1


def test_a_parked_result_that_was_superseded_is_nobodys_to_look_at(site: Destinations) -> None:
    site.store.ready(1)
    site.store.jobs.publish(site.store.claimed(), result_set(1))
    site.deliveries.park(site.claim("ehr"), "EHR-412", "no")
    overview = Overview(site.store.database)
    assert len(overview.dead_letters()) == overview.counts()["destination_parked"]["ehr"] == 1
    site.store.ready(4)
    site.store.jobs.publish(site.store.claimed(), result_set(2))
    assert overview.dead_letters() == []
    assert overview.counts()["destination_parked"]["ehr"] == 0
    assert site.deliveries.owe_all_again() == 0


def test_it_is_told_how_each_destination_fares(site: Destinations) -> None:
    site.owe(4)
    for _ in range(3):
        site.fail()
    site.deliveries.park(site.claim("ehr"), "EHR-422", "no")
    with site.store.database.reading() as (connection, _):
        ehr, pacs = destinations(connection)
    assert (ehr["state"], ehr["owed"], ehr["parked"]) == ("ANSWERS", 3, 1)
    assert (pacs["state"], pacs["owed"], pacs["parked"], pacs["failures"]) == ("OPEN", 4, 0, 3)
    assert pacs["oldest_at"] == pytest.approx(NOON, abs=1)
    counts = Overview(site.store.database).counts()
    assert counts["destination_open"] == {"ehr": 0, "pacs": 1}
    assert counts["destination_parked"] == {"ehr": 1, "pacs": 0}
