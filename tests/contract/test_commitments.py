"""What the store promises about Storage Commitment and announcements, on every database engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.core import commitment
from node.core.announcement import (
    Announced,
    Announcement,
    Kind,
    StepAnswer,
    StepChange,
    StepState,
)
from node.core.commitment import (
    Asked,
    CommitmentClaim,
    CommitmentRequest,
    CommitmentState,
    FailureReason,
    Reference,
)
from node.core.study import Outcome
from node.errors import LeaseLost
from node.store import requests, safekeeping, schema
from tests.contract.stores import ENGINES, EXPIRED, Store, opened
from tests.unit.node.samples import MR, SERIES, STUDY, received

DAY_S = 86_400.0


@pytest.fixture(params=sorted(ENGINES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened(request.param, tmp_path) as empty:
        yield empty


def asked(*numbers: int, peer: str = "pacs", transaction_uid: str = "2.25.9") -> CommitmentRequest:
    return CommitmentRequest(
        peer=peer,
        transaction_uid=transaction_uid,
        references=tuple(Reference(f"2.25.300{number}", MR) for number in numbers),
    )


def claimed(store: Store) -> CommitmentClaim:
    claim = store.commitments.claim()
    assert claim is not None
    return claim


def held(store: Store) -> dict[str, float]:
    return {row.sop_instance_uid: row.until for row in store.rows(schema.commitment_held)}


def test_a_request_is_owed_until_it_is_reported(store: Store) -> None:
    store.receive(1, 2)
    assert store.commitments.ask(asked(1, 2)) is Asked.TAKEN
    claim = claimed(store)
    assert claim.request == asked(1, 2)
    assert (claim.attempt, claim.failures) == (1, None)
    assert store.commitments.claim() is None  # held
    assert store.commitments.answer(claim, {}, DAY_S) == {}
    assert store.one(schema.commitment).state == CommitmentState.OWED
    store.commitments.reported(claim)
    assert store.one(schema.commitment).state == CommitmentState.REPORTED
    assert store.story()[-2:] == ["commitment answered", "commitment reported"]
    store.expire_leases()
    assert store.commitments.claim() is None


def test_the_same_request_again_owes_nothing_more_and_another_one_is_a_duplicate(
    store: Store,
) -> None:
    store.receive(1, 2)
    assert store.commitments.ask(asked(1)) is Asked.TAKEN
    before = store.counts()
    assert store.commitments.ask(asked(1)) is Asked.KNOWN
    assert store.commitments.ask(asked(2)) is Asked.DUPLICATE
    assert store.counts() == before
    claim = claimed(store)
    store.commitments.answer(claim, {}, DAY_S)
    store.commitments.reported(claim)
    assert store.commitments.ask(asked(1)) is Asked.DUPLICATE
    assert store.commitments.ask(asked(1, peer="ct")) is Asked.TAKEN


def test_a_peer_cannot_owe_us_without_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MOST_OWED", 2)
    assert commitment.MOST_OWED > 2
    answers = [store.commitments.ask(asked(1, transaction_uid=f"2.25.{n}")) for n in range(3)]
    assert answers == [Asked.TAKEN, Asked.TAKEN, Asked.TOO_MANY]
    assert store.commitments.ask(asked(1, peer="ct")) is Asked.TAKEN


def test_only_what_is_committed_is_held_and_nothing_shortens_it(store: Store) -> None:
    store.receive(1, 2)
    store.commitments.ask(asked(1, 2, 7))
    refused = {"2.25.3002": FailureReason.PROCESSING_FAILURE}
    final = store.commitments.answer(claimed(store), refused, 2 * DAY_S)
    assert final == {**refused, "2.25.3007": FailureReason.NO_SUCH_OBJECT_INSTANCE}
    first = held(store)
    assert set(first) == {"2.25.3001"}
    store.commitments.ask(asked(1, transaction_uid="2.25.10"))
    store.commitments.answer(claimed(store), {}, DAY_S)
    assert held(store) == first


def test_what_was_deleted_after_it_was_examined_is_not_promised(store: Store) -> None:
    store.receive(1)
    store.commitments.ask(asked(1))
    claim = claimed(store)
    assert set(store.commitments.holdings(claim.request.references)) == {"2.25.3001"}
    store.write("DELETE FROM instance")
    assert set(store.commitments.answer(claim, {}, DAY_S)) == {"2.25.3001"}
    assert held(store) == {}


def test_an_answer_is_given_once_and_survives_who_gave_it(store: Store) -> None:
    store.receive(1)
    store.commitments.ask(asked(1, 7))
    given = store.commitments.answer(claimed(store.another(lease_s=EXPIRED)), {}, DAY_S)
    again = claimed(store)
    assert again.failures == given
    assert again.attempt == 2


def test_who_lost_the_claim_writes_nothing(store: Store) -> None:
    store.receive(1)
    store.commitments.ask(asked(1))
    loser = claimed(store.another(lease_s=EXPIRED))
    claimed(store)
    before = store.counts()
    with pytest.raises(LeaseLost):
        store.commitments.answer(loser, {}, DAY_S)
    with pytest.raises(LeaseLost):
        store.commitments.reported(loser)
    with pytest.raises(LeaseLost):
        store.commitments.give_back(loser, "PEER-UNAVAILABLE", 2)
    with pytest.raises(LeaseLost):
        store.commitments.renew(loser)
    assert store.counts() == before
    assert store.one(schema.commitment).state == CommitmentState.OWED


def test_a_sick_peer_is_left_alone_and_the_others_are_not(store: Store) -> None:
    for number in range(3):
        store.commitments.ask(asked(1, transaction_uid=f"2.25.{number}"))
    store.commitments.ask(asked(1, peer="ct"))
    store.commitments.give_back(claimed(store), "PEER-UNAVAILABLE", 60)
    assert claimed(store).request.peer == "ct"
    assert store.commitments.claim() is None


def test_a_parked_report_is_owed_again_with_an_answer_that_holds_now(store: Store) -> None:
    store.receive(1, 2)
    store.commitments.ask(asked(1, 2))
    claim = claimed(store)
    assert not store.commitments.owe_again(claim.request.commitment_id)
    store.commitments.answer(claim, {}, DAY_S)
    store.commitments.park(claim, "PEER-UNAVAILABLE")
    store.write("UPDATE commitment SET asked_at = 1")
    store.write("UPDATE commitment_held SET until = 1")
    store.write("DELETE FROM instance WHERE sop_instance_uid = '2.25.3002'")  # retention, meanwhile
    assert store.commitments.owe_again(claim.request.commitment_id)
    again = claimed(store)
    assert (again.failures, again.age_s < DAY_S) == (None, True)
    final = store.commitments.answer(again, {}, DAY_S)
    assert final == {"2.25.3002": FailureReason.NO_SUCH_OBJECT_INSTANCE}
    assert [uid for uid, until in held(store).items() if until > 1] == ["2.25.3001"]


def test_another_object_under_the_same_uid_is_told(store: Store) -> None:
    store.receive(1, 2)
    store.take(received(1, SeriesDescription="OTHER"), Outcome.CONFLICT)
    found = store.commitments.holdings(asked(1, 2).references)
    assert [found[uid].disputed for uid in ("2.25.3001", "2.25.3002")] == [True, False]


def test_a_long_list_is_examined_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safekeeping, "AT_ONCE", 2)
    store.receive(1, 2, 3, 4, 5)
    store.commitments.ask(asked(1, 2, 3, 4, 5))
    claim = claimed(store)
    assert len(store.commitments.holdings(claim.request.references)) == 5
    assert store.commitments.answer(claim, {}, DAY_S) == {}


def test_a_list_is_announced_once(store: Store) -> None:
    listed = Announcement(
        kind=Kind.IAN,
        peer="pacs",
        instances=(
            Announced(
                sop_instance_uid="2.25.3001", series_instance_uid=SERIES, study_instance_uid=STUDY
            ),
        ),
    )
    for _ in range(2):
        store.announcements.announce(listed)
    row = store.one(schema.announcement)
    assert (row.kind, row.series_instance_uid, row.peer) == ("ian", SERIES, "pacs")


def step(state: StepState | None, *numbers: int, peer: str = "ct") -> StepChange:
    listed = tuple((SERIES, f"2.25.300{number}") for number in numbers)
    return StepChange(
        sop_instance_uid="2.25.7",
        peer=peer,
        state=state,
        study_instance_uid=STUDY,
        performed=listed or None,
    )


def test_a_step_announces_its_last_list_when_it_is_completed(store: Store) -> None:
    steps = store.announcements
    assert steps.change_step(step(StepState.COMPLETED, 1)) is StepAnswer.UNKNOWN
    assert steps.begin_step(step(StepState.IN_PROGRESS)) is StepAnswer.TAKEN
    assert steps.begin_step(step(StepState.IN_PROGRESS)) is StepAnswer.DUPLICATE
    assert steps.change_step(step(None, 1, 2)) is StepAnswer.TAKEN
    assert steps.change_step(step(StepState.COMPLETED, 9, peer="mr")) is StepAnswer.UNKNOWN
    assert store.rows(schema.announcement) == []
    assert steps.change_step(step(StepState.COMPLETED)) is StepAnswer.TAKEN
    assert steps.change_step(step(None, 3)) is StepAnswer.OVER
    listed = [row.sop_instance_uid for row in store.rows(schema.announcement)]
    assert listed == ["2.25.3001", "2.25.3002"]


def test_a_discontinued_step_announces_nothing(store: Store) -> None:
    store.announcements.begin_step(step(StepState.IN_PROGRESS))
    store.announcements.change_step(step(StepState.DISCONTINUED, 1))
    assert store.rows(schema.announcement) == []


def ian(*numbers: int, series: str = SERIES) -> Announcement:
    return Announcement(
        kind=Kind.IAN,
        peer="pacs",
        instances=tuple(
            Announced(
                sop_instance_uid=f"2.25.300{number}",
                series_instance_uid=series,
                study_instance_uid=STUDY,
            )
            for number in numbers
        ),
    )


def announced(store: Store) -> list[tuple[str, str]]:
    return [(row.kind, row.sop_instance_uid) for row in store.rows(schema.announcement)]


def test_lists_are_forgotten_when_their_series_is_settled_and_the_period_is_over(
    store: Store,
) -> None:
    store.receive(1, 2)
    store.announcements.announce(ian(1, 2))
    store.announcements.announce(ian(7))  # not here yet, and the series waits for it
    store.announcements.announce(ian(8, series="2.25.never"))
    store.commitments.ask(asked(1, 9))
    store.announcements.begin_step(step(StepState.IN_PROGRESS))
    assert store.announcements.prune(DAY_S) == 0
    store.write("UPDATE announcement SET at = CASE kind WHEN 'ian' THEN line + 1 ELSE 1 END")
    store.write("UPDATE procedure_step SET begun_at = 1")
    assert store.announcements.prune(DAY_S) == 1  # of a series that never came
    waiting = [("ian", "2.25.3001"), ("ian", "2.25.3002"), ("ian", "2.25.3007")]
    waiting += [("commitment", "2.25.3001"), ("commitment", "2.25.3009")]
    assert announced(store) == waiting
    store.close_all()
    assert store.announcements.prune(DAY_S) == 0  # the rules were not asked yet
    store.dispatch()
    store.announcements.change_step(step(StepState.DISCONTINUED))
    store.write("UPDATE procedure_step SET ended_at = 1")
    assert store.announcements.prune(DAY_S) == 6
    assert store.rows(schema.procedure_step) == []
