"""What the store promises about transactions with archives, on every database engine."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from integrations.errors import Unavailable
from node.core.commitment import CommitmentRequest, Reference
from node.core.confirmation import (
    FIRST_RESENDING_S,
    RESENDINGS,
    CommitmentReport,
    ConfirmationClaim,
    Told,
)
from node.core.job import DeliveryState, InstanceState
from node.core.lane import Backoff
from node.errors import LeaseLost
from node.pipeline.confirm import Confirmer, confirm_next
from node.store import schema
from node.store.safekeeping import Safekeeping
from tests.contract.stores import ENGINES, EXPIRED, Store, opened
from tests.unit.node.doubles import held
from tests.unit.node.samples import MR

PACS = "pacs"
SEG, SR = "2.25.11", "2.25.12"
DAY_S = 86_400.0


@pytest.fixture(params=sorted(ENGINES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened(request.param, tmp_path) as empty:
        yield empty


def send(store: Store, awaits: str | None = "COMMITMENT") -> list[str]:
    """Bring what is owed to the archive, and leave it SENT; return what left."""
    claim = store.claimed_delivery()
    left = []
    for item, state in claim.instances:
        if state is not InstanceState.SENT:
            left.append(item.sop_instance_uid)
            for to in (InstanceState.SENDING, InstanceState.SENT):
                store.deliveries.progress(claim, item.sop_instance_uid, to)
    receipt = {"references": left, "confirmed": False, "remark": None, "awaits": awaits}
    store.deliveries.finish(claim, DeliveryState.SENT, receipt)
    return left


@pytest.fixture
def sent(store: Store) -> Store:
    store.published()
    store.write("UPDATE delivery SET due_at = due_at + 1e6 WHERE destination <> 'pacs'")
    assert send(store) == [SEG, SR]
    return store


def claimed(store: Store) -> ConfirmationClaim:
    claim = store.confirmations.claim(PACS)
    assert claim is not None
    return claim


def transaction(store: Store) -> Any:
    return store.rows(schema.confirmation)[-1]


def delivery(store: Store) -> Any:
    return next(row for row in store.rows(schema.delivery) if row.destination == PACS)


def states(store: Store) -> dict[str, str]:
    mine = delivery(store).delivery_id
    return {
        row.sop_instance_uid: row.state
        for row in store.rows(schema.delivery_instance)
        if row.delivery_id == mine
    }


def report(store: Store, *committed: str, **failed: int) -> CommitmentReport:
    of = {uid: sop_class for sop_class, uid, _ in transaction(store).listed}
    return CommitmentReport(
        peer=PACS,
        transaction_uid=transaction(store).transaction_uid,
        committed=frozenset(Reference(uid, of[uid]) for uid in committed),
        failed={SEG if name == "seg" else SR: reason for name, reason in failed.items()},
    )


def test_the_transaction_is_there_before_anybody_can_be_told_of_it(sent: Store) -> None:
    row = transaction(sent)
    assert (row.state, row.way, row.peer) == ("OWED", "COMMITMENT", PACS)
    assert [uid for _, uid, _ in row.listed] == [SEG, SR]
    claim = claimed(sent)
    assert claim.transaction_uid == row.transaction_uid
    assert [one.sop_instance_uid for one in claim.instances] == [SEG, SR]
    assert sent.confirmations.claim(PACS) is None  # held
    assert sent.confirmations.claim("other") is None


def test_a_delivery_that_awaits_nothing_owes_no_question(store: Store) -> None:
    store.published()
    send(store, None)
    assert store.rows(schema.confirmation) == []


def test_a_report_confirms_the_delivery_also_after_a_restart(sent: Store) -> None:
    sent.confirmations.asked(claimed(sent), DAY_S)
    assert delivery(sent).state == "SENT"
    assert sent.confirmations.claim(PACS) is None  # its report is awaited
    listener = sent.another()
    told = report(sent, SEG, SR)
    assert listener.confirmations.report(told) is Told.TAKEN
    assert (delivery(sent).state, transaction(sent).state) == ("CONFIRMED", "CONFIRMED")
    assert delivery(sent).receipt["confirmed"]
    assert sent.story()[-1] == "delivery confirmed"
    before = sent.counts()
    assert listener.confirmations.report(told) is Told.KNOWN
    assert listener.confirmations.report(report(sent, seg=0x0112)) is Told.KNOWN
    assert (sent.counts(), delivery(sent).state) == (before, "CONFIRMED")


def test_a_report_that_is_faster_than_the_response_is_taken(sent: Store) -> None:
    claim = claimed(sent)
    assert sent.confirmations.report(report(sent, SEG, SR)) is Told.TAKEN
    with pytest.raises(LeaseLost):
        sent.confirmations.asked(claim, DAY_S)
    assert delivery(sent).state == "CONFIRMED"


class Away:
    """An archive that answers nothing."""

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> frozenset[str]:
        raise Unavailable("the archive is not there")

    def attributes(
        self, study_instance_uid: str, keywords: Sequence[str]
    ) -> Mapping[str, str] | None:
        raise Unavailable("the archive is not there")


def test_an_archive_that_does_not_answer_is_asked_again_after_its_own_pauses(sent: Store) -> None:
    sent.confirmations.read_back_instead(claimed(sent), "NO-COMMITMENT-REPORT")
    archive = Confirmer(
        peer=PACS,
        request=None,
        within_s=0.0,
        index=Away(),
        backoff=Backoff(first_s=300.0, longest_s=400.0),
    )
    pauses = []
    for _ in range(2):
        assert confirm_next(sent.confirmations, archive, held)
        with sent.database.reading() as (_, now):
            pauses.append(transaction(sent).due_at - now)
        sent.write("UPDATE confirmation SET due_at = 0")
    assert 140 < pauses[0] <= 300
    assert 190 < pauses[1] <= 400


def test_who_asked_and_fell_silent_is_followed_under_the_same_transaction(sent: Store) -> None:
    silent = sent.another(lease_s=EXPIRED)
    first = claimed(silent)
    second = claimed(sent)
    assert (second.transaction_uid, second.attempt) == (first.transaction_uid, 2)
    with pytest.raises(LeaseLost):
        silent.confirmations.asked(first, DAY_S)
    sent.confirmations.asked(second, DAY_S)


@pytest.mark.parametrize("peer", ["other", PACS])
def test_a_transaction_that_is_not_theirs_or_not_known_changes_nothing(
    sent: Store, peer: str
) -> None:
    uid = transaction(sent).transaction_uid if peer == "other" else "2.25.404"
    told = CommitmentReport(peer=peer, transaction_uid=uid, committed=frozenset(), failed={})
    assert sent.confirmations.report(told) is Told.UNKNOWN
    assert (delivery(sent).state, transaction(sent).state) == ("SENT", "OWED")


def test_only_what_was_not_committed_is_sent_again(sent: Store) -> None:
    assert sent.confirmations.report(report(sent, SEG, sr=0x0112)) is Told.TAKEN
    assert states(sent) == {SEG: "SENT", SR: "OWED"}
    row = delivery(sent)
    assert (row.state, row.reason) == ("OWED", "COMMITMENT-0112")
    assert transaction(sent).state == "FAILED"
    assert sent.deliveries.claim() is None  # not at once
    sent.write("UPDATE delivery SET due_at = due_at - :s", s=FIRST_RESENDING_S)
    assert send(sent) == [SR]
    first, second = sent.rows(schema.confirmation)
    assert first.transaction_uid != second.transaction_uid
    assert [uid for _, uid, _ in second.listed] == [SEG, SR]
    assert sent.confirmations.report(report(sent, SEG, SR)) is Told.TAKEN
    assert delivery(sent).state == "CONFIRMED"


@pytest.mark.parametrize("committed", [(), (SEG,)])
def test_what_a_report_does_not_name_is_not_confirmed(
    sent: Store, committed: tuple[str, ...]
) -> None:
    sent.confirmations.report(report(sent, *committed))
    assert delivery(sent).state == "OWED"
    assert {uid for uid, state in states(sent).items() if state == "SENT"} == {*committed}


def test_an_instance_under_another_class_is_not_confirmed(sent: Store) -> None:
    whole = report(sent, SEG, SR)
    other = frozenset({Reference(SEG, MR), *(one for one in whole.committed if SR in str(one))})
    told = CommitmentReport(
        peer=PACS, transaction_uid=whole.transaction_uid, committed=other, failed={}
    )
    sent.confirmations.report(told)
    assert states(sent)[SEG] == "OWED"


def lie(store: Store, reason: int = 0x0112) -> None:
    """Take what is sent, and say that it is not there."""
    store.confirmations.report(report(store, SEG, sr=reason))


def test_an_archive_that_lies_again_and_again_is_told_to_somebody(sent: Store) -> None:
    for _ in range(RESENDINGS):
        lie(sent)
        sent.write("UPDATE delivery SET due_at = 1 WHERE destination = 'pacs'")
        assert send(sent) == [SR]
    lie(sent)
    row = delivery(sent)
    assert (row.state, row.reason) == ("PARKED", "COMMITMENT-0112")
    assert sent.deliveries.owe_again(
        row.delivery_id
    )  # somebody mended it: what is missing goes again
    assert send(sent) == [SR]
    lie(sent)
    assert delivery(sent).state == "OWED"


def test_what_would_fail_again_is_parked_at_once(sent: Store) -> None:
    lie(sent, 0x0122)
    assert (delivery(sent).state, delivery(sent).reason) == ("PARKED", "COMMITMENT-0122")


def test_what_is_superseded_is_not_sent_again(sent: Store) -> None:
    sent.write("UPDATE result_set SET state = 'SUPERSEDED'")
    lie(sent)
    assert (delivery(sent).state, transaction(sent).state) == ("SENT", "DROPPED")


def test_a_report_about_what_was_taken_back_changes_nothing(sent: Store) -> None:
    sent.write("UPDATE delivery SET state = 'WITHDRAWN'")
    assert sent.confirmations.report(report(sent, SEG, SR)) is Told.TAKEN
    assert (delivery(sent).state, transaction(sent).state) == ("WITHDRAWN", "DROPPED")


def test_without_a_report_in_time_it_is_read_back(sent: Store) -> None:
    sent.confirmations.asked(claimed(sent), DAY_S)
    sent.write("UPDATE confirmation SET due_at = 1")
    late = claimed(sent)
    assert late.state == "ASKED"
    sent.confirmations.read_back_instead(late, "NO-COMMITMENT-REPORT")
    reading = claimed(sent)
    assert (reading.way, reading.fallback, reading.attempt) == (
        "READ BACK",
        "NO-COMMITMENT-REPORT",
        1,
    )
    sent.confirmations.settle(reading, {})
    assert delivery(sent).state == "CONFIRMED"
    (row,) = [one for one in sent.rows(schema.event) if one.what == "delivery confirmed"]
    assert row.detail == "pacs: 2 objects read back (NO-COMMITMENT-REPORT)"
    # the archive's own word comes after all, and it is another one
    assert sent.confirmations.report(report(sent, SEG, sr=0x0112)) is Told.TAKEN
    assert (delivery(sent).state, states(sent)[SR]) == ("OWED", "OWED")


def test_nobody_to_ask_leaves_sent_what_was_never_promised_more(store: Store) -> None:
    store.published()
    store.write("UPDATE delivery SET due_at = due_at + 1e6 WHERE destination <> 'pacs'")
    send(store, "READ BACK")
    store.confirmations.leave_sent(claimed(store), "NOT-CONFIRMED", "no")
    assert (delivery(store).state, transaction(store).state) == ("SENT", "DROPPED")


def test_nobody_to_ask_parks_what_should_have_been_committed(sent: Store) -> None:
    sent.confirmations.read_back_instead(claimed(sent), "PACS-0122")
    sent.confirmations.leave_sent(claimed(sent), "NOT-CONFIRMED", "no")
    assert (delivery(sent).state, delivery(sent).reason) == ("PARKED", "NOT-CONFIRMED")
    assert sent.deliveries.owe_again(delivery(sent).delivery_id)
    assert send(sent) == []
    assert claimed(sent).way == "COMMITMENT"  # and is asked again


# --- what we hold for somebody, until its own archive has it


@pytest.fixture
def holding(store: Store) -> Store:
    store.receive(1, 2)
    references = tuple(Reference(f"2.25.300{number}", MR) for number in (1, 2))
    asked = CommitmentRequest(peer="ct", transaction_uid="2.25.9", references=references)
    store.commitments.ask(asked)
    claim = store.commitments.claim()
    assert claim is not None
    store.commitments.answer(claim, {}, DAY_S)
    return store


def still_held(store: Store) -> set[str]:
    with store.database.reading() as (_, now):
        rows = store.rows(schema.commitment_held)
        return {row.sop_instance_uid for row in rows if row.until > now}


def test_what_the_archive_has_committed_is_held_no_more(holding: Store) -> None:
    safekeeping = Safekeeping(holding.database)
    (source,) = {row.peer for row in holding.rows(schema.study)}
    assert safekeeping.ask(PACS, {"somebody else"}, 60.0) == 0
    assert safekeeping.ask(PACS, {source}, 60.0) == 2
    assert safekeeping.ask(PACS, {source}, 60.0) == 0  # not before a while
    row = transaction(holding)
    assert (row.delivery_id, row.way) == (None, "COMMITMENT")
    told = CommitmentReport(
        peer=PACS,
        transaction_uid=row.transaction_uid,
        committed=frozenset({Reference("2.25.3001", MR)}),
        failed={"2.25.3002": 0x0112},
    )
    assert still_held(holding) == {"2.25.3001", "2.25.3002"}
    assert holding.confirmations.report(told) is Told.TAKEN
    assert still_held(holding) == {"2.25.3002"}
    assert holding.story()[-1] == "commitment released"
    holding.write("UPDATE commitment_held SET ask_at = 1")
    assert safekeeping.ask(PACS, {source}, 60.0) == 1


def test_without_a_report_what_is_held_stays_held(holding: Store) -> None:
    (source,) = {row.peer for row in holding.rows(schema.study)}
    Safekeeping(holding.database).ask(PACS, {source}, 60.0)
    holding.confirmations.read_back_instead(claimed(holding), "NO-COMMITMENT-REPORT")
    assert transaction(holding).state == "DROPPED"
    assert still_held(holding) == {"2.25.3001", "2.25.3002"}
