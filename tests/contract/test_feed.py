"""What a feed says is kept once, whichever comes first: its order or the images, one merge or another."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.core.orders import Demographics, FeedMessage, Merged, Ordered, Patient, Updated
from node.errors import ControlIdReused, MergeRefused
from node.store import schema
from node.store.feed import FeedStore
from node.store.merges import MergeStore
from node.store.order_questions import OrderStore
from tests.contract.stores import ENGINES, Store, opened
from tests.unit.node.samples import PATIENT, STUDY

ISSUERS = {"modality": "EXAMPLE"}
ANSWER = b"MSH|answer\r"
ME = Patient(patient_id=PATIENT["PatientID"], issuer="EXAMPLE")
WHO = Demographics(birth_date=PATIENT["PatientBirthDate"], sex="F")


def patient(number: str, issuer: str = "EXAMPLE") -> Patient:
    return Patient(patient_id=number, issuer=issuer)


STAT = Ordered(
    accession_number="ACC42",
    patient=(ME,),
    placer_order_number="P1",
    filler_order_number="F1",
    urgency="STAT",
    reason="Shortness of breath",
    active=True,
)


@pytest.fixture(params=list(ENGINES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened(request.param, tmp_path) as store:
        yield store


def feed(store: Store) -> FeedStore:
    return FeedStore(store.database, ISSUERS)


def merges(store: Store) -> MergeStore:
    return MergeStore(store.database, ISSUERS)


def matcher(store: Store) -> OrderStore:
    return OrderStore(store.database, ISSUERS)


def told(number: int = 1, **changes: str) -> FeedMessage:
    message = FeedMessage(peer="ris", control_id=f"M{number}", kind="ORM^O01", digest=f"d{number}")
    return replace(message, **changes)


def priorities(store: Store) -> list[int]:
    return [row.priority for row in store.rows(schema.job)]


def story(store: Store) -> list[str]:
    return [f"{row.what} {row.detail}" for row in store.rows(schema.event)]


def merge(
    store: Store, number: int, prior: Patient, surviving: Patient, who: Demographics = WHO
) -> None:
    feed(store).take(told(number), [Merged(prior=prior, surviving=surviving, who=who)], ANSWER)


# --- messages


def test_a_message_that_comes_again_gets_its_answer_and_changes_nothing(store: Store) -> None:
    assert feed(store).answered(told()) is None
    assert feed(store).take(told(), [STAT], ANSWER) == ANSWER
    other = replace(STAT, urgency="ROUTINE")
    assert feed(store).answered(told()) == ANSWER
    assert feed(store).take(told(), [other], b"MSH|another\r") == ANSWER
    (row,) = store.rows(schema.imaging_order)
    assert row.urgency == "STAT"


def test_a_control_id_is_not_given_to_two_messages(store: Store) -> None:
    feed(store).take(told(), [STAT], ANSWER)
    with pytest.raises(ControlIdReused):
        feed(store).answered(told(digest="other"))
    with pytest.raises(ControlIdReused):
        feed(store).take(told(digest="other"), [STAT], ANSWER)
    assert feed(store).answered(told(digest="other", peer="lab")) is None


def test_one_of_two_connections_that_send_the_same_message_takes_it(store: Store) -> None:
    stores = [feed(store), *(feed(store.another()) for _ in range(3))]
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda i: stores[i].take(told(), [STAT], b"MSH|%d\r" % i), range(4))
        )
    assert len(set(answers)) == 1
    assert len(store.rows(schema.feed_message)) == 1


def test_nothing_of_a_message_is_kept_when_a_part_of_it_is_refused(store: Store) -> None:
    ring = [
        Merged(prior=patient("A"), surviving=patient("B"), who=WHO),
        Merged(prior=patient("B"), surviving=patient("A"), who=WHO),
    ]
    with pytest.raises(MergeRefused):
        feed(store).take(told(), ring, ANSWER)
    assert store.rows(schema.patient_merge) == []
    assert feed(store).answered(told()) is None


def test_old_messages_and_orders_that_led_nowhere_are_forgotten(store: Store) -> None:
    store.receive(1)
    feed(store).take(told(1), [STAT], ANSWER)
    feed(store).take(told(2), [replace(STAT, accession_number="ACC43")], ANSWER)
    assert feed(store).prune(3600, 3600) == 0
    assert feed(store).prune(-1, 3600) == 2
    assert feed(store).prune(-1, -1) == 1
    assert [row.accession_number for row in store.rows(schema.imaging_order)] == ["ACC42"]


# --- orders


def test_an_order_that_comes_first_makes_the_job_urgent(store: Store) -> None:
    feed(store).take(told(), [STAT], ANSWER)
    store.receive(1)
    matcher(store).match_new()
    store.dispatch()
    assert priorities(store) == [100]


def test_an_order_that_comes_later_makes_the_waiting_job_urgent(store: Store) -> None:
    store.receive(1)
    store.dispatch()
    assert priorities(store) == [0]
    feed(store).take(told(), [STAT], ANSWER)
    assert priorities(store) == [100]
    assert "order STAT by ris" in story(store)


def test_a_worker_gets_the_numbers_of_the_order(store: Store) -> None:
    store.receive(1)
    store.dispatch()
    feed(store).take(told(), [STAT], ANSWER)
    (claim,) = store.jobs.unprepared()
    assert claim.order == {
        "placer_order_number": "P1",
        "filler_order_number": "F1",
        "urgency": "STAT",
        "reason": "Shortness of breath",
    }


def test_an_order_never_makes_a_job_less_urgent(store: Store) -> None:
    store.receive(1)
    feed(store).take(told(1), [STAT], ANSWER)
    store.dispatch()
    feed(store).take(told(2), [replace(STAT, urgency="ROUTINE")], ANSWER)
    feed(store).take(told(3), [replace(STAT, active=False)], ANSWER)
    assert priorities(store) == [100]


def test_a_canceled_order_raises_nothing(store: Store) -> None:
    feed(store).take(told(), [replace(STAT, active=False)], ANSWER)
    store.receive(1)
    matcher(store).match_new()
    store.dispatch()
    assert priorities(store) == [0]
    assert "order canceled by ris" in story(store)


@pytest.mark.parametrize(
    "number",
    [patient("OVR-000043"), patient("OVR-000042", "ELSEWHERE")],
    ids=["another patient", "another issuer"],
)
def test_an_order_of_another_patient_is_not_the_studys(store: Store, number: Patient) -> None:
    store.receive(1)
    store.dispatch()
    feed(store).take(told(), [replace(STAT, patient=(number,))], ANSWER)
    assert priorities(store) == [0]
    assert store.rows(schema.study_order) == []
    assert any(line.startswith("order not matched ORDER-PATIENT") for line in story(store))


def test_an_issuer_that_the_images_lack_is_that_of_their_source(store: Store) -> None:
    store.receive(1, IssuerOfPatientID=None)
    feed(store).take(told(1), [replace(STAT, patient=(patient(ME.patient_id, "X"),))], ANSWER)
    assert store.rows(schema.study_order) == []
    feed(store).take(told(2), [STAT], ANSWER)
    assert len(store.rows(schema.study_order)) == 1


def test_the_most_urgent_order_of_an_accession_number_counts(store: Store) -> None:
    store.receive(1)
    store.dispatch()
    routine = replace(STAT, urgency="ROUTINE", placer_order_number="P2")
    feed(store).take(told(), [STAT, routine], ANSWER)
    (claim,) = store.jobs.unprepared()
    assert claim.order["placer_order_number"] == "P1"


def test_a_study_that_is_corrected_loses_the_order_of_the_former_patient(store: Store) -> None:
    store.receive(1)
    feed(store).take(told(), [STAT], ANSWER)
    assert len(store.rows(schema.study_order)) == 1
    store.correct(1)
    assert store.rows(schema.study_order) == []
    matcher(store).match_new()
    assert store.rows(schema.study_order) == []


# --- merges


def test_a_number_is_followed_to_the_end_of_its_merges(store: Store) -> None:
    merge(store, 1, patient("A"), patient("B"))
    merge(store, 2, patient("B"), patient("C"))
    assert merges(store).survivor(patient("A")) == patient("C")
    assert merges(store).survivor(patient("C")) == patient("C")
    assert merges(store).survivor(patient("A", "ELSEWHERE")) == patient("A", "ELSEWHERE")


@pytest.mark.parametrize(
    ("earlier", "later", "reason"),
    [
        ([("A", "B")], ("B", "A"), "MERGE-LOOP"),  # PID and MRG exchanged
        ([("A", "B"), ("B", "C")], ("C", "A"), "MERGE-LOOP"),
        ([("A", "B"), ("B", "C")], ("C", "B"), "MERGE-LOOP"),
        ([("A", "B")], ("A", "C"), "MERGE-CONFLICT"),
        ([("A", "B"), ("B", "D")], ("A", "C"), "MERGE-CONFLICT"),
    ],
)
def test_a_merge_that_contradicts_an_earlier_one_is_refused(
    store: Store, earlier: list[tuple[str, str]], later: tuple[str, str], reason: str
) -> None:
    for number, pair in enumerate(earlier):
        merge(store, number, patient(pair[0]), patient(pair[1]))
    with pytest.raises(MergeRefused) as refused:
        merge(store, 9, patient(later[0]), patient(later[1]))
    assert refused.value.reason == reason
    assert len(store.rows(schema.patient_merge)) == len(earlier)


def test_a_merge_that_is_known_changes_nothing(store: Store) -> None:
    merge(store, 1, patient("A"), patient("B"))
    merge(store, 2, patient("B"), patient("C"))
    merge(store, 3, patient("A"), patient("B"))
    merge(store, 4, patient("A"), patient("C"))
    assert len(store.rows(schema.patient_merge)) == 2


def test_the_studies_of_a_merged_number_are_told(store: Store) -> None:
    store.receive(1)
    assert merges(store).questioned_at(STUDY) is None
    merge(store, 1, ME, patient("B"))
    assert "patient merged by ris" in story(store)
    assert merges(store).merged_to(STUDY) == patient("B")
    first = merges(store).questioned_at(STUDY)
    assert first is not None
    merge(store, 2, patient("B"), patient("C"))
    assert merges(store).merged_to(STUDY) == patient("C")
    second = merges(store).questioned_at(STUDY)
    assert second is not None
    assert second > first


def test_a_merge_of_nobody_whom_we_know_is_kept_for_images_that_come_later(store: Store) -> None:
    merge(store, 1, ME, patient("B"))
    store.receive(1)
    assert merges(store).merged_to(STUDY) == patient("B")


@pytest.mark.parametrize(
    "who", [Demographics(birth_date="19990101"), Demographics(sex="M")], ids=["born", "sex"]
)
def test_a_merge_into_somebody_else_explains_nothing(store: Store, who: Demographics) -> None:
    store.receive(1)
    merge(store, 1, ME, patient("B"), who)
    assert merges(store).merged_to(STUDY) is None
    assert any("the study says otherwise of Patient" in line for line in story(store))


def test_a_merge_of_the_same_number_of_another_issuer_is_not_ours(store: Store) -> None:
    store.receive(1)
    merge(store, 1, patient(ME.patient_id, "ELSEWHERE"), patient("B", "ELSEWHERE"))
    assert merges(store).merged_to(STUDY) is None
    assert merges(store).questioned_at(STUDY) is None


def test_an_order_of_the_prior_number_is_that_of_the_surviving_ones_images(store: Store) -> None:
    merge(store, 1, patient("A"), ME)
    store.receive(1)
    store.dispatch()
    feed(store).take(told(2), [replace(STAT, patient=(patient("A"),))], ANSWER)
    assert priorities(store) == [100]


def test_an_order_of_the_surviving_number_is_that_of_the_merged_ones_images(store: Store) -> None:
    store.receive(1)
    store.dispatch()
    feed(store).take(told(1), [replace(STAT, patient=(patient("B"),))], ANSWER)
    assert priorities(store) == [0]
    merge(store, 2, ME, patient("B"))
    matcher(store).match_new()
    assert priorities(store) == [100]


def test_an_order_of_somebody_else_is_not_led_to_the_study_by_a_merge(store: Store) -> None:
    store.receive(1)
    store.dispatch()
    feed(store).take(told(1), [replace(STAT, patient=(patient("B"),))], ANSWER)
    merge(store, 2, ME, patient("B"), Demographics(birth_date="19990101"))
    matcher(store).match_new()
    assert priorities(store) == [0]


@pytest.mark.parametrize(
    ("who", "keyword"),
    [
        (Demographics(birth_date="19640813"), "PatientBirthDate"),
        (Demographics(family="Mustermann", given="Erika"), "PatientName"),
        (Demographics(sex="M"), "PatientSex"),
        (Demographics(family="MUSTER", given="erika", birth_date="19640812", sex="F"), None),
        (Demographics(), None),
    ],
)
def test_a_corrected_patient_is_told_where_a_study_says_otherwise(
    store: Store, who: Demographics, keyword: str | None
) -> None:
    store.receive(1)
    feed(store).take(told(), [Updated(patient=(ME,), who=who)], ANSWER)
    lines = [line for line in story(store) if line.startswith("patient corrected")]
    assert lines == ([] if keyword is None else [f"patient corrected by ris: {keyword}"])
    assert (merges(store).questioned_at(STUDY) is None) == (keyword is None)


def test_no_story_names_a_patient(store: Store) -> None:
    store.receive(1)
    feed(store).take(told(1), [STAT, Updated(patient=(ME,), who=Demographics(sex="M"))], ANSWER)
    merge(store, 2, ME, patient("OVR-000777"))
    written: list[Any] = story(store)
    assert not any(secret in line for line in written for secret in (*PATIENT.values(), "777"))
