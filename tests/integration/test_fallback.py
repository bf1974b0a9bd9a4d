"""An archive refuses a form of a result, and is given another one: once, killed anywhere."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy.engine.default as dialect
from pydicom import dcmread

from inference import phantoms
from inference.card import Card, Input, load
from inference.results.objects import Equipment
from inference.results.profile import PROFILES
from inference.selection import Selection
from inference.testing import ThresholdServer
from integrations.pacs.peer import DicomPeer
from integrations.pacs.query import DicomArchiveIndex
from integrations.pacs.storage import StorageDestination
from node.cli.models import REPOSITORY
from node.clock import SystemClock
from node.core.form import Wish
from node.core.job import Readiness
from node.core.study import Arrival
from node.dicom.header import read_header
from node.pipeline.analyse import Bench, analyse_next
from node.pipeline.confirm import Confirmer, confirm_next
from node.pipeline.deliver import OtherForms, Outlet, deliver_next
from node.pipeline.forms import Workshop
from node.pipeline.receive import receive
from node.pipeline.reform import Reformer
from node.pipeline.translate import Source
from node.store import schema
from node.store.files import FileStore
from node.store.forms import FormStore
from node.store.ledger import balance
from tests.contract.stores import Store, sqlite
from tests.peers.orthanc import running_orthanc
from tests.peers.receiver import Receiver, running_receiver
from tests.unit.node.doubles import held
from tests.unit.node.samples import PATIENT

pytestmark = pytest.mark.peers

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABELMAP = "1.2.840.10008.5.1.4.1.1.66.7"
SHAPE = (8, 16, 16)
WISHES = {
    "pacs": Wish(names=("generic-pacs", "pictures"), configured="1"),
    "strict": Wish(names=("labelmap", "generic-pacs", "pictures"), configured="1"),
}


class Killed(BaseException):
    """The worker ends here."""


@dataclass(kw_only=True)
class Node:
    """A node in this process, with one archive."""

    store: Store
    files: FileStore
    card: Card
    name: str
    peer: DicomPeer

    @property
    def workshop(self) -> Workshop:
        return Workshop(
            equipment=Equipment(
                model_name="Overread", device_serial_number="1", software_versions=("0",)
            ),
            uid_root="2.25",
            source_of=lambda _: Source(default_issuer=None, time_zone=None),
            profiles=PROFILES,
            wishes={self.name: WISHES[self.name]},
            forms=FormStore(self.store.database),
        )

    @property
    def cards(self) -> Mapping[str, Card]:
        return {self.card.key: self.card}

    def order(self, number: int) -> None:
        """Receive a study and bring its job so far that it may be claimed."""
        affine = phantoms.grid(spacing_mm=(4, 4, 4))
        voxels = phantoms.sphere(affine, SHAPE, radius_mm=12)
        phantom = phantoms.Phantom(
            voxels=voxels, affine=affine, header=PATIENT, entropy=f"fallback {number}"
        )
        self.store.intake.association_opened(f"a{number}", "modality")
        for path in phantoms.write(phantom, self.store.folder / f"source{number}"):
            file = self.files.incoming(f"a{number}")
            file.write(path.read_bytes())
            with file.reading() as source:
                header = read_header(source)
            one = Arrival(
                header=header,
                file=file,
                association_id=f"a{number}",
                peer="modality",
            )
            receive(one, self.store.intake, lambda *_: None)
        (request,) = self.store.dispatch(
            model=self.card.key, version=self.card.version, destinations=(self.name,)
        )
        self.store.jobs.prepared(request.job_id, Readiness.READY, {})

    def analyse(self) -> None:
        bench = Bench(
            cards=self.cards, server=ThresholdServer(), workshop=self.workshop, lost_leases=99
        )
        while analyse_next(self.store.jobs, self.files, bench, held, SystemClock()):
            pass

    def deliver(self) -> None:
        """Bring what is owed, until nothing is."""
        wish = WISHES[self.name]
        reformer = Reformer(cards=self.cards, workshop=self.workshop, files=self.files)
        forms = OtherForms(
            names=wish.names,
            owe=reformer.owe,
            learn=lambda profile: self.workshop.forms.accept(self.name, wish.configured, profile),
        )
        destination = StorageDestination(self.peer, DicomArchiveIndex(self.peer))
        outlets = {self.name: Outlet(destination=destination, forms=forms)}
        while deliver_next(self.store.deliveries, self.files, outlets, held, 99):
            pass

    def confirm(self) -> None:
        """Let the archive be asked for what an interrupted delivery had brought."""
        index = DicomArchiveIndex(self.peer)
        archive = Confirmer(peer=self.name, request=None, within_s=60.0, index=index)
        while confirm_next(self.store.confirmations, archive, held):
            pass

    def profiles(self) -> list[str]:
        return [row.profile for row in self.store.rows(schema.result_set)]

    def delivered(self) -> dict[str, str]:
        """State of each delivery, by the form in which it was made."""
        forms = {row.result_set_id: row.profile for row in self.store.rows(schema.result_set)}
        return {forms[row.result_set_id]: row.state for row in self.store.rows(schema.delivery)}

    def differences(self) -> list[str]:
        found = balance(self.store.database, self.files.root, young_s=0.0)
        return [one.code for one in found.differences if one.code != "FILE-ADDED"]


@contextmanager
def node(folder: Path, card: Card, name: str, ae_title: str, port: int) -> Iterator[Node]:
    (folder / "files").mkdir(parents=True)
    open_one = sqlite(folder)
    store = Store(database=open_one(), open_another=open_one, folder=folder)
    anything = Input(name="volume", select=Selection())
    yield Node(
        store=store,
        files=FileStore(folder / "files"),
        card=replace(card, inputs=(anything,), spacing_mm=(4, 4, 4)),
        name=name,
        peer=DicomPeer(ae_title=ae_title, host="127.0.0.1", port=port),
    )
    store.close()


@pytest.fixture
def brain_card() -> Card:
    return load(REPOSITORY / "brain-extraction")


@pytest.fixture
def picky(tmp_path: Path) -> Iterator[Receiver]:
    """Give an archive that takes no Segmentation."""
    with running_receiver(tmp_path / "picky", refuses=frozenset({SEGMENTATION})) as receiver:
        yield receiver


def test_the_next_form_is_brought_and_made_at_once_from_then_on(
    tmp_path: Path, picky: Receiver, brain_card: Card
) -> None:
    with node(tmp_path / "node", brain_card, "pacs", picky.ae_title, picky.port) as one:
        one.order(1)
        one.analyse()
        assert one.profiles() == ["generic-pacs"]
        one.deliver()
        assert one.delivered() == {"pictures": "CONFIRMED"}
        assert one.profiles() == ["generic-pacs", "pictures"]
        assert SEGMENTATION not in {item.sop_class_uid for item in picky.received}
        assert one.differences() == []
        one.order(2)
        one.analyse()
        assert one.profiles()[2:] == ["pictures"]
        one.deliver()
        assert set(one.delivered().values()) == {"CONFIRMED"}
        assert {item.status for item in picky.received} == {0}
        assert len({item.sop_instance_uid for item in picky.received}) == len(picky.received)


class Killer:
    """Ends the worker before, or after, the n-th commit."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool) -> None:
        self.left, self._after = at, after
        commit = dialect.DefaultDialect.do_commit
        monkeypatch.setattr(dialect.DefaultDialect, "do_commit", self._around(commit))

    def _around(self, commit: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> None:
            self.left -= 1
            if self.left == 0 and not self._after:
                raise Killed
            commit(*arguments, **named)
            if self.left == 0:
                raise Killed

        return called


@pytest.mark.parametrize(
    "after", [pytest.param(False, marks=pytest.mark.long), True], ids=["before", "after"]
)
def test_killed_at_any_commit_each_object_arrives_once(
    tmp_path: Path,
    picky: Receiver,
    brain_card: Card,
    monkeypatch: pytest.MonkeyPatch,
    after: bool,
) -> None:
    point, killed = 0, True
    while killed:
        point += 1
        picky.reset()
        run = tmp_path / f"run{point}"
        with node(run, brain_card, "pacs", picky.ae_title, picky.port) as one:
            one.order(point)
            one.analyse()
            with monkeypatch.context() as patch:
                killer = Killer(patch, point, after=after)
                with suppress(Killed):
                    one.deliver()
                killed = killer.left <= 0
            one.store.expire_leases()
            one.deliver()
            one.confirm()
            assert one.delivered() == {"pictures": "CONFIRMED"}
            assert one.profiles() == ["generic-pacs", "pictures"]
            arrived = [item.sop_instance_uid for item in picky.received]
            assert len(arrived) == len(set(arrived)) > 0
            assert one.differences() == []
    assert point > 5


def test_orthanc_as_it_comes_takes_the_binary_form(tmp_path: Path, brain_card: Card) -> None:
    """Orthanc 1.10.1 does not know Label Map Segmentation Storage."""
    with (
        running_orthanc(tmp_path / "orthanc", unknown_classes=False) as orthanc,
        node(tmp_path / "node", brain_card, "strict", orthanc.ae_title, orthanc.dicom_port) as one,
    ):
        one.order(1)
        one.analyse()
        made = one.store.rows(schema.result_instance)
        assert LABELMAP in {item.sop_class_uid for item in made}
        one.deliver()
        assert one.delivered() == {"generic-pacs": "CONFIRMED"}
        (path,) = orthanc.download(tmp_path / "back", modality="SEG")
        assert dcmread(path).SOPClassUID == SEGMENTATION
        assert FormStore(one.store.database).accepted("strict", "1") == "generic-pacs"
