"""Archive lists, announcements, retrievals and corrections, as the store keeps them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert

from node.core.identifiers import input_digest
from node.core.study import Outcome, StoredSeries
from node.store import schema
from node.store.evidence import EvidenceStore
from node.store.ledger import balance
from tests.contract.stores import ENGINES, Store, opened
from tests.unit.node.samples import SERIES, STUDY, received, result_set


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened(request.param, tmp_path) as store:
        yield store


@pytest.fixture
def evidences(store: Store) -> EvidenceStore:
    return EvidenceStore(store.database)


def the_series(store: Store) -> StoredSeries:
    (series,) = store.intake.open_series()
    return series


def announce(store: Store, uid: str, series: str | None) -> None:
    """List an instance: an IAN names its series, a request for commitment nothing but the instance."""
    with store.database.transaction() as (connection, now):
        connection.execute(
            insert(schema.announcement).values(
                at=now if series else 1.0,
                kind="ian" if series else "commitment",
                study_instance_uid=STUDY if series else None,
                series_instance_uid=series,
                sop_instance_uid=uid,
                peer="modality",
            )
        )


def test_a_series_is_asked_about_until_it_is_closed(store: Store, evidences: EvidenceStore) -> None:
    store.receive(1, 2)
    assert evidences.to_ask({"modality"}, 60.0) == []
    assert evidences.to_ask({"another"}, -1.0) == []
    assert evidences.to_ask({"modality"}, -1.0) == [(STUDY, SERIES, "modality")]
    evidences.answered(SERIES, "pacs", frozenset({"2.25.3001"}), 60.0)
    assert evidences.to_ask({"modality"}, -1.0) == []


def test_an_equal_answer_counts_from_the_first(store: Store, evidences: EvidenceStore) -> None:
    store.receive(1)
    for names in ({"2.25.3001"}, {"2.25.3001"}):
        evidences.answered(SERIES, "pacs", frozenset(names), 0.0)
    said = the_series(store).listed
    assert said is not None
    assert said.since < said.at
    evidences.answered(SERIES, "pacs", frozenset({"2.25.3001", "2.25.3002"}), 0.0)
    said = the_series(store).listed
    assert said is not None
    assert said.since == said.at
    evidences.answered(SERIES, "pacs", None, 0.0)
    assert the_series(store).listed is None


def test_only_what_is_missing_is_announced_and_only_once(
    store: Store, evidences: EvidenceStore
) -> None:
    store.receive(1, 2)
    listed = frozenset({"2.25.3001", "2.25.3002", "2.25.3003"})
    evidences.answered(SERIES, "pacs", listed, 0.0)
    assert evidences.announce_retrieval(STUDY, SERIES, "pacs") == ()
    evidences.answered(SERIES, "pacs", listed, 0.0)
    assert evidences.announce_retrieval(STUDY, SERIES, "pacs") == ("2.25.3003",)
    assert evidences.announce_retrieval(STUDY, SERIES, "pacs") == ()
    assert store.intake.record(received(3)) is Outcome.FETCHED
    assert store.one(schema.retrieval).state == "ARRIVED"
    assert [row.outcome for row in store.rows(schema.journal)] == ["stored", "stored", "fetched"]


def test_a_request_for_commitment_speaks_for_the_series_that_hold_all_it_names(
    store: Store,
) -> None:
    store.receive(1, 2)
    announce(store, "2.25.3001", None)
    announce(store, "2.25.3002", None)
    assert the_series(store).announced == {"2.25.3001", "2.25.3002"}
    announce(store, "2.25.3009", None)  # not here yet: nobody can say whose it is
    assert the_series(store).announced == frozenset()
    assert the_series(store).unplaced == 1
    store.receive(9)
    assert the_series(store).unplaced == 0
    assert the_series(store).announced == {"2.25.3001", "2.25.3002", "2.25.3009"}
    assert the_series(store).perhaps_in_parts


def test_a_request_for_commitment_of_other_instances_says_nothing(store: Store) -> None:
    store.receive(1)
    announce(store, "2.25.7", None)
    assert the_series(store).unplaced == 0


def test_a_list_that_names_its_series_expects_what_we_lack(store: Store) -> None:
    store.receive(1)
    announce(store, "2.25.3001", SERIES)
    announce(store, "2.25.3009", SERIES)
    announce(store, "2.25.7", "2.25.other")
    assert the_series(store).announced == {"2.25.3001", "2.25.3009"}
    assert not the_series(store).perhaps_in_parts


def test_the_newest_identity_is_the_one_of_the_next_job(store: Store) -> None:
    store.ready()
    store.claimed()
    store.correct()
    store.dispatch()
    (job,) = store.jobs.unprepared()
    assert job.identity["PatientID"] == "OVR-7"
    assert [row.reason for row in store.rows(schema.job)] == ["OVERTAKEN", None]
    assert store.one(schema.study).identity["PatientID"] == "OVR-7"
    assert store.story().count("identity corrected") == 1


def test_what_did_not_leave_is_made_anew_for_who_did_not_get_it(store: Store) -> None:
    store.published()
    store.write("UPDATE delivery SET state = 'CONFIRMED' WHERE destination = 'pacs'")
    store.correct()
    store.dispatch()
    (job,) = store.jobs.unprepared()
    assert job.destinations == ("ehr",)


def test_what_was_delivered_is_the_archives_to_correct(store: Store) -> None:
    store.published()
    store.write("UPDATE delivery SET state = 'CONFIRMED'")
    store.correct()
    store.dispatch()
    assert store.jobs.unprepared() == []
    assert "archive corrects" in store.story()


def test_a_new_version_of_a_model_is_no_correction(store: Store) -> None:
    made = store.published()
    assert made == result_set(1)
    store.write("UPDATE delivery SET state = 'CONFIRMED'")
    store.correct()
    for series in store.close_all():
        digest = input_digest(series.instances)
        request = store.request(series, version="2", digest=digest)
        store.jobs.dispatch(series, [request], ())
    (job,) = store.jobs.unprepared()
    assert job.destinations == ("pacs", "ehr")


def test_a_late_image_is_told_once(store: Store) -> None:
    store.receive(1, 2)
    store.close_all()
    store.receive(3, 4)
    assert store.story().count("late images") == 1


def test_the_ledger_knows_corrections(store: Store, tmp_path: Path) -> None:
    store.receive(1)
    one = received(1, PatientID="OVR-7")
    store.take(one, Outcome.CORRECTION)
    (tmp_path / one.path).parent.mkdir()
    (tmp_path / one.path).write_bytes(b"0" * one.size)
    assert balance(store.database, tmp_path).adds_up


def test_a_quiet_series_is_not_read_again_and_what_others_say_of_it_is(
    store: Store, evidences: EvidenceStore
) -> None:
    intake = store.intake
    intake.association_opened("a1", "modality")
    store.receive(1, 2)
    (first,) = intake.open_series()
    assert first.associations_open == 1
    intake.association_ended("a1", released=True)
    evidences.answered(SERIES, "pacs", frozenset({"2.25.3001"}), 0.0)
    (second,) = intake.open_series()
    assert second.instances is first.instances
    assert second.associations_open == 0
    assert second.listed is not None
    store.receive(3)
    (third,) = intake.open_series()
    assert len(third.instances) == 3


def test_a_vendors_count_is_kept_with_its_instance(store: Store) -> None:
    one = received(1)
    counted = replace(one.header, counts={"0025,07 GEMS_SERS_01": 181})
    assert store.intake.record(replace(one, header=counted)) is Outcome.STORED
    (plane,) = the_series(store).planes
    assert plane["0025,07 GEMS_SERS_01"] == 181
