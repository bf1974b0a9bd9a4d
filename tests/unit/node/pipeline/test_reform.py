"""A result in another form, from the answer that was kept; no network runs again."""

from dataclasses import replace
from pathlib import Path

import pytest

from inference import phantoms
from inference.card import Card, Input
from inference.errors import AnswerUnreadable, CardInvalid, SeriesUnusable
from inference.selection import Selection
from inference.testing import ThresholdServer
from node.clock import SetClock
from node.core.form import EarlierReport, Wish
from node.core.job import Claim, DeliveryClaim, Origin, ResultSet
from node.errors import LeaseLost
from node.pipeline.analyse import Bench, analyse_next
from node.pipeline.forms import Workshop
from node.pipeline.reform import Reformer
from node.store.files import FileStore
from tests.unit.node.doubles import MemoryForms, MemoryJobs, held
from tests.unit.node.pipeline.test_analyse import SHAPE, workshop
from tests.unit.node.samples import PATIENT, claim, delivery_claim

EARLIER = tuple(
    EarlierReport(
        profile=profile,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        sop_instance_uid=f"2.25.{number}",
        series_instance_uid=f"2.25.{number}.1",
    )
    for number, profile in ((71, "ohif"), (72, "pictures"))
)


class Node:
    """One job that is done in one form, and what makes others of it."""

    def __init__(self, root: Path, card: Card) -> None:
        self.files = FileStore(root)
        affine = phantoms.grid(spacing_mm=(4, 4, 4))
        voxels = phantoms.sphere(affine, SHAPE, radius_mm=12)
        phantom = phantoms.Phantom(voxels=voxels, affine=affine, header=PATIENT)
        paths = phantoms.write(phantom, root / "instances")
        self.job: Claim = claim(
            study_instance_uid=phantom.uid("study"),
            series_instance_uid=phantom.uid("series"),
            version=card.version,
            revision=1,
            earlier=EARLIER,
            files={"volume": tuple(str(path.relative_to(root)) for path in paths)},
            identity={**PATIENT, "StudyDate": "20261015", "StudyTime": "101500"},
        )
        anything = Input(name="volume", select=Selection())
        self.card = replace(card, inputs=(anything,), spacing_mm=(4, 4, 4))
        self.forms = MemoryForms()
        self.workshop: Workshop = workshop(forms=self.forms)
        self.server = ThresholdServer()

    def analysed(self, *profiles: str) -> tuple[ResultSet, ...]:
        """Do the job for one archive of each profile."""
        wishes = {name: Wish(names=(name,), configured="") for name in profiles}
        bench = Bench(
            cards={self.card.key: self.card},
            server=self.server,
            workshop=replace(self.workshop, wishes=wishes),
            lost_leases=3,
        )
        jobs = MemoryJobs(owed=[replace(self.job, destinations=profiles)])
        assert analyse_next(jobs, self.files, bench, held, SetClock())
        answer = jobs.forms[0].answer
        assert answer is not None
        # by now there is one result more, and another one that is current
        later = replace(self.job, transaction_uid="", revision=7, earlier=EARLIER[:1])
        self.forms.origins[self.job.job_id] = Origin(job=later, answer=answer)
        return jobs.forms

    def reformer(self, **changes: Card) -> Reformer:
        cards = {self.card.key: self.card, **changes}
        return Reformer(cards=cards, workshop=self.workshop, files=self.files)

    def read(self, made: ResultSet) -> list[bytes]:
        return [(self.files.root / one.path).read_bytes() for one in made.instances]


@pytest.fixture
def node(tmp_path: Path, brain_card: Card) -> Node:
    return Node(tmp_path, brain_card)


@pytest.fixture
def delivery() -> DeliveryClaim:
    return delivery_claim({}, profile="ohif", transaction_uid="2.25.555")


@pytest.mark.parametrize("profile", ["pictures", "ohif-binary", "weasis"])
def test_it_is_the_one_that_would_have_been_made_at_once_byte_for_byte(
    node: Node, delivery: DeliveryClaim, profile: str
) -> None:
    _, at_once = node.analysed("ohif", profile)
    asked = len(node.server.calls)
    assert node.reformer().owe(delivery, profile)
    again = node.forms.reformed
    assert again is not None
    assert node.read(again) == node.read(at_once)
    assert again.report == at_once.report
    assert again.result_set_id == at_once.result_set_id
    assert len(node.server.calls) == asked
    assert all(one.path.startswith("results/2.25.555/") for one in again.instances)


def test_a_form_that_was_there_already_leaves_no_files(node: Node, delivery: DeliveryClaim) -> None:
    node.analysed("ohif")
    node.forms.there.add((delivery.job_id, "pictures"))
    node.reformer().owe(delivery, "pictures")
    assert not (node.files.root / "results/2.25.555").exists()


def test_a_lease_that_is_lost_leaves_no_files(node: Node, delivery: DeliveryClaim) -> None:
    node.analysed("ohif")
    node.forms.failure = LeaseLost("gone")
    with pytest.raises(LeaseLost):
        node.reformer().owe(delivery, "pictures")
    assert not (node.files.root / "results/2.25.555").exists()


def test_without_its_answer_nothing_is_made(node: Node, delivery: DeliveryClaim) -> None:
    assert not node.reformer().owe(delivery, "pictures")
    (made,) = node.analysed("ohif")
    answer = node.files.root / str(made.answer)
    whole = answer.read_bytes()
    answer.write_bytes(whole[:-40])
    with pytest.raises(AnswerUnreadable):
        node.reformer().owe(delivery, "pictures")
    answer.unlink()
    assert not node.reformer().owe(delivery, "pictures")
    assert node.forms.reformed is None


def test_another_version_of_the_model_makes_no_form_of_an_answer_that_is_not_its(
    node: Node, delivery: DeliveryClaim
) -> None:
    node.analysed("ohif")
    newer = {node.card.key: replace(node.card, version="9")}
    with pytest.raises(CardInvalid):
        node.reformer(**newer).owe(delivery, "pictures")


def test_without_the_images_nothing_is_made(node: Node, delivery: DeliveryClaim) -> None:
    node.analysed("ohif")
    for path in (node.files.root / "instances").rglob("*.dcm"):
        path.unlink()
    with pytest.raises(SeriesUnusable):
        node.reformer().owe(delivery, "pictures")
