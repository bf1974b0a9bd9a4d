"""In which form each destination is given results: what every database engine keeps of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from node.core.job import DeliveryClaim, ResultSet
from node.errors import LeaseLost
from node.store import schema
from node.store.forms import FormStore
from node.store.retractions import RetractionStore
from tests.contract.stores import ENGINES, EXPIRED, Store, opened
from tests.unit.node.samples import STUDY, result_set


@pytest.fixture(params=sorted(ENGINES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened(request.param, tmp_path) as empty:
        yield empty


@pytest.fixture
def forms(store: Store) -> FormStore:
    return FormStore(store.database)


def form(number: int, profile: str, *destinations: str) -> ResultSet:
    return replace(
        result_set(number),
        profile=profile,
        destinations=destinations,
        answer="results/2.25.900/answer.npz" if number == 1 else None,
    )


def published(store: Store, *result_sets: ResultSet) -> None:
    store.ready()
    store.jobs.publish(store.claimed(), *result_sets)


def claimed_of(store: Store, destination: str) -> DeliveryClaim:
    while (claim := store.claimed_delivery()).destination != destination:
        pass
    return claim


def test_each_result_set_of_a_study_has_ten_numbers_of_its_own(forms: FormStore) -> None:
    given = [
        forms.series_number("job 1", STUDY, "ohif"),
        forms.series_number("job 1", STUDY, "pictures"),
        forms.series_number("job 2", STUDY, "ohif"),
        forms.series_number("job 3", "2.25.9", "ohif"),
        forms.series_number("job 1", STUDY, "pictures"),
    ]
    assert given == [9000, 9010, 9020, 9000, 9010]


def test_workers_that_ask_at_once_get_different_numbers(store: Store) -> None:
    workers = [FormStore(store.another().database) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(one.series_number, f"job {number}", STUDY, "ohif")
            for number, one in enumerate(workers * 5)
        ]
        numbers = {future.result() for future in asked}
    assert numbers == {9000 + 10 * n for n in range(20)}


def test_each_destination_is_owed_its_form_and_who_joined_meanwhile_the_first(
    store: Store,
) -> None:
    published(store, form(1, "ohif", "ehr"), form(2, "pictures", "pacs"))
    claims = {
        claim.destination: claim for claim in (store.claimed_delivery(), store.claimed_delivery())
    }
    assert {name: claim.profile for name, claim in claims.items()} == {
        "ehr": "ohif",
        "pacs": "pictures",
    }
    positions = {row.profile: row.position for row in store.rows(schema.result_set)}
    assert positions == {"ohif": 0, "pictures": 1}


def test_a_destination_that_no_form_names_gets_the_first(store: Store) -> None:
    published(store, form(1, "ohif"), form(2, "pictures"))
    assert {claim.profile for claim in (store.claimed_delivery(), store.claimed_delivery())} == {
        "ohif"
    }


def test_several_forms_are_one_revision_and_name_their_predecessors(store: Store) -> None:
    published(store, form(1, "ohif", "pacs"), form(2, "pictures", "ehr"))
    store.receive(4)
    store.ready_again()
    claim = store.claimed()
    assert claim.revision == 1
    assert [(one.profile, one.sop_instance_uid) for one in claim.earlier] == [
        ("ohif", "2.25.12"),
        ("pictures", "2.25.22"),
    ]


def test_another_form_is_owed_instead_and_the_claim_is_over(store: Store, forms: FormStore) -> None:
    published(store, form(1, "labelmap"))
    claim = claimed_of(store, "pacs")
    origin = forms.origin(claim)
    assert origin is not None
    assert (origin.answer, origin.job.job_id) == ("results/2.25.900/answer.npz", claim.job_id)
    assert forms.reform(claim, form(2, "pictures"))
    with pytest.raises(LeaseLost):
        store.deliveries.renew(claim)
    again = claimed_of(store, "pacs")
    assert (again.delivery_id, again.profile, again.attempt) == (claim.delivery_id, "pictures", 1)
    assert [one.sop_instance_uid for one, _ in again.instances] == ["2.25.21", "2.25.22"]
    assert store.story()[-1] == "other form"


def test_a_form_that_is_there_already_is_owed_as_it_is(store: Store, forms: FormStore) -> None:
    published(store, form(1, "labelmap", "pacs"), form(2, "pictures", "ehr"))
    assert not forms.reform(claimed_of(store, "pacs"), form(2, "pictures"))
    assert len(store.rows(schema.result_set)) == 2
    assert claimed_of(store, "pacs").result_set_id == form(2, "pictures").result_set_id


def test_a_loser_gives_nobody_another_form(store: Store, forms: FormStore) -> None:
    published(store, form(1, "labelmap"))
    loser = claimed_of(store.another(lease_s=EXPIRED), "pacs")
    winner = claimed_of(store, "pacs")
    before = store.counts()
    with pytest.raises(LeaseLost):
        forms.reform(loser, form(2, "pictures"))
    assert store.counts() == before
    assert forms.reform(winner, form(2, "pictures"))


def test_what_was_retracted_meanwhile_gets_no_other_form(store: Store, forms: FormStore) -> None:
    published(store, form(1, "labelmap"))
    claim = claimed_of(store, "pacs")
    store.write("UPDATE result_set SET state = 'SUPERSEDED'")
    assert not forms.reform(claim, form(2, "pictures"))
    rows = {row.destination: (row.state, row.reason) for row in store.rows(schema.delivery)}
    assert rows["pacs"] == ("PARKED", "SUPERSEDED")
    assert len(store.rows(schema.result_set)) == 1


def test_the_bell_of_the_other_form_is_rung(store: Store, forms: FormStore) -> None:
    published(store, form(1, "labelmap"))
    claim = claimed_of(store, "pacs")
    forms.reform(claim, form(2, "pictures"))
    with store.database.reading() as (connection, _):
        subjects = connection.execute(select(schema.outbox.c.subject)).scalars().all()
    assert claim.delivery_id in subjects


def test_what_was_accepted_is_remembered_until_the_configuration_is_another(
    forms: FormStore,
) -> None:
    assert forms.accepted("pacs", "now") is None
    forms.accept("pacs", "now", "ohif-binary")
    assert forms.accepted("pacs", "now") == "ohif-binary"
    assert forms.accepted("pacs", "later") is None
    forms.accept("pacs", "later", "pictures")
    assert forms.accepted("pacs", "later") == "pictures"
    assert forms.accepted("pacs", "now") is None


def test_a_form_of_a_retracted_result_is_not_made(store: Store, forms: FormStore) -> None:
    published(store, form(1, "labelmap"))
    claim = claimed_of(store, "pacs")
    retractions = RetractionStore(store.database)
    retractions.retract(retractions.results(STUDY), "wrong model")
    with pytest.raises(LeaseLost):
        forms.reform(claim, form(2, "pictures"))
