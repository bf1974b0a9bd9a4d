"""Which form of a result is brought where, and what is tried when a destination refuses one."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from inference.errors import AnswerUnreadable, CardInvalid, GateRefused
from integrations.testing import MemoryArchive
from node.core.form import notice_form
from node.core.job import DeliveryClaim, DeliveryState, InstanceState
from node.errors import LeaseLost
from node.pipeline.deliver import OtherForms, Outlet, deliver_next
from node.pipeline.records import as_record
from tests.unit.integrations.samples import REPORT
from tests.unit.node.doubles import MemoryDeliveries, MemoryFiles, held
from tests.unit.node.samples import delivery_claim, result_set

NAMES = ("labelmap", "generic-pacs", "pictures")
NOTHING: frozenset[tuple[str, str]] = frozenset()


@dataclass
class Forms:
    """What a destination was owed instead, and what was learnt of it."""

    owed: list[str] = field(default_factory=list)
    learnt: list[str] = field(default_factory=list)
    failure: Exception | None = None
    can: bool = True

    def owe(self, claim: DeliveryClaim, profile: str) -> bool:
        if self.failure is not None:
            raise self.failure
        self.owed.append(profile)
        return self.can


@pytest.fixture
def files(tmp_path: Path) -> MemoryFiles:
    for one in result_set().instances:
        path = tmp_path / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return MemoryFiles(root=tmp_path)


def run(
    files: MemoryFiles, archive: MemoryArchive, forms: Forms | None, profile: str, **changes: Any
) -> MemoryDeliveries:
    claim = delivery_claim(as_record(REPORT), profile=profile, **changes)
    deliveries = MemoryDeliveries(owed=[claim])
    other = (
        None if forms is None else OtherForms(names=NAMES, owe=forms.owe, learn=forms.learnt.append)
    )
    outlets = {"pacs": Outlet(destination=archive, forms=other)}
    assert deliver_next(deliveries, files, outlets, held, 3)
    return deliveries


@pytest.mark.parametrize(
    ("profile", "after"), [("labelmap", "generic-pacs"), ("generic-pacs", "pictures")]
)
def test_when_a_form_is_refused_the_next_one_is_owed(
    files: MemoryFiles, profile: str, after: str
) -> None:
    forms, archive = Forms(), MemoryArchive(takes=NOTHING)
    deliveries = run(files, archive, forms, profile)
    assert forms.owed == [after]
    assert archive.sent == []
    assert [call[0] for call in deliveries.calls] == ["renew"]
    assert forms.learnt == []


def test_when_the_last_form_is_refused_the_delivery_is_parked(files: MemoryFiles) -> None:
    forms = Forms()
    deliveries = run(files, MemoryArchive(takes=NOTHING), forms, "pictures")
    assert forms.owed == []
    assert deliveries.calls[-1][:3] == ("park", "delivery-1", "NO-PRESENTATION-CONTEXT")


def test_a_destination_without_other_forms_is_parked(files: MemoryFiles) -> None:
    deliveries = run(files, MemoryArchive(takes=NOTHING), None, "labelmap")
    assert deliveries.calls[-1][:3] == ("park", "delivery-1", "NO-PRESENTATION-CONTEXT")


@pytest.mark.parametrize(
    ("profile", "learnt"),
    [("labelmap", []), ("generic-pacs", ["generic-pacs"]), ("pictures", ["pictures"])],
)
def test_a_form_that_was_taken_after_others_is_remembered(
    files: MemoryFiles, profile: str, learnt: list[str]
) -> None:
    forms = Forms()
    deliveries = run(files, MemoryArchive(), forms, profile)
    assert forms.learnt == learnt
    assert deliveries.calls[-1][2] is DeliveryState.CONFIRMED


def test_a_form_that_is_not_the_destinations_is_not_even_tried(files: MemoryFiles) -> None:
    forms, archive = Forms(), MemoryArchive()
    run(files, archive, forms, "weasis")
    assert (forms.owed, archive.sent) == (["labelmap"], [])


def test_a_notice_has_no_other_form(files: MemoryFiles) -> None:
    """An answer of its job's model may be there by now: its result is not brought as if it were the notice."""
    forms, archive = Forms(), MemoryArchive()
    run(files, archive, forms, notice_form("labelmap"))
    assert (forms.owed, len(archive.sent)) == ([], 2)
    deliveries = run(files, MemoryArchive(takes=NOTHING), forms, notice_form("labelmap"))
    assert deliveries.calls[-1][:3] == ("park", "delivery-1", "NO-PRESENTATION-CONTEXT")
    assert forms.owed == []


@pytest.mark.parametrize("profile", ["labelmap", "weasis"])
def test_of_two_forms_never_both_halves_arrive(files: MemoryFiles, profile: str) -> None:
    """One object of the claimed form may be there: no other form is brought beside it."""
    objects = result_set().instances
    begun = ((objects[0], InstanceState.SENDING), (objects[1], InstanceState.OWED))
    forms = Forms()
    deliveries = run(files, MemoryArchive(takes=NOTHING), forms, profile, instances=begun)
    assert forms.owed == []
    assert deliveries.calls[-1][:3] == ("park", "delivery-1", "NO-PRESENTATION-CONTEXT")


def test_a_form_that_cannot_be_made_any_more_parks_what_is_refused(files: MemoryFiles) -> None:
    deliveries = run(files, MemoryArchive(takes=NOTHING), Forms(can=False), "labelmap")
    assert deliveries.calls[-1][:3] == ("park", "delivery-1", "NO-PRESENTATION-CONTEXT")


def test_a_form_that_cannot_be_made_any_more_is_not_waited_for(files: MemoryFiles) -> None:
    archive = MemoryArchive()
    deliveries = run(files, archive, Forms(can=False), "generic")
    assert deliveries.calls[-1][2] is DeliveryState.CONFIRMED
    assert len(archive.sent) == 2


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (GateRefused(("fault",)), "RESULT-REFUSED-BY-GATE"),
        (AnswerUnreadable("cut"), "ANSWER-UNREADABLE"),
        (CardInvalid("gone"), "CARD-INVALID"),
    ],
)
def test_a_form_that_is_not_fit_to_be_made_parks_the_delivery(
    files: MemoryFiles, failure: Exception, reason: str
) -> None:
    deliveries = run(files, MemoryArchive(takes=NOTHING), Forms(failure=failure), "labelmap")
    assert deliveries.calls[-1][:3] == ("park", "delivery-1", reason)


def test_a_lease_that_is_lost_meanwhile_is_the_other_workers_business(files: MemoryFiles) -> None:
    deliveries = run(
        files, MemoryArchive(takes=NOTHING), Forms(failure=LeaseLost("gone")), "labelmap"
    )
    assert [call[0] for call in deliveries.calls] == ["renew"]
