"""What the store promises about jobs without a result: who expects one is told once, and never beside one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from node.core.form import notice_form
from node.core.job import DeliveryState, ResultSet, ResultState
from node.store import schema
from node.store.notices import SOON_S, NoticeStore
from node.store.overview import Overview
from tests.contract.stores import ENGINES, Store, opened
from tests.unit.node.samples import result_set


@pytest.fixture(params=sorted(ENGINES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened(request.param, tmp_path) as empty:
        yield empty


@pytest.fixture
def notices(store: Store) -> NoticeStore:
    return NoticeStore(store.database)


def canceled(store: Store, reason: str = "GAP") -> None:
    store.ready()
    store.jobs.cancel(store.claimed(), reason, "2 slices are missing")


def stories(store: Store) -> list[str]:
    return [row.what for row in store.rows(schema.event)]


def notice(number: int) -> ResultSet:
    return replace(result_set(number), profile=notice_form("told"), destinations=("pacs",))


def told(store: Store, notices: NoticeStore, number: int = 7) -> ResultSet:
    (due,) = notices.due()
    made = notice(number)
    assert notices.tell(due.job, [made])
    return made


def test_a_job_without_a_result_is_told_of_once(store: Store, notices: NoticeStore) -> None:
    canceled(store)
    (due,) = notices.due()
    assert due.reason == "GAP"
    assert due.job.files
    made = notice(7)
    assert notices.tell(due.job, [made])
    assert not notices.tell(due.job, [notice(8)])
    assert notices.due() == []
    (owed,) = store.rows(schema.delivery)
    assert (owed.destination, owed.result_set_id) == ("pacs", made.result_set_id)
    assert store.deliver_all() == ["pacs"]
    assert stories(store).count("notice stored") == 1


def test_a_job_that_is_not_over_is_not_told_of(store: Store, notices: NoticeStore) -> None:
    store.ready()
    assert notices.due() == []
    store.claimed()
    assert notices.due() == []


def test_nobody_is_told_where_nobody_wants_to_be(store: Store, notices: NoticeStore) -> None:
    canceled(store)
    (due,) = notices.due()
    assert not notices.tell(due.job, ())
    assert notices.due() == []
    assert store.rows(schema.result_set) == []
    assert "no notice" not in stories(store)


def test_why_there_is_none_stands_in_the_story(store: Store, notices: NoticeStore) -> None:
    canceled(store)
    (due,) = notices.due()
    assert not notices.tell(due.job, (), remark="GAP: UNREADABLE")
    assert "no notice" in stories(store)


def test_what_was_overtaken_has_no_notice(store: Store, notices: NoticeStore) -> None:
    store.ready()
    store.receive(4)
    store.ready_again()
    assert [row.reason for row in store.rows(schema.job)] == ["OVERTAKEN", None]
    assert notices.due() == []


def test_what_is_asked_again_meanwhile_has_no_notice(store: Store, notices: NoticeStore) -> None:
    canceled(store)
    (due,) = notices.due()
    store.receive(4)
    store.ready_again()
    assert not notices.tell(due.job, [result_set(7)])
    assert notices.due() == []
    assert store.rows(schema.result_set) == []


def test_a_result_that_stands_is_better_than_a_notice(store: Store, notices: NoticeStore) -> None:
    store.published()
    store.receive(4)
    store.ready_again()
    store.jobs.cancel(store.claimed(), "MODEL-FAILED", "")
    assert notices.due() == []


def test_a_result_takes_the_place_of_a_notice(store: Store, notices: NoticeStore) -> None:
    canceled(store)
    made = told(store, notices)
    store.deliver_all()
    store.receive(4)
    store.ready_again()
    claim = store.claimed()
    assert claim.earlier == ()  # nothing of a notice is carried on
    assert claim.revision == 0
    store.jobs.publish(claim, result_set(1))
    states = {row.result_set_id: row.state for row in store.rows(schema.result_set)}
    assert states.pop(made.result_set_id) == ResultState.SUPERSEDED
    assert set(states.values()) == {ResultState.CURRENT}


def test_a_notice_that_was_not_sent_yet_is_not_sent_beside_a_result(
    store: Store, notices: NoticeStore
) -> None:
    canceled(store)
    made = told(store, notices)
    store.receive(4)
    store.ready_again()
    store.jobs.publish(store.claimed(), result_set(1))
    states = {row.result_set_id: row.state for row in store.rows(schema.delivery)}
    assert states[made.result_set_id] == DeliveryState.PARKED


def test_a_second_notice_takes_the_place_of_the_first(store: Store, notices: NoticeStore) -> None:
    canceled(store)
    first = told(store, notices)
    store.receive(4)
    store.ready_again()
    store.jobs.cancel(store.claimed(), "MODEL-FAILED", "")
    second = told(store, notices, 8)
    states = {row.result_set_id: row.state for row in store.rows(schema.result_set)}
    assert states == {
        first.result_set_id: ResultState.SUPERSEDED,
        second.result_set_id: ResultState.CURRENT,
    }


def test_what_is_long_over_is_not_told(store: Store, notices: NoticeStore) -> None:
    canceled(store)
    with store.database.transaction() as (connection, now):
        connection.execute(update(schema.job).values(ended_at=now - SOON_S - 1))
    assert notices.due() == []


def test_its_patient_is_asked_for_before_a_notice_is_sent(store: Store) -> None:
    notices = NoticeStore(store.database, archived={"modality"})
    canceled(store)
    told(store, notices)
    assert store.deliver_all() == []
    assert store.one(schema.identity_check).state == "OWED"


def test_who_had_a_notice_is_still_to_get_the_result(store: Store, notices: NoticeStore) -> None:
    """Nothing but the identity is new, and what the archive has, it corrects; a result it does not have."""
    canceled(store)
    told(store, notices)
    assert store.deliver_all() == ["pacs"]
    store.correct()
    store.ready_again()
    assert list(store.claimed().destinations) == ["pacs", "ehr"]
    assert "archive corrects" not in store.story()


def test_a_notice_is_no_form_of_a_result(store: Store, notices: NoticeStore) -> None:
    canceled(store)
    told(store, notices)
    (job,) = Overview(store.database).jobs()
    assert (job["state"], job["result_set_id"]) == ("CANCELED", None)
