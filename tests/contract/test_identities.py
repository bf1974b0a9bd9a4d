"""Identity before sending: one question for each job, its deliveries held, nothing to another patient."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from integrations.errors import IntegrationError, Refused, Unavailable
from node.clock import SetClock
from node.core.identity import IdentityPolicy, OnDifference
from node.core.job import Readiness
from node.core.orders import Demographics, FeedMessage, Merged, Patient
from node.core.study import Outcome
from node.pipeline.apart import Apart
from node.pipeline.identify import Verifier
from node.pipeline.retrieve import Archive
from node.store import database as database_module
from node.store import schema
from node.store.feed import FeedStore
from node.store.identities import IdentityStore
from node.store.jobs import JobStore
from node.store.merges import MergeStore
from node.store.overview import Overview
from tests.contract.stores import ENGINES, LEASE_S, Store, opened
from tests.unit.node.samples import received, result_set

T0 = 1_790_000_000.0


@dataclass
class Pacs:
    """An archive that says what it is told to, and sends when it is told to."""

    told: dict[str, str] | None = field(default_factory=dict)
    series_there: bool = True
    failure: IntegrationError | None = None
    retrieval: IntegrationError | None = None
    asked: int = 0
    fetched: list[tuple[str, ...]] = field(default_factory=list)

    def attributes(self, study: str, keywords: Sequence[str]) -> dict[str, str] | None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.told

    def instances(self, study: str, series: str) -> frozenset[str]:
        return frozenset({"2.25.3001"} if self.series_there else ())

    def retrieve(self, study: str, series: str, instances: Sequence[str]) -> None:
        if self.retrieval is not None:
            raise self.retrieval
        self.fetched.append(tuple(instances))


@dataclass
class Desk:
    """A node whose result is ready and owed to its archive, ``pacs``, and to an ``ehr``."""

    store: Store
    pacs: Pacs = field(default_factory=Pacs)
    policy: IdentityPolicy = field(default_factory=IdentityPolicy)
    at: list[float] = field(default_factory=lambda: [T0])

    def publish(self, *, archived: bool = True) -> None:
        self.store.ready()
        peer = self.store.one(schema.series).peer
        jobs = JobStore(self.store.database, LEASE_S, archived={peer} if archived else ())
        jobs.publish(self.store.claimed(), result_set())
        identity = self.store.one(schema.series).identity
        self.pacs.told = {key: str(value) for key, value in identity.items()}

    def listed(self) -> None:
        series = self.store.one(schema.series).series_instance_uid
        self.store.write(
            "INSERT INTO archive_list VALUES (:s, 'pacs', '[\"2.25.3001\"]', 1, 1, 1)", s=series
        )

    def look(self) -> None:
        peer = self.store.one(schema.series).peer
        archive = Archive(
            name="pacs",
            sources=frozenset({peer}),
            index=self.pacs,
            retrieve=self.pacs.retrieve,
        )
        verifier = Verifier(
            identities=IdentityStore(self.store.database),
            policy=self.policy,
            issuer_of=lambda _: None,
            merged_to=MergeStore(self.store.database, {}).merged_to,
        )
        verifier.look(archive, Apart(SetClock()))

    def merge(self, into: str, born: str = "") -> None:
        """Let a feed say that the patient's number gave way to another one."""
        prior = self.store.one(schema.series).identity
        issuer = str(prior.get("IssuerOfPatientID", ""))
        merged = Merged(
            prior=Patient(patient_id=str(prior["PatientID"]), issuer=issuer),
            surviving=Patient(patient_id=into, issuer=issuer),
            who=Demographics(birth_date=born),
        )
        message = FeedMessage(peer="ris", control_id="M1", kind="ADT^A40", digest="d1")
        FeedStore(self.store.database, {}).take(message, [merged], b"AA")

    def pass_time(self, seconds: float) -> None:
        self.at[0] += seconds

    def check(self) -> tuple[str, ...]:
        row = self.store.one(schema.identity_check)
        return (row.state, row.reason) if row.reason else (row.state,)

    def states(self) -> dict[str, tuple[str, str | None]]:
        rows = self.store.rows(schema.delivery)
        return {row.destination: (row.state, row.reason) for row in rows}


@pytest.fixture(params=ENGINES)
def desk(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    with opened(request.param, tmp_path) as store:
        made = Desk(store=store)
        monkeypatch.setattr(database_module, "_now", lambda _: made.at[0])
        yield made


PARKED = ("PARKED", "IDENTITY-DIFFERS")
OWED = ("OWED", None)


def test_one_question_holds_every_delivery_of_the_job(desk: Desk) -> None:
    desk.publish()
    assert desk.store.deliveries.claim() is None
    desk.look()
    desk.look()
    assert desk.pacs.asked == 1
    assert desk.check() == ("VERIFIED",)
    assert desk.store.deliver_all() == ["ehr", "pacs"]
    assert "identity verified" in desk.store.story()


def test_a_source_without_an_archive_is_sent_and_marked(desk: Desk) -> None:
    desk.publish(archived=False)
    assert desk.check() == ("NOT VERIFIED", "NO-ARCHIVE")
    assert "identity not re-verified" in desk.store.story()
    assert desk.store.deliver_all() == ["ehr", "pacs"]


def test_by_default_the_archive_that_corrects_gets_it_and_nobody_else(desk: Desk) -> None:
    desk.publish()
    assert desk.pacs.told is not None
    desk.pacs.told["PatientID"] = "OVR-OTHER"
    desk.look()
    assert desk.states() == {"pacs": OWED, "ehr": PARKED}
    assert desk.pacs.fetched == []
    assert desk.store.deliver_all() == ["pacs"]
    (row,) = Overview(desk.store.database).dead_letters()
    assert "pacs has another PatientID" in row["detail"]
    assert "OVR-OTHER" not in str([tuple(one) for one in desk.store.rows(schema.event)])


def test_a_number_that_was_merged_into_the_archives_is_no_difference(desk: Desk) -> None:
    desk.publish()
    assert desk.pacs.told is not None
    desk.pacs.told["PatientID"] = "OVR-OTHER"
    desk.merge("OVR-OTHER")
    desk.look()
    assert desk.check() == ("VERIFIED",)
    assert "merged" in desk.store.one(schema.identity_check).detail
    assert desk.store.deliver_all() == ["ehr", "pacs"]


@pytest.mark.parametrize(
    ("into", "born", "also"),
    [
        ("OVR-THIRD", "", {}),
        ("OVR-OTHER", "18991231", {}),
        ("OVR-OTHER", "", {"PatientBirthDate": "18991231"}),
    ],
    ids=["into somebody else", "of somebody else", "and another birth date"],
)
def test_a_merge_that_does_not_explain_it_changes_nothing(
    desk: Desk, into: str, born: str, also: dict[str, str]
) -> None:
    desk.publish()
    assert desk.pacs.told is not None
    desk.pacs.told.update({"PatientID": "OVR-OTHER", **also})
    desk.merge(into, born)
    desk.look()
    assert desk.states() == {"pacs": OWED, "ehr": PARKED}


def test_parked_by_policy_a_merge_is_looked_at(desk: Desk) -> None:
    desk.policy = IdentityPolicy(on_difference=OnDifference.PARK)
    desk.publish()
    assert desk.pacs.told is not None
    desk.pacs.told["PatientID"] = "OVR-OTHER"
    desk.merge("OVR-OTHER")
    desk.look()
    assert desk.states() == {"pacs": PARKED, "ehr": PARKED}


@pytest.mark.parametrize(
    "keyword",
    ["PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"],
)
def test_parked_by_policy_nobody_gets_it(desk: Desk, keyword: str) -> None:
    desk.policy = IdentityPolicy(on_difference=OnDifference.PARK)
    desk.publish()
    assert desk.pacs.told is not None
    desk.pacs.told[keyword] = "X"
    known = desk.store.one(schema.series).identity
    desk.look()
    if keyword in known:
        assert desk.states() == {"pacs": PARKED, "ehr": PARKED}
        assert keyword in desk.store.one(schema.identity_check).detail
    else:
        assert desk.check() == ("VERIFIED",)
        assert f"not compared: {keyword}" in desk.store.one(schema.identity_check).detail


def test_rebuilt_by_policy_the_series_is_fetched_again_and_read_anew(desk: Desk) -> None:
    desk.policy = IdentityPolicy(on_difference=OnDifference.REBUILD)
    desk.publish()
    assert desk.pacs.told is not None
    desk.pacs.told["PatientID"] = "OVR-7"
    desk.look()
    assert desk.states() == {"pacs": PARKED, "ehr": PARKED}
    assert desk.pacs.fetched == [("2.25.3001", "2.25.3002", "2.25.3003")]
    for number in (1, 2, 3):  # what the archive sends
        one = received(number, PatientID="OVR-7")
        assert desk.store.take(one, Outcome.CORRECTION) is Outcome.CORRECTION
    assert {reason for _, reason in desk.states().values()} == {"IDENTITY-CORRECTED"}
    (request,) = desk.store.dispatch()
    desk.store.jobs.prepared(request.job_id, Readiness.READY, {})
    peer = desk.store.one(schema.series).peer
    jobs = JobStore(desk.store.database, LEASE_S, archived={peer})
    jobs.publish(desk.store.claimed(), result_set(2))
    assert desk.store.deliveries.claim() is None
    desk.look()
    assert desk.store.deliver_all() == ["ehr", "pacs"]
    sent = {
        row.result_set_id for row in desk.store.rows(schema.delivery) if row.state == "CONFIRMED"
    }
    assert sent == {result_set(2).result_set_id}


def test_an_archive_that_cannot_send_now_holds_what_is_to_be_rebuilt(desk: Desk) -> None:
    desk.policy = IdentityPolicy(on_difference=OnDifference.REBUILD, wait_s=10**9)
    desk.publish()
    assert desk.pacs.told is not None
    desk.pacs.told["PatientID"] = "OVR-7"
    desk.pacs.retrieval = Unavailable("away")
    desk.look()
    assert desk.check() == ("OWED", "PEER-UNAVAILABLE")
    assert desk.store.deliveries.claim() is None
    desk.pacs.retrieval = Refused("PACS-A801", "who?")
    desk.pass_time(61)
    desk.look()
    assert desk.states() == {"pacs": PARKED, "ehr": PARKED}
    assert "not fetched again: PACS-A801" in desk.store.one(schema.identity_check).detail


def test_a_difference_is_never_sent_because_the_archive_cannot_send_the_series(desk: Desk) -> None:
    desk.policy = IdentityPolicy(on_difference=OnDifference.REBUILD, wait_s=1.0)
    desk.publish()
    assert desk.pacs.told is not None
    desk.pacs.told["PatientID"] = "OVR-7"
    desk.pacs.retrieval = Unavailable("away")
    for _ in range(5):
        desk.look()
        desk.pass_time(61)
    assert desk.store.deliveries.claim() is None


@pytest.mark.parametrize("policy", OnDifference)
def test_a_series_that_was_moved_goes_to_nobody(desk: Desk, policy: OnDifference) -> None:
    desk.policy = IdentityPolicy(on_difference=policy)
    desk.publish()
    desk.listed()
    desk.pacs.series_there = False
    desk.look()
    assert set(desk.states().values()) == {("PARKED", "SERIES-MOVED")}


def test_a_study_that_is_gone_goes_to_nobody(desk: Desk) -> None:
    desk.publish()
    desk.listed()
    desk.pacs.told = None
    desk.look()
    assert set(desk.states().values()) == {("PARKED", "SERIES-MOVED")}


def test_an_archive_that_does_not_answer_is_asked_for_a_while_and_then_it_is_sent_marked(
    desk: Desk,
) -> None:
    desk.publish()
    desk.pacs.failure = Unavailable("away")
    desk.look()
    assert desk.check() == ("OWED", "PEER-UNAVAILABLE")
    desk.look()
    assert desk.pacs.asked == 1  # not at once
    desk.pass_time(31)
    desk.look()
    assert desk.check() == ("NOT VERIFIED", "PEER-UNAVAILABLE")
    assert desk.store.story().count("identity not verified yet") == 1
    assert desk.store.deliver_all() == ["ehr", "pacs"]


def test_a_study_that_the_archive_does_not_know_yet_is_asked_again(desk: Desk) -> None:
    desk.publish()
    told, desk.pacs.told = desk.pacs.told, None
    desk.look()
    assert desk.check() == ("OWED", "STUDY-NOT-IN-ARCHIVE")
    desk.pacs.told = told
    desk.pass_time(2)
    desk.look()
    assert desk.check() == ("VERIFIED",)


@pytest.mark.parametrize("failure", [Unavailable("away"), Refused("NO-QUERY", "no")])
def test_held_by_policy_it_waits_until_somebody_can_say(
    desk: Desk, failure: IntegrationError
) -> None:
    desk.policy = IdentityPolicy(hold=True)
    desk.publish()
    desk.pacs.failure = failure
    for _ in range(20):
        desk.look()
        desk.pass_time(3600)
    assert desk.store.deliveries.claim() is None
    desk.pacs.failure = None
    desk.look()
    assert desk.store.deliver_all() == ["ehr", "pacs"]


def test_an_archive_that_answers_no_such_question_is_not_waited_for(desk: Desk) -> None:
    desk.publish()
    desk.pacs.failure = Refused("NO-QUERY", "no")
    desk.look()
    assert desk.check() == ("NOT VERIFIED", "NO-QUERY")


def test_without_a_patient_id_nothing_is_verified(desk: Desk) -> None:
    desk.publish()
    assert desk.pacs.told is not None
    del desk.pacs.told["PatientID"]
    desk.look()
    assert desk.check() == ("NOT VERIFIED", "PATIENT-ID-NOT-TOLD")


def test_what_is_owed_again_is_asked_for_again(desk: Desk) -> None:
    desk.publish()
    assert desk.pacs.told is not None
    right, desk.pacs.told["PatientID"] = desk.pacs.told["PatientID"], "OVR-OTHER"
    desk.look()
    assert desk.store.deliver_all() == ["pacs"]
    assert desk.store.deliveries.owe_all_again() == 1
    assert desk.store.deliveries.claim() is None  # not before the archive was asked
    desk.look()
    assert desk.states()["ehr"] == PARKED
    desk.pacs.told["PatientID"] = right
    desk.store.deliveries.owe_all_again()
    desk.look()
    assert desk.store.deliver_all() == ["ehr"]


def test_a_source_whose_archive_was_taken_out_of_the_file_holds_nothing(desk: Desk) -> None:
    desk.publish()
    verifier = Verifier(
        identities=IdentityStore(desk.store.database),
        policy=desk.policy,
        issuer_of=lambda _: None,
    )
    verifier.let_go({desk.store.one(schema.series).peer})
    assert desk.check() == ("OWED",)
    verifier.let_go({"another"})
    assert desk.check() == ("NOT VERIFIED", "NO-ARCHIVE")


def test_a_correction_that_arrives_meanwhile_ends_what_is_parked(desk: Desk) -> None:
    desk.publish()
    assert desk.pacs.told is not None
    desk.pacs.told["PatientID"] = "OVR-7"
    desk.look()
    desk.store.correct()
    assert {reason for _, reason in desk.states().values()} == {"IDENTITY-CORRECTED"}
    assert desk.store.deliveries.owe_all_again() == 0


def test_every_state_is_counted_and_explained(desk: Desk) -> None:
    desk.publish()
    desk.look()
    overview = Overview(desk.store.database)
    assert overview.counts()["identity"] == {"VERIFIED": 1}
    study = desk.store.one(schema.study).study_instance_uid
    (row,) = overview.identity_checks(study)
    assert row["state"] == "VERIFIED"
