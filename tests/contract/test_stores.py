"""What the store promises to the pipeline, on every database engine that it may stand on."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert
from sqlalchemy.exc import DatabaseError, IntegrityError

from node.core.completeness import Evidence, Witness
from node.core.job import (
    Claim,
    DeliveryClaim,
    DeliveryState,
    InstanceState,
    JobState,
    Readiness,
)
from node.core.study import Outcome, SeriesState
from node.errors import IllegalTransition, LeaseLost, OutOfResources
from node.store import schema
from node.store.outbox import ANALYSE, DELIVER
from node.store.roles import RoleLease
from tests.contract.stores import ENGINES, EXPIRED, Store, opened
from tests.unit.node.samples import EVIDENCE, PATIENT, SECRETS, SERIES, STUDY, received, result_set

GAP = Evidence(
    witness=Witness.LONG_QUIET,
    instances=3,
    end_slice_may_be_missing=True,
    fault="GAP",
    detail="about 1 slice(s) missing",
)


@pytest.fixture(params=sorted(ENGINES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened(request.param, tmp_path) as empty:
        yield empty


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Do everything at the same moment, each in a thread; return what came out or was raised."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return work()
        except LeaseLost as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(run, work) for work in works]]


class TestIntake:
    def test_a_stored_instance_is_journaled_and_on_record(self, store: Store) -> None:
        (one,) = store.receive(1)
        line = store.one(schema.journal)
        assert (line.sop_instance_uid, line.outcome, line.digest) == (
            "2.25.3001",
            "stored",
            one.digest,
        )
        assert (line.path, line.peer, line.association_id) == (one.path, "modality", "a1")
        row = store.one(schema.instance)
        assert (row.path, row.size, row.digest) == (one.path, one.size, one.digest)
        assert store.one(schema.series).state == SeriesState.OPEN
        assert store.one(schema.study).study_instance_uid == STUDY
        assert store.intake.known("2.25.3001") == (Outcome.STORED, one.digest)
        assert store.intake.known("2.25.9") is None

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE journal SET outcome = 'duplicate'",
            "DELETE FROM journal",
            "DELETE FROM journal WHERE line = 1",
        ],
    )
    def test_the_journal_is_append_only(self, store: Store, statement: str) -> None:
        store.receive(1)
        with pytest.raises(DatabaseError, match="append-only"):
            store.write(statement)
        assert store.one(schema.journal).outcome == "stored"

    def test_the_same_instance_again_is_a_line_and_nothing_else(self, store: Store) -> None:
        (one,) = store.receive(1)
        before = store.counts()
        assert store.intake.record(one) is Outcome.DUPLICATE
        assert store.intake.record(one) is Outcome.DUPLICATE
        assert store.counts() == {**before, "journal": 3}
        assert store.intake.known("2.25.3001") == (Outcome.STORED, one.digest)

    def test_other_content_under_the_uid_is_told_and_changes_nothing(self, store: Store) -> None:
        (one,) = store.receive(1)
        other = received(1, SeriesDescription="OTHER")
        assert store.intake.record(other) is None  # until somebody has compared the two
        assert store.take(other, Outcome.CONFLICT) is Outcome.CONFLICT
        assert store.one(schema.instance).digest == one.digest
        assert [row.path for row in store.rows(schema.journal)] == [one.path, other.path]
        assert store.story().count("conflict") == 1

    @pytest.mark.parametrize("same", [True, False])
    def test_two_processes_record_one_uid(self, store: Store, same: bool) -> None:
        contents = [received(1), received(1, **({} if same else {"SeriesDescription": "OTHER"}))]
        views = [store.another(), store.another()]
        outcomes = at_once(
            *(
                lambda view=view, one=one: view.intake.record(one)
                for view, one in zip(views, contents, strict=True)
            )
        )
        loser = Outcome.DUPLICATE if same else None
        assert set(outcomes) == {Outcome.STORED, loser}
        winner = contents[outcomes.index(Outcome.STORED)]
        assert store.one(schema.instance).digest == winner.digest
        assert len(store.rows(schema.journal)) == (2 if same else 1)

    def test_many_processes_record_many_instances(self, store: Store) -> None:
        views = [store.another() for _ in range(4)]

        def record(view: Store, first: int) -> None:
            for number in range(first, first + 10):
                assert view.intake.record(received(number)) is Outcome.STORED

        at_once(*(lambda v=view, f=100 * i: record(v, f) for i, view in enumerate(views)))
        counts = store.counts()
        assert (counts["journal"], counts["instance"], counts["series"]) == (40, 40, 1)

    def test_our_own_result_that_comes_back_opens_nothing(self, store: Store) -> None:
        made = store.published()
        before = store.counts()
        uid = made.instances[0].sop_instance_uid
        assert store.intake.known(uid) == (Outcome.OWN, "")
        own = received(SOPInstanceUID=uid, SeriesInstanceUID="2.25.77")
        assert store.intake.record(own) is Outcome.OWN
        assert store.counts() == {**before, "journal": before["journal"] + 1}

    def test_a_record_that_fails_leaves_nothing(self, store: Store) -> None:
        before = store.counts()
        with failing_at(store, "INSERT INTO journal"), pytest.raises(Injected):
            store.intake.record(received(1))
        assert store.counts() == before

    def test_one_patient_is_told_once_to_be_another(self, store: Store) -> None:
        store.receive(1, 2)
        other = {"SeriesInstanceUID": "2.25.201", "PatientID": "OVR-000043"}
        store.receive(3, 4, 5, **other)
        assert store.story().count("identity differs") == 1
        details = [row.detail for row in store.rows(schema.event)]
        assert any("PatientID" in detail for detail in details)
        assert not any(secret in detail for detail in details for secret in SECRETS)

    def test_an_instance_of_another_patient_within_a_series_is_told(self, store: Store) -> None:
        store.receive(1, 2)
        store.receive(3, PatientSex="M")
        assert store.story().count("identity differs") == 1

    def test_facts_name_no_patient(self, store: Store) -> None:
        store.receive(1)
        facts = store.one(schema.series).facts
        assert facts["Modality"] == "MR"
        assert not set(facts) & set(PATIENT)


class TestAssociations:
    def test_how_they_ended_is_part_of_a_series(self, store: Store) -> None:
        intake = store.intake
        for name in ("a1", "a2", "a3"):
            intake.association_opened(name, "modality")
        for number, name in enumerate(("a1", "a2", "a3")):
            one = received(number)
            intake.record(replace(one, association_id=name))
        intake.association_ended("a1", released=True)
        intake.association_ended("a2", released=False)
        (series,) = intake.open_series()
        assert (series.associations_open, series.associations_broken) == (1, 1)

    def test_a_listener_that_starts_again_breaks_its_own_and_no_others(self, store: Store) -> None:
        store.intake.association_opened("a1", "modality")
        store.intake.association_opened("a2", "modality")
        store.intake.association_ended("a2", released=True)
        other = type(store.intake)(store.database, "listener:2")
        assert other.break_open_associations() == 0
        assert store.intake.break_open_associations() == 1
        outcomes = {row.association_id: row.outcome for row in store.rows(schema.association)}
        assert outcomes == {"a1": "BROKEN", "a2": "RELEASED"}


class TestSeries:
    def test_a_series_closes_once(self, store: Store) -> None:
        store.receive(1, 2, 3)
        (series,) = store.intake.open_series()
        assert series.facts["SeriesInstances"] == 3
        assert store.intake.close_series(series, EVIDENCE)
        assert not store.intake.close_series(series, EVIDENCE)
        assert store.intake.open_series() == []
        (closed,) = store.intake.undispatched_series()
        assert closed.state is SeriesState.COMPLETE
        assert Evidence.from_record(closed.evidence or {}) == EVIDENCE

    def test_an_image_that_comes_between_reading_and_closing_keeps_it_open(
        self, store: Store
    ) -> None:
        store.receive(1, 2)
        (series,) = store.intake.open_series()
        store.write("UPDATE series SET last_at = last_at - 1")  # the third comes a moment later
        (series,) = store.intake.open_series()
        store.receive(3)
        assert not store.intake.close_series(series, EVIDENCE)
        assert len(store.intake.open_series()[0].instances) == 3

    def test_a_gap_closes_it_as_incomplete(self, store: Store) -> None:
        store.receive(1)
        (closed,) = store.close_all(GAP)
        assert closed.state is SeriesState.INCOMPLETE
        assert "series incomplete" in store.story()

    def test_a_late_image_opens_it_again(self, store: Store) -> None:
        store.receive(1, 2)
        assert store.dispatch()
        assert store.intake.undispatched_series() == []
        store.receive(3)
        (series,) = store.intake.open_series()
        assert len(series.instances) == 3
        assert len(store.close_all()) == 1

    def test_a_duplicate_opens_nothing(self, store: Store) -> None:
        (one,) = store.receive(1)
        store.dispatch()
        store.intake.record(one)
        assert store.intake.open_series() == []


class TestDispatch:
    def test_a_job_waits_for_its_context_and_then_has_one_bell(self, store: Store) -> None:
        store.receive(1, 2, 3)
        (request,) = store.dispatch()
        job = store.one(schema.job)
        assert (job.state, job.readiness) == (JobState.SCHEDULED, Readiness.INCOMPLETE)
        assert store.jobs.claim() is None
        (waiting,) = store.jobs.unprepared()
        assert waiting.job_id == request.job_id
        assert waiting.transaction_uid == ""
        store.jobs.prepared(request.job_id, Readiness.READY, {"patient": "Patient/1"})
        store.jobs.prepared(request.job_id, Readiness.UNAVAILABLE, {"refused": "LATER"})
        assert store.one(schema.job).context == {"patient": "Patient/1"}
        assert [(row.queue, row.subject) for row in store.rows(schema.outbox)] == [
            (ANALYSE, request.job_id)
        ]

    def test_twice_is_once(self, store: Store) -> None:
        store.receive(1, 2, 3)
        (series,) = store.close_all()
        request = store.request(series)
        for view in (store, store.another(), store):
            view.jobs.dispatch(series, [request], ["a note"])
        assert store.one(schema.job).job_id == request.job_id
        assert store.story().count("job scheduled") == 1
        assert store.story().count("not routed") == 1
        assert store.intake.undispatched_series() == []

    def test_a_series_that_grew_since_it_was_read_is_not_dispatched(self, store: Store) -> None:
        store.receive(1, 2)
        store.close_all()
        store.write("UPDATE series SET last_at = last_at - 1")
        (series,) = store.intake.undispatched_series()
        store.receive(3)
        store.jobs.dispatch(series, [store.request(series)], ["a note"])
        assert store.rows(schema.job) == []
        assert "not routed" not in store.story()

    def test_jobs_and_the_mark_are_one_transaction(self, store: Store) -> None:
        store.receive(1)
        (series,) = store.close_all()
        before = store.counts()
        with failing_at(store, "INSERT INTO job_input"), pytest.raises(Injected):
            store.jobs.dispatch(series, [store.request(series)], ())
        assert store.counts() == before
        assert len(store.intake.undispatched_series()) == 1

    def test_a_job_that_is_canceled_before_it_begins(self, store: Store) -> None:
        store.receive(1)
        (series,) = store.close_all(GAP)
        canceled = ("GAP", "x" * 5000)
        store.jobs.dispatch(series, [store.request(series, canceled=canceled)], ())
        job = store.one(schema.job)
        assert (job.state, job.reason) == (JobState.CANCELED, "GAP")
        assert job.detail == "x" * 1024
        assert store.jobs.unprepared() == []
        assert store.jobs.claim() is None

    def test_preparation_can_be_postponed(self, store: Store) -> None:
        store.receive(1)
        (request,) = store.dispatch()
        store.jobs.postpone_preparation(request.job_id, 3600)
        assert store.jobs.unprepared() == []
        store.jobs.postpone_preparation(request.job_id, -1)
        (waiting,) = store.jobs.unprepared()
        assert waiting.attempt == 3


class TestIdentity:
    def test_a_job_carries_the_identity_and_the_peer_of_its_own_series(self, store: Store) -> None:
        """Two patients under one Study Instance UID, from two peers with two issuers."""
        store.receive(1, peer="first")
        stranger = {"PatientID": "OVR-000043", "PatientName": "Other^Person"}
        store.receive(2, peer="second", SeriesInstanceUID="2.25.201", **stranger)
        store.dispatch()
        found = {claim.series_instance_uid: claim for claim in store.jobs.unprepared()}
        first, second = found[SERIES], found["2.25.201"]
        assert (first.peer, first.identity["PatientID"]) == ("first", PATIENT["PatientID"])
        assert (second.peer, second.identity["PatientID"]) == ("second", "OVR-000043")
        assert second.identity["PatientName"] == "Other^Person"
        assert second.identity["StudyDate"] == "20261015"


class TestClaims:
    def test_a_claim_holds_everything_that_a_worker_needs(self, store: Store) -> None:
        request = store.ready()
        claim = store.claimed()
        assert claim.job_id == request.job_id
        assert claim.files == {
            "volume": tuple(row.path for row in store.rows(schema.instance)),
        }
        assert claim.identity["PatientID"] == PATIENT["PatientID"]
        assert (claim.attempt, claim.lost_leases, claim.revision) == (1, 0, 0)
        assert claim.destinations == ("pacs", "ehr")
        assert store.one(schema.job).state == JobState.IN_PROGRESS
        assert store.rows(schema.outbox) == []
        assert store.jobs.claim() is None

    def test_two_claimers_never_share_a_job(self, store: Store) -> None:
        for number in range(6):
            uid = f"2.25.50{number}"
            store.receive(number, StudyInstanceUID=uid, SeriesInstanceUID=f"{uid}.1")
        for request in store.dispatch():
            store.jobs.prepared(request.job_id, Readiness.READY, {})
        views = [store.another() for _ in range(4)]

        def take(view: Store) -> list[Claim]:
            return list(iter(view.jobs.claim, None))

        claims = [claim for taken in at_once(*(lambda v=view: take(v) for view in views))
                  for claim in taken]  # fmt: skip
        assert len(claims) == 6
        assert len({claim.job_id for claim in claims}) == 6
        assert len({claim.transaction_uid for claim in claims}) == 6

    def test_the_most_urgent_job_comes_first_then_the_oldest(self, store: Store) -> None:
        for number, priority in enumerate((0, 5, 0)):
            uid = f"2.25.50{number}"
            store.receive(number, StudyInstanceUID=uid, SeriesInstanceUID=f"{uid}.1")
            (request,) = store.dispatch(priority=priority)
            store.jobs.prepared(request.job_id, Readiness.READY, {})
            store.write("UPDATE job SET created_at = :at WHERE job_id = :id", at=number,
                        id=request.job_id)  # fmt: skip
        order = [store.claimed().study_instance_uid for _ in range(3)]
        assert order == ["2.25.501", "2.25.500", "2.25.502"]

    def test_a_lease_that_ended_is_claimed_again_under_another_uid(self, store: Store) -> None:
        store.ready()
        first = store.claimed()
        assert store.jobs.claim() is None
        store.expire_leases()
        second = store.another().claimed()
        assert second.job_id == first.job_id
        assert second.transaction_uid != first.transaction_uid
        assert (second.attempt, second.lost_leases) == (2, 1)
        assert store.one(schema.job).transaction_uid == second.transaction_uid

    def test_renewing_prolongs_the_lease(self, store: Store) -> None:
        store.ready()
        claim = store.claimed()
        store.expire_leases()
        store.jobs.renew(claim)  # late, and nobody else was there
        assert store.jobs.claim() is None

    @pytest.mark.parametrize(
        "late",
        [
            lambda jobs, claim: jobs.renew(claim),
            lambda jobs, claim: jobs.publish(claim, result_set(9)),
            lambda jobs, claim: jobs.cancel(claim, "MODEL-FAILED", "late"),
            lambda jobs, claim: jobs.give_back(claim, "LATE", 1),
        ],
        ids=["renew", "publish", "cancel", "give_back"],
    )
    @pytest.mark.parametrize("since", ["claimed again", "published", "canceled", "given back"])
    def test_who_lost_the_lease_writes_nothing(
        self, store: Store, late: Callable[[Any, Claim], None], since: str
    ) -> None:
        store.ready()
        loser = store.claimed()
        store.expire_leases()
        winner = store.claimed()
        if since == "published":
            store.jobs.publish(winner, result_set(1))
        if since == "canceled":
            store.jobs.cancel(winner, "MODEL-FAILED", "no")
        if since == "given back":
            store.jobs.give_back(winner, "MODEL-SERVER-UNAVAILABLE", 1)
        before, job = store.counts(), store.one(schema.job)
        with pytest.raises(LeaseLost):
            late(store.jobs, loser)
        assert store.counts() == before
        assert store.one(schema.job) == job

    def test_of_two_publishers_one_wins(self, store: Store) -> None:
        store.ready()
        first = store.claimed()
        store.expire_leases()
        second = store.claimed()
        views = [store.another(), store.another()]
        outcomes = at_once(
            lambda: views[0].jobs.publish(first, result_set(1)),
            lambda: views[1].jobs.publish(second, result_set(2)),
        )
        assert isinstance(outcomes[0], LeaseLost)
        assert outcomes[1] is None
        assert store.one(schema.result_set).result_set_id == result_set(2).result_set_id

    def test_a_job_that_is_given_back_waits_and_is_not_a_lost_lease(self, store: Store) -> None:
        store.ready()
        store.jobs.give_back(store.claimed(), "MODEL-SERVER-UNAVAILABLE", 3600)
        assert store.jobs.claim() is None
        bell = store.one(schema.outbox)
        assert bell.queue == ANALYSE
        store.write("UPDATE job SET due_at = 1")
        claim = store.claimed()
        assert (claim.attempt, claim.lost_leases) == (2, 0)

    def test_a_canceled_job_is_over_and_says_why(self, store: Store) -> None:
        store.ready()
        store.jobs.cancel(store.claimed(), "RESULT-REFUSED-BY-GATE", "x" * 5000)
        job = store.one(schema.job)
        assert (job.state, job.reason) == (JobState.CANCELED, "RESULT-REFUSED-BY-GATE")
        assert len(job.detail) == 1024
        assert job.ended_at is not None
        store.expire_leases()
        assert store.jobs.claim() is None


class TestPublishing:
    def test_results_deliveries_and_bells_become_visible_together(self, store: Store) -> None:
        made = store.published()
        assert store.one(schema.job).state == JobState.COMPLETED
        assert store.one(schema.result_set).state == "CURRENT"
        assert [row.sop_instance_uid for row in store.rows(schema.result_instance)] == [
            one.sop_instance_uid for one in made.instances
        ]
        deliveries = store.rows(schema.delivery)
        assert {row.destination for row in deliveries} == {"pacs", "ehr"}
        assert {row.state for row in deliveries} == {DeliveryState.OWED}
        assert {(row.queue, row.subject) for row in store.rows(schema.outbox)} == {
            (DELIVER, row.delivery_id) for row in deliveries
        }
        assert len(store.rows(schema.delivery_instance)) == 4

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE job",
            "INSERT INTO result_set",
            "INSERT INTO result_instance",
            "INSERT INTO delivery ",
            "INSERT INTO delivery_instance",
            "INSERT INTO outbox",
            "INSERT INTO event",
        ],
    )
    def test_a_fault_in_the_middle_shows_nothing(self, store: Store, statement: str) -> None:
        store.ready()
        claim = store.claimed()
        before, job = store.counts(), store.one(schema.job)
        with failing_at(store, statement), pytest.raises(Injected):
            store.jobs.publish(claim, result_set())
        assert store.counts() == before
        assert store.one(schema.job) == job
        store.jobs.publish(claim, result_set())
        assert store.one(schema.job).state == JobState.COMPLETED

    def test_a_result_without_destination_says_so(self, store: Store) -> None:
        store.ready(destinations=())
        store.jobs.publish(store.claimed(), result_set())
        assert store.rows(schema.delivery) == []
        assert "no destination" in store.story()

    def test_names_of_any_length_that_the_settings_allow_have_their_own_delivery(
        self, store: Store
    ) -> None:
        names = ("p" * 30 + "a", "p" * 30 + "b")
        store.ready(destinations=names)
        store.jobs.publish(store.claimed(), result_set())
        assert len({row.delivery_id for row in store.rows(schema.delivery)}) == 2


class TestLateImages:
    def test_a_second_result_supersedes_the_first(self, store: Store) -> None:
        store.published(1)
        store.ready(4)
        claim = store.claimed()
        assert claim.revision == 1
        assert len(claim.files["volume"]) == 4
        store.jobs.publish(claim, result_set(2))
        states = {row.result_set_id: row.state for row in store.rows(schema.result_set)}
        assert states == {"2.25.12": "SUPERSEDED", "2.25.22": "CURRENT"}
        assert "result superseded" in store.story()

    def test_another_series_supersedes_nothing(self, store: Store) -> None:
        store.published(1)
        store.receive(7, SeriesInstanceUID="2.25.201")
        (request,) = store.dispatch()
        store.jobs.prepared(request.job_id, Readiness.READY, {})
        store.jobs.publish(store.claimed(), result_set(2))
        assert {row.state for row in store.rows(schema.result_set)} == {"CURRENT"}

    @pytest.mark.parametrize("state", [JobState.SCHEDULED, JobState.IN_PROGRESS])
    def test_a_job_that_is_not_done_yet_is_overtaken(self, store: Store, state: JobState) -> None:
        """Else the older result could be published last, and supersede the newer one."""
        first = store.ready(1, 2)
        slow = store.claimed() if state is JobState.IN_PROGRESS else None
        store.ready(3)
        jobs = {row.job_id: row for row in store.rows(schema.job)}
        assert (jobs[first.job_id].state, jobs[first.job_id].reason) == ("CANCELED", "OVERTAKEN")
        if slow is not None:
            with pytest.raises(LeaseLost):
                store.jobs.publish(slow, result_set(1))
        newer = store.claimed()
        assert newer.job_id != first.job_id
        store.jobs.publish(newer, result_set(2))
        assert store.jobs.claim() is None
        assert store.one(schema.result_set).result_set_id == "2.25.22"

    def test_another_models_job_is_not_overtaken(self, store: Store) -> None:
        store.ready(1, 2)
        store.receive(3)
        store.dispatch(model="another")
        assert "OVERTAKEN" not in {row.reason for row in store.rows(schema.job)}

    def test_what_nobody_began_to_deliver_of_the_older_result_stays_here(
        self, store: Store
    ) -> None:
        store.published(1)
        store.ready(4)
        store.jobs.publish(store.claimed(), result_set(2))
        parked = [row for row in store.rows(schema.delivery) if row.result_set_id == "2.25.12"]
        assert {(row.state, row.reason) for row in parked} == {("PARKED", "SUPERSEDED")}
        assert not any(store.deliveries.owe_again(row.delivery_id) for row in parked)
        claims = [store.claimed_delivery(), store.claimed_delivery()]
        assert {claim.result_set_id for claim in claims} == {"2.25.22"}
        assert store.deliveries.claim() is None

    @pytest.mark.parametrize("begun", ["held", "half sent"])
    def test_what_somebody_began_to_deliver_is_finished(self, store: Store, begun: str) -> None:
        store.published(1)
        claim = store.claimed_delivery()
        if begun == "half sent":
            uid = claim.instances[0][0].sop_instance_uid
            store.deliveries.progress(claim, uid, InstanceState.SENDING)
            store.deliveries.give_back(claim, "PEER-UNAVAILABLE", -1)
        store.ready(4)
        store.jobs.publish(store.claimed(), result_set(2))
        rows = {row.delivery_id: row for row in store.rows(schema.delivery)}
        assert rows[claim.delivery_id].state == DeliveryState.OWED


class TestOutbox:
    def rung(self, store: Store, ring_again_s: float = 15.0, *, answers: bool = True) -> list[str]:
        rung: list[str] = []

        def ring(queue: str) -> bool:
            rung.append(queue)
            return answers

        store.outbox(ring_again_s).ring_due(ring)
        return rung

    def test_one_bell_for_each_owed_job(self, store: Store) -> None:
        store.ready()
        assert self.rung(store) == [ANALYSE]
        assert self.rung(store) == []

    def test_a_bell_that_nobody_answers_is_rung_again(self, store: Store) -> None:
        store.ready()
        assert self.rung(store) == [ANALYSE]
        assert self.rung(store, 0) == [ANALYSE]
        assert store.one(schema.outbox).rings == 2

    def test_it_is_rung_ever_more_rarely(self, store: Store) -> None:
        store.ready()
        self.rung(store)
        pauses = []
        for _ in range(12):
            rings = store.one(schema.outbox).rings
            for pause in (15 * 2**n for n in range(12)):
                store.write("UPDATE outbox SET rung_at = rung_at - :s", s=pause + 1)
                if self.rung(store):
                    pauses.append(pause)
                    break
                store.write("UPDATE outbox SET rung_at = rung_at + :s", s=pause + 1)
            assert store.one(schema.outbox).rings == rings + 1
        assert pauses[:4] == [15, 30, 60, 120]
        assert max(pauses) == 15 * 2**8

    def test_a_broker_that_is_away_leaves_the_bell_due(self, store: Store) -> None:
        store.ready()
        assert self.rung(store, answers=False) == [ANALYSE]
        assert self.rung(store) == [ANALYSE]

    def test_a_bell_that_is_not_due_is_not_rung(self, store: Store) -> None:
        store.ready()
        store.jobs.give_back(store.claimed(), "MODEL-SERVER-UNAVAILABLE", 3600)
        assert self.rung(store) == []

    def test_the_sweep_puts_back_what_is_owed_and_has_no_bell(self, store: Store) -> None:
        store.ready()
        store.claimed()
        assert store.outbox().sweep() == 0
        store.expire_leases()
        assert store.outbox().sweep() == 1
        assert store.outbox().sweep() == 0
        assert self.rung(store) == [ANALYSE]

    def test_the_sweep_puts_back_deliveries_too(self, store: Store) -> None:
        store.published()
        store.claimed_delivery()
        store.expire_leases()
        assert store.outbox().sweep() == 1
        assert self.rung(store) == [DELIVER]  # one for both: it wakes the lanes of all destinations

    def test_the_sweep_leaves_alone_what_is_over(self, store: Store) -> None:
        store.published()
        for _ in range(2):
            store.deliveries.park(store.claimed_delivery(), "NO", "no")
        store.expire_leases()
        assert store.outbox().sweep() == 0
        assert store.rows(schema.outbox) == []


class TestDeliveries:
    def both(self, store: Store) -> dict[str, DeliveryClaim]:
        claims = [store.claimed_delivery(), store.claimed_delivery()]
        return {claim.destination: claim for claim in claims}

    def test_each_destination_has_its_own(self, store: Store) -> None:
        store.published()
        claims = self.both(store)
        assert set(claims) == {"pacs", "ehr"}
        assert store.deliveries.claim() is None
        pacs = claims["pacs"]
        assert [one.kind for one, _ in pacs.instances] == ["SEG", "SR"]
        assert [state for _, state in pacs.instances] == [InstanceState.OWED] * 2
        assert pacs.report == result_set().report
        store.deliveries.park(claims["ehr"], "EHR-403", "no")
        store.deliveries.finish(
            pacs, DeliveryState.CONFIRMED, {"references": ("a", "b"), "confirmed": True}
        )
        states = {row.destination: row.state for row in store.rows(schema.delivery)}
        assert states == {"pacs": "CONFIRMED", "ehr": "PARKED"}

    def test_progress_is_kept_over_a_crash(self, store: Store) -> None:
        store.published()
        first = store.claimed_delivery()
        seg, sr = (one.sop_instance_uid for one, _ in first.instances)
        store.deliveries.progress(first, seg, InstanceState.SENDING)
        store.deliveries.progress(first, seg, InstanceState.SENT)
        store.deliveries.progress(first, sr, InstanceState.SENDING)
        store.expire_leases()
        store.write("UPDATE delivery SET due_at = 1 WHERE delivery_id = :id", id=first.delivery_id)
        second = store.another().claimed_delivery()
        assert second.delivery_id == first.delivery_id
        assert [state for _, state in second.instances] == ["SENT", "SENDING"]
        assert (second.attempt, second.lost_leases) == (2, 1)

    def test_progress_does_not_go_back(self, store: Store) -> None:
        store.published()
        claim = store.claimed_delivery()
        uid = claim.instances[0][0].sop_instance_uid
        store.deliveries.progress(claim, uid, InstanceState.SENT)
        with pytest.raises(IllegalTransition):
            store.deliveries.progress(claim, uid, InstanceState.SENDING)
        assert {row.state for row in store.rows(schema.delivery_instance)} == {"OWED", "SENT"}

    @pytest.mark.parametrize(
        "late",
        [
            lambda store, claim: store.deliveries.renew(claim),
            lambda store, claim: store.deliveries.progress(
                claim, claim.instances[0][0].sop_instance_uid, InstanceState.SENDING
            ),
            lambda store, claim: store.deliveries.finish(
                claim, DeliveryState.CONFIRMED, {"references": ()}
            ),
            lambda store, claim: store.deliveries.park(claim, "NO", "late"),
            lambda store, claim: store.deliveries.give_back(claim, "LATE", 1),
        ],
        ids=["renew", "progress", "finish", "park", "give_back"],
    )
    def test_who_lost_the_lease_writes_nothing(
        self, store: Store, late: Callable[[Store, DeliveryClaim], None]
    ) -> None:
        store.ready(destinations=("pacs",))
        store.jobs.publish(store.claimed(), result_set())
        loser = store.claimed_delivery()
        store.expire_leases()
        store.claimed_delivery()
        before, row = store.counts(), store.one(schema.delivery)
        with pytest.raises(LeaseLost):
            late(store, loser)
        assert store.counts() == before
        assert store.one(schema.delivery) == row
        assert {one.state for one in store.rows(schema.delivery_instance)} == {"OWED"}

    def test_a_delivery_that_is_given_back_is_due_later_and_lost_no_lease(
        self, store: Store
    ) -> None:
        store.ready(destinations=("pacs",))
        store.jobs.publish(store.claimed(), result_set())
        store.deliveries.give_back(store.claimed_delivery(), "PEER-UNAVAILABLE", 3600)
        assert store.deliveries.claim() is None
        store.write("UPDATE delivery SET due_at = 1")
        claim = store.claimed_delivery()
        assert (claim.attempt, claim.lost_leases) == (2, 0)

    def test_a_parked_delivery_can_be_owed_again(self, store: Store) -> None:
        store.ready(destinations=("pacs",))
        store.jobs.publish(store.claimed(), result_set())
        store.claimed_delivery()
        store.expire_leases()
        claim = store.claimed_delivery()
        assert not store.deliveries.owe_again(claim.delivery_id)
        store.deliveries.park(claim, "WORKERS-LOST", "x" * 5000)
        assert store.deliveries.claim() is None
        assert store.deliveries.owe_again(claim.delivery_id)
        assert not store.deliveries.owe_again(claim.delivery_id)
        assert not store.deliveries.owe_again("nothing")
        again = store.claimed_delivery()
        assert (again.delivery_id, again.lost_leases) == (claim.delivery_id, 0)

    def test_what_is_over_is_over(self, store: Store) -> None:
        store.published()
        for claim in self.both(store).values():
            store.deliveries.finish(claim, DeliveryState.SENT, {"references": ()})
            with pytest.raises(LeaseLost):
                store.deliveries.give_back(claim, "LATE", 1)
        store.expire_leases()
        assert store.deliveries.claim() is None


class TestRoles:
    def test_one_holder_at_a_time_and_a_silent_one_is_followed(self, store: Store) -> None:
        first = RoleLease(store.database, "keeper", "a:1", 60)
        second = RoleLease(store.another().database, "keeper", "b:2", 60)
        assert first.hold()
        assert not second.hold()
        assert first.hold()
        store.write("UPDATE role_lease SET lease_until = 1")
        assert second.hold()
        assert not first.hold()

    def test_a_role_that_is_let_go_is_taken_at_once(self, store: Store) -> None:
        first = RoleLease(store.database, "keeper", "a:1", 60)
        second = RoleLease(store.database, "keeper", "b:2", 60)
        assert first.hold()
        second.let_go()  # not theirs to give
        assert not second.hold()
        first.let_go()
        assert second.hold()

    def test_of_many_one_takes_it(self, store: Store) -> None:
        leases = [
            RoleLease(store.another().database, "keeper", f"h:{number}", 60) for number in range(4)
        ]
        assert sum(at_once(*(lease.hold for lease in leases))) == 1

    def test_roles_do_not_know_each_other(self, store: Store) -> None:
        assert RoleLease(store.database, "keeper", "a", 60).hold()
        assert RoleLease(store.database, "retention", "b", 60).hold()


class TestFailure:
    def test_a_database_that_is_held_too_long_is_out_of_resources(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("node.store.database.BUSY_TIMEOUT_MS", 50)
        hasty = store.another()
        with store.database.transaction():
            with pytest.raises(OutOfResources):
                hasty.intake.record(received(1))
            assert hasty.intake.known("2.25.3001") is None  # reading waits for nobody
        assert hasty.intake.record(received(1)) is Outcome.STORED

    def test_an_error_quotes_no_patient(self, store: Store) -> None:
        store.receive(1)
        with pytest.raises(IntegrityError) as broken, store.database.transaction() as (one, _):
            one.execute(insert(schema.study).values(
                study_instance_uid=STUDY, peer="p", identity=dict(PATIENT), facts={}, first_at=0,
                last_at=0,
            ))  # fmt: skip
        assert not any(secret in str(broken.value) for secret in SECRETS)

    def test_a_claim_under_a_lease_that_is_over_at_once(self, store: Store) -> None:
        store.ready()
        hasty = store.another(lease_s=EXPIRED)
        uids = {hasty.claimed().transaction_uid for _ in range(3)}
        assert len(uids) == 3
        assert store.claimed().lost_leases == 3


class Injected(Exception):
    """The fault that a test puts into a transaction."""


class failing_at:  # noqa: N801 - reads as a verb where it is used
    """Fail when a statement that begins with `prefix` is about to run."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._engine, self._prefix = store.database._engine, prefix

    def __enter__(self) -> None:
        event.listen(self._engine, "before_cursor_execute", self._fail)

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._fail)

    def _fail(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(self._prefix):
            raise Injected(self._prefix)
