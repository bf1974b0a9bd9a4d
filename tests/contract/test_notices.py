"""What the store promises about jobs without a result: who expects one is told once, and never beside one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from node.core.expectation import PENDING, Expected, Judgement, Missed, Newcomer
from node.core.form import notice_form
from node.core.identity import CheckState
from node.core.job import DeliveryState, ResultSet, ResultState
from node.store import schema
from node.store.expectations import ExpectationStore
from node.store.identities import IdentityStore
from node.store.jobs import JobStore
from node.store.notices import SOON_S, NoticeStore
from node.store.overview import Overview
from tests.contract.stores import ENGINES, Store, opened
from tests.unit.node.samples import SERIES, result_set


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


def late(store: Store, reason: Missed = Missed.RUNNING) -> None:
    """Let the deadline of the rule pass that expects the model's result."""
    study = store.one(schema.study).study_instance_uid
    expectations = ExpectationStore(store.database)
    newcomer = Newcomer(series_instance_uid=SERIES, study_instance_uid=study, facts={})
    model = store.rows(schema.job)[0].model
    expectations.expect(newcomer, [Expected(rule="heads", model=model, deadline_s=-1.0)])
    (due,) = expectations.due()
    expectations.judge(due, Judgement(state="MISSED", reason=reason, detail="too late"))


def told_late(store: Store, notices: NoticeStore, number: int = 7) -> ResultSet:
    (due,) = notices.due()
    assert due.delayed
    made = replace(notice(number), profile=notice_form("told", delayed=True))
    assert notices.tell(due.job, [made])
    assert notices.due() == []
    return made


@pytest.mark.parametrize("reason", PENDING)
def test_a_job_that_is_late_is_told_of_once(
    store: Store, notices: NoticeStore, reason: Missed
) -> None:
    store.ready()
    late(store, reason)
    (due,) = notices.due()
    assert (due.reason, due.delayed) == (reason, True)
    told_late(store, notices)
    assert store.deliver_all() == ["pacs"]


def test_the_reason_for_which_a_late_job_was_given_back_is_told(
    store: Store, notices: NoticeStore
) -> None:
    store.ready()
    store.jobs.give_back(store.claimed(), "MODEL-SERVER-UNAVAILABLE", 60.0)
    late(store, Missed.QUEUED)
    assert [one.reason for one in notices.due()] == ["MODEL-SERVER-UNAVAILABLE"]


def test_a_late_result_takes_the_place_of_its_own_jobs_notice(
    store: Store, notices: NoticeStore
) -> None:
    store.ready()
    late(store)
    made = told_late(store, notices)
    assert store.deliver_all() == ["pacs"]
    claim = store.claimed()
    assert (claim.revision, claim.earlier) == (0, ())
    store.jobs.publish(claim, replace(result_set(1), profile="told"))
    assert store.deliver_all() == ["ehr", "pacs"]
    assert store.claimed_withdrawal().instances[0].sop_instance_uid == "2.25.71"
    states = {row.result_set_id: row.state for row in store.rows(schema.result_set)}
    assert states[made.result_set_id] == ResultState.SUPERSEDED
    (job,) = Overview(store.database).jobs()
    assert job["result_set_id"] == "2.25.12"
    assert "notice superseded" in store.story()
    assert notices.due() == []


def test_a_late_job_that_ends_without_a_result_is_told_of_with_its_reason(
    store: Store, notices: NoticeStore
) -> None:
    store.ready()
    late(store)
    first = told_late(store, notices)
    store.jobs.cancel(store.claimed(), "MODEL-FAILED", "")
    (due,) = notices.due()
    assert (due.reason, due.delayed) == ("MODEL-FAILED", False)
    second = told(store, notices, 8)
    assert notices.due() == []
    states = {row.result_set_id: row.state for row in store.rows(schema.result_set)}
    assert states == {
        first.result_set_id: ResultState.SUPERSEDED,
        second.result_set_id: ResultState.CURRENT,
    }


def test_a_notice_and_a_result_that_race_never_stand_together(
    store: Store, notices: NoticeStore
) -> None:
    store.ready()
    late(store)
    (due,) = notices.due()
    store.jobs.publish(store.claimed(), result_set(1))
    assert not notices.tell(due.job, [notice(7)])
    assert [row.state for row in store.rows(schema.result_set)] == [ResultState.CURRENT]


def test_a_deadline_that_was_missed_before_a_job_was_ordered_says_nothing_of_it(
    store: Store, notices: NoticeStore
) -> None:
    store.ready()
    late(store)
    store.receive(4)
    store.ready_again()
    assert notices.due() == []


def test_the_patient_is_asked_for_anew_before_the_result_is_sent(store: Store) -> None:
    notices = NoticeStore(store.database, archived={"modality"})
    store.ready()
    late(store)
    told_late(store, notices)
    job = store.one(schema.job).job_id
    IdentityStore(store.database).settle(job, CheckState.DIFFERS, "IDENTITY-DIFFERS", "")
    jobs = JobStore(store.database, store.lease_s, archived={"modality"})
    jobs.publish(store.claimed(), result_set(1))
    check = store.one(schema.identity_check)
    assert (check.state, check.reason) == (CheckState.OWED, None)
    assert store.deliver_all() == []


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
