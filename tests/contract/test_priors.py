"""Earlier series that jobs wait for: as the store keeps them, whose they may be, and over a keeper's death."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from inference.card import Prior, load
from inference.selection import parse
from integrations.errors import Refused, Unavailable
from integrations.testing import MemoryArchive
from node.clock import SetClock
from node.core.job import Readiness
from node.core.orders import Patient
from node.core.prior import Candidate
from node.core.study import Outcome
from node.pipeline.apart import Apart
from node.pipeline.merged import not_merged
from node.pipeline.priors import ATTEMPTS, Searcher
from node.pipeline.retrieve import Archive
from node.pipeline.translate import Source
from node.store import schema
from node.store.database import Database
from node.store.index import IntakeStore
from node.store.priors import PriorStore
from node.store.reruns import RerunStore
from tests.contract.stores import ENGINES, Deadly, Killed, Store, opened
from tests.unit.node.samples import STUDY, received, result_set

MODEL = "brain-extraction"
EARLIER = Candidate(study_instance_uid="2.25.88", series_instance_uid="2.25.880")
PEER = "pacs"


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened(request.param, tmp_path) as store:
        yield store


@dataclass
class Shelf:
    """An archive of one patient's earlier study; what it is asked for comes to the node's records."""

    store: Store
    archive: MemoryArchive
    images: dict[str, Sequence[dict[str, Any]]]
    keeps_back: int = 0
    fails: Exception | None = None
    asked: int = 0

    def retrieve(self, study: str, series: str, instances: Sequence[str]) -> None:
        """Send the instances that it was asked for, but those that it keeps back."""
        self.asked += len(instances)
        if self.fails is not None:
            raise self.fails
        for attributes in self.images[series]:
            uid = attributes["SOPInstanceUID"]
            if uid in instances and self.keeps_back <= 0:
                IntakeStore(self.store.database, "listener:1").record(
                    received(1, peer=PEER, **attributes)
                )
            elif uid in instances:
                self.keeps_back -= 1

    def gives(self) -> Archive:
        """Return it as the keeper knows it."""
        return Archive(
            name=PEER,
            sources=frozenset({"modality"}),
            index=self.archive,
            patients=self.archive,
            retrieve=self.retrieve,
        )


def shelf(store: Store, *, header: Mapping[str, Any] | None = None, **told: Any) -> Shelf:
    """Return an archive with a series of three images of the patient, one month before the study.

    Parameters
    ----------
    header
        What the images say, where it is another than what the list says.
    told
        What the list says.
    """
    study = {
        "PatientID": "OVR-000042",
        "IssuerOfPatientID": "EXAMPLE",
        "PatientName": "Muster^Erika",
        "PatientBirthDate": "19640812",
        "PatientSex": "F",
        "StudyDate": "20260915",
        "StudyTime": "101500",
        **told,
    }
    uids = {
        "StudyInstanceUID": EARLIER.study_instance_uid,
        "SeriesInstanceUID": EARLIER.series_instance_uid,
    }
    images = [
        {**uids, **study, **(header or {}), "SOPInstanceUID": f"2.25.88{n}", "InstanceNumber": n}
        for n in (1, 2, 3)
    ]
    archive = MemoryArchive(studies={EARLIER.study_instance_uid: study})
    archive.series[EARLIER.series_instance_uid] = {"Modality": "MR"}
    archive.holds(
        EARLIER.study_instance_uid,
        EARLIER.series_instance_uid,
        [str(one["SOPInstanceUID"]) for one in images],
    )
    return Shelf(store, archive, {EARLIER.series_instance_uid: images})


def searcher(store: Store, database: Database | None = None, **changes: Any) -> Searcher:
    """Return who looks for what the shipped model would compare with."""
    models = Path(__file__).parents[2] / "inference" / "models"
    selection = parse({"Modality": "MR", "SeriesInstances": {"min": 3}})
    card = replace(
        load(models / MODEL),
        priors=(Prior(name="before", within_days=365, select=selection),),
    )
    return Searcher(
        priors=PriorStore(database or store.database),
        cards={MODEL: card},
        source_of=lambda _: Source(default_issuer=None, time_zone=None),
        **{"merged_to": not_merged, **changes},
    )


def waiting(store: Store) -> str:
    """Bring a job so far that it waits for what it compares with; return its identifier."""
    store.receive(1, 2, 3)
    (request,) = store.dispatch(model=MODEL)
    (claim,) = store.jobs.unprepared()
    assert PriorStore(store.database).want(claim, ["before"], 120.0)
    return request.job_id


def look(store: Store, at: Shelf, times: int = 1, **changes: Any) -> None:
    """Let so many rounds go by, each a while after the one before."""
    for _ in range(times):
        store.write("UPDATE prior SET due_at = 1")
        searcher(store, **changes).look(at.gives(), Apart(SetClock(0.0)))


def end_of_waiting(store: Store, job_id: str) -> Any:
    """Prepare the job, and return how the wait for its prior ended."""
    (claim,) = store.jobs.unprepared()
    assert claim.job_id == job_id
    store.jobs.prepared(job_id, Readiness.READY, {})
    row = store.one(schema.prior)
    return row.state, row.reason


def test_a_job_waits_until_its_earlier_series_is_here(store: Store) -> None:
    job_id, at = waiting(store), shelf(store)
    assert store.jobs.unprepared() == []
    look(store, at)
    assert end_of_waiting(store, job_id) == ("FOUND", None)
    claim = store.claimed()
    assert {name: len(paths) for name, paths in claim.priors.items()} == {"before": 3}
    assert {name: len(paths) for name, paths in claim.files.items()} == {"volume": 3}
    assert claim.no_priors == {}
    assert at.asked == 3
    assert "prior found" in store.story()
    assert [row.outcome for row in store.rows(schema.journal)] == ["stored"] * 3 + ["fetched"] * 3


def test_what_was_fetched_is_not_read_by_itself(store: Store) -> None:
    waiting(store)
    look(store, shelf(store))
    (series,) = store.close_all()
    assert series.prior
    assert store.jobs.siblings(EARLIER.study_instance_uid) == []


def test_what_somebody_sends_to_a_fetched_series_is_read(store: Store) -> None:
    waiting(store)
    look(store, shelf(store))
    store.receive(
        7,
        StudyInstanceUID=EARLIER.study_instance_uid,
        SeriesInstanceUID=EARLIER.series_instance_uid,
    )
    (series,) = store.close_all()
    assert not series.prior


def test_what_somebody_sends_again_is_read_too(store: Store) -> None:
    waiting(store)
    at = shelf(store)
    look(store, at)
    store.close_all()
    again = received(1, **at.images[EARLIER.series_instance_uid][1])
    assert store.intake.record(again) is Outcome.DUPLICATE
    assert store.intake.open_series() == []  # an archive may send twice what it was asked for
    store.write("UPDATE retrieval SET at = at - 601")
    assert store.intake.record(again) is Outcome.DUPLICATE
    (series,) = store.intake.open_series()
    assert not series.prior
    assert len(series.instances) == 3
    assert "prior sent" in store.story()


def test_two_priors_of_a_card_are_two_series(store: Store) -> None:
    store.receive(1, 2, 3)
    (request,) = store.dispatch(model=MODEL)
    (claim,) = store.jobs.unprepared()
    PriorStore(store.database).want(claim, ["before", "long before"], 120.0)
    at, looking = shelf(store), searcher(store)
    card = looking.cards[MODEL]
    twice = (*card.priors, replace(card.priors[0], name="long before"))
    looking = replace(looking, cards={MODEL: replace(card, priors=twice)})
    for _ in range(3):
        store.write("UPDATE prior SET due_at = 1")
        looking.look(at.gives(), Apart(SetClock(0.0)))
    (claim,) = store.jobs.unprepared()
    store.jobs.prepared(request.job_id, Readiness.READY, {})
    claim = store.claimed()
    assert {name: len(paths) for name, paths in claim.priors.items()} == {"before": 3}
    assert claim.no_priors == {"long before": "PRIOR-NOT-FOUND"}


def test_what_is_here_already_is_not_fetched_again(store: Store) -> None:
    at = shelf(store)
    for attributes in at.images[EARLIER.series_instance_uid]:
        assert store.intake.record(received(1, **attributes)) is Outcome.STORED
    store.close_all()
    store.receive(1, 2, 3)
    (series,) = [one for one in store.close_all() if one.study_instance_uid == STUDY]
    request = store.request(series, model=MODEL)
    store.jobs.dispatch(series, [request], ())
    (claim,) = store.jobs.unprepared()
    PriorStore(store.database).want(claim, ["before"], 120.0)
    look(store, at)
    assert end_of_waiting(store, request.job_id) == ("FOUND", None)
    assert at.asked == 0


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"PatientBirthDate": "19640813"}, "PRIOR-NOT-FOUND"),
        ({"IssuerOfPatientID": "ELSEWHERE"}, "PRIOR-NOT-FOUND"),
        ({"PatientSex": "M"}, "PRIOR-NOT-FOUND"),
        ({"PatientBirthDate": "", "PatientName": "Muster^Erna"}, "PRIOR-NOT-FOUND"),
        ({"PatientID": "OVR-000043"}, "PRIOR-NOT-FOUND"),
        ({"StudyDate": "20250101"}, "PRIOR-NOT-FOUND"),
        ({"StudyDate": "20261016"}, "PRIOR-NOT-FOUND"),
        ({"StudyDate": "20261015", "StudyTime": "101500"}, "PRIOR-NOT-FOUND"),
        ({"StudyDate": "20261015", "StudyTime": ""}, "PRIOR-NOT-FOUND"),
    ],
    ids=str,
)
def test_a_study_that_is_not_an_earlier_one_of_the_patient_is_not_fetched(
    store: Store, told: dict[str, Any], reason: str
) -> None:
    job_id, at = waiting(store), shelf(store, **told)
    look(store, at)
    assert end_of_waiting(store, job_id) == ("NONE", reason)
    assert store.claimed().no_priors == {"before": reason}
    assert at.asked == 0


@pytest.mark.parametrize(
    "told",
    [
        {"StudyDate": "20261015", "StudyTime": "101459"},
        {"StudyDate": "20251015"},
        {"IssuerOfPatientID": ""},
        {"PatientBirthDate": ""},
        {"PatientName": "Neuname^Erika"},
    ],
    ids=str,
)
def test_an_earlier_study_of_the_patient_is(store: Store, told: dict[str, Any]) -> None:
    job_id, at = waiting(store), shelf(store, **told)
    look(store, at)
    assert end_of_waiting(store, job_id) == ("FOUND", None)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"PatientBirthDate": "19640813"}, "PRIOR-OF-ANOTHER-PATIENT"),
        ({"IssuerOfPatientID": "ELSEWHERE"}, "PRIOR-OF-ANOTHER-PATIENT"),
        ({"Modality": "CT"}, "PRIOR-NOT-FITTING"),
    ],
    ids=str,
)
def test_a_series_whose_headers_say_otherwise_costs_one_image(
    store: Store, header: dict[str, str], reason: str
) -> None:
    job_id, at = waiting(store), shelf(store, header=header)
    look(store, at, 2)
    assert end_of_waiting(store, job_id) == ("NONE", reason)
    assert at.asked == 1


def test_the_patient_is_looked_for_under_the_number_that_he_has_by_now(store: Store) -> None:
    survivor = Patient(patient_id="OVR-777", issuer="EXAMPLE")
    job_id, at = waiting(store), shelf(store, PatientID="OVR-777")
    look(store, at, merged_to=lambda _: survivor)
    assert end_of_waiting(store, job_id) == ("FOUND", None)


def test_what_an_archive_keeps_back_is_asked_for_again_and_then_done_without(store: Store) -> None:
    job_id, at = waiting(store), shelf(store)
    at.keeps_back = 1
    look(store, at)
    assert store.jobs.unprepared() == []
    look(store, at)
    assert end_of_waiting(store, job_id) == ("FOUND", None)


def test_a_series_that_never_comes_whole_is_passed_over(store: Store) -> None:
    job_id, at = waiting(store), shelf(store)
    at.fails = Refused("PACS-B000", "it failed some")
    look(store, at, ATTEMPTS + 1)
    assert end_of_waiting(store, job_id) == ("NONE", "PRIOR-INCOMPLETE")


def test_an_archive_that_is_away_is_asked_until_the_wait_is_over(store: Store) -> None:
    job_id, at = waiting(store), shelf(store)
    at.fails = Unavailable("it is away")
    look(store, at, 9)
    assert store.jobs.unprepared() == []
    store.write("UPDATE prior SET until = 1")
    look(store, at)
    assert end_of_waiting(store, job_id) == ("NONE", "PEER-UNAVAILABLE")


def test_an_archive_that_cannot_be_asked_is_done_without(store: Store) -> None:
    job_id, at = waiting(store), shelf(store)
    at.archive.answers = False
    look(store, at)
    assert end_of_waiting(store, job_id) == ("NONE", "NO-QUERY")


def test_a_source_without_archive_waits_for_nothing(store: Store) -> None:
    store.receive(1, 2, 3)
    store.dispatch(model=MODEL)
    (claim,) = store.jobs.unprepared()
    assert not PriorStore(store.database).want(claim, ["before"], None)
    (claim,) = store.jobs.unprepared()
    assert claim.no_priors == {"before": "NO-ARCHIVE-CONFIGURED"}


def test_a_rerun_looks_anew_and_reads_its_own_series_alone(store: Store) -> None:
    job_id, at = waiting(store), shelf(store)
    look(store, at)
    assert end_of_waiting(store, job_id) == ("FOUND", None)
    store.jobs.publish(store.claimed(), result_set(1))
    again = RerunStore(store.database).rerun(job_id, "1")
    inputs = [row for row in store.rows(schema.job_input) if row.job_id == again]
    assert {row.prior for row in inputs} == {0}
    assert len(inputs) == 3


def test_a_series_whose_patient_is_corrected_is_not_compared_with(store: Store) -> None:
    job_id, at = waiting(store), shelf(store)
    look(store, at)
    assert end_of_waiting(store, job_id) == ("FOUND", None)
    first = at.images[EARLIER.series_instance_uid][0]
    store.take(received(1, peer=PEER, **{**first, "PatientID": "OVR-1"}), Outcome.CORRECTION)
    claim = store.claimed()
    assert claim.priors == {}
    assert claim.no_priors == {"before": "PRIOR-CORRECTED"}


def test_a_result_stands_whose_earlier_series_is_corrected_later(store: Store) -> None:
    job_id, at = waiting(store), shelf(store)
    look(store, at)
    assert end_of_waiting(store, job_id) == ("FOUND", None)
    store.jobs.publish(store.claimed(), result_set(1))
    before = {row.state for row in store.rows(schema.delivery)}
    first = at.images[EARLIER.series_instance_uid][0]
    store.take(received(1, peer=PEER, **{**first, "PatientID": "OVR-1"}), Outcome.CORRECTION)
    assert {row.state for row in store.rows(schema.delivery)} == before
    assert "prior corrected" in store.story()


def test_what_was_asked_for_long_ago_and_is_sent_now_is_read(store: Store) -> None:
    waiting(store)
    at = shelf(store)
    at.keeps_back = 99
    look(store, at)
    store.write("UPDATE retrieval SET at = at - 3601")
    first, *_ = at.images[EARLIER.series_instance_uid]
    assert store.intake.record(received(1, **first)) is Outcome.STORED
    (series,) = [one for one in store.intake.open_series() if one.study_instance_uid != STUDY]
    assert not series.prior


def test_a_series_that_is_corrected_while_it_comes_is_not_compared_with(store: Store) -> None:
    job_id, at = waiting(store), shelf(store)
    retrieve, first = at.retrieve, at.images[EARLIER.series_instance_uid][0]

    def corrected_meanwhile(study: str, series: str, instances: Sequence[str]) -> None:
        retrieve(study, series, instances)
        if len(instances) > 1:
            other = received(1, peer=PEER, **{**first, "PatientID": "OVR-1"})
            assert store.take(other, Outcome.CORRECTION) is Outcome.CORRECTION

    gives = replace(at.gives(), retrieve=corrected_meanwhile)
    searcher(store).look(gives, Apart(SetClock(0.0)))
    assert store.one(schema.prior).reason == "PRIOR-OF-ANOTHER-PATIENT"
    look(store, at)
    assert end_of_waiting(store, job_id) == ("NONE", "PRIOR-OF-ANOTHER-PATIENT")


@pytest.mark.parametrize("after", [False, True])
def test_a_keeper_killed_anywhere_fetches_each_image_once_and_finds_the_same(
    tmp_path: Path, after: bool
) -> None:
    at = 1
    while True:
        folder = tmp_path / str(at)
        folder.mkdir()
        with opened("sqlite", folder) as store:
            job_id, where = waiting(store), shelf(store)
            deadly: Any = Deadly(store.database, at, after=after)
            killed = True
            with contextlib.suppress(Killed):
                searcher(store, deadly).look(where.gives(), Apart(SetClock(0.0)))
                killed = False
            look(store, where, 2)
            assert end_of_waiting(store, job_id) == ("FOUND", None)
            assert {name: len(paths) for name, paths in store.claimed().priors.items()} == {
                "before": 3
            }
            outcomes = [row.outcome for row in store.rows(schema.journal)]
            assert outcomes == ["stored"] * 3 + ["fetched"] * 3
            states = {row.state for row in store.rows(schema.retrieval)}
            assert states == {"ARRIVED"}
        if not killed:
            break
        at += 1
    assert at > 4
