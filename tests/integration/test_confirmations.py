"""Results that an archive commits, or lies about: the node's own parts against an archive that can do both."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from node import bootstrap
from node.bootstrap.confirming import confirmers
from node.bootstrap.outlets import outlets
from node.core.commitment import CommitmentRequest, Reference
from node.core.job import ResultInstance, ResultSet
from node.dicom.listener import open_port
from node.pipeline.deliver import deliver_next
from node.pipeline.records import as_record
from node.settings import Settings
from node.store import schema
from node.store.database import Database
from node.store.deliveries import DeliveryStore
from node.store.files import FileStore
from tests.contract.stores import Deadly, Killed, Store, sqlite
from tests.peers import wait_for
from tests.peers.committer import Committer, Report, running_committer
from tests.peers.orthanc import Modality, running_orthanc
from tests.unit.integrations.samples import report, write_instances
from tests.unit.node.doubles import held
from tests.unit.node.samples import MR

pytestmark = pytest.mark.peers

OF = report(31)
CLASSES = ("SEG", "SR", "SR")
STRIDE = int(os.environ.get("OVERREAD_KILL_STRIDE", "8"))
"""Every how many transactions a process is killed; `make kill-test` kills at each."""


@dataclass(kw_only=True)
class Node:
    """One node: its store, and its steps as they are wired, in this process."""

    settings: Settings
    store: Store

    def deliver(self, database: Database | None = None) -> bool:
        opened = database or self.store.database
        return deliver_next(
            DeliveryStore(opened, 60.0),
            FileStore(self.settings.node.data / "files"),
            outlets(self.settings, opened),
            held,
            3,
        )

    def confirm(self, database: Database | None = None) -> bool:
        (step,) = confirmers(self.settings, database or self.store.database)
        return step(held)

    def settle(self) -> None:
        """Let time pass until nothing is owed any more."""
        for _ in range(20):
            self.store.expire_leases()
            self.store.write("UPDATE delivery SET due_at = 1 WHERE state = 'OWED'")
            self.store.write("UPDATE confirmation SET due_at = 1 WHERE state = 'OWED'")
            if not (self.deliver() or self.confirm()):
                return
        pytest.fail("something is owed for ever")

    def state(self) -> tuple[str, str | None]:
        row = self.store.one(schema.delivery)
        return row.state, row.reason

    @contextlib.contextmanager
    def listening(self) -> Iterator[int]:
        """Run the listener as it is wired; give its port."""
        with open_port("127.0.0.1", 0) as listening:
            listener = bootstrap.listener(self.settings)
            listener.start(listening)
            try:
                yield int(listening.getsockname()[1])
            finally:
                listener.drain()


def configured(
    folder: Path, port: int | None, ae_title: str = "COMMITTER", **more: Any
) -> Settings:
    peer = {
        "name": "pacs",
        "roles": ["archive", "source"],
        "ae_title": ae_title,
        "host": "127.0.0.1",
        "port": port,
        "timeout_s": 10.0,
        "commitment": {"linger_s": 0.5},
    }
    return Settings.model_validate({"node": {"data": str(folder)}, "peer": [{**peer, **more}]})


def node_of(settings: Settings) -> Node:
    """Make a node that owes a SEG and two SRs to its archive."""
    data = settings.node.data
    data.mkdir(parents=True)
    opened = sqlite(data)
    store = Store(database=opened(), open_another=opened, folder=data)
    folder = data / "files" / "results" / "2.25.900"
    folder.mkdir(parents=True)
    made = [
        ResultInstance(
            sop_instance_uid=one.sop_instance_uid,
            sop_class_uid=one.sop_class_uid,
            series_instance_uid=one.series_instance_uid,
            transfer_syntax_uid=one.transfer_syntax_uid,
            kind=kind,
            path=f"results/2.25.900/{one.path.name}",
            digest="0" * 64,
        )
        for one, kind in zip(
            write_instances(folder, OF, uids=("1", "2", "3")), CLASSES, strict=True
        )
    ]
    store.ready(destinations=("pacs",))
    store.jobs.publish(
        store.claimed(),
        ResultSet(
            result_set_id="2.25.31",
            profile="generic-pacs",
            instances=tuple(made),
            report=as_record(OF),
            picture=None,
            seconds={},
            server="a double",
        ),
    )
    # the study of the result is the report's here, not that of the samples
    store.write("UPDATE result_set SET study_instance_uid = :uid", uid=OF.study.study_instance_uid)
    return Node(settings=settings, store=store)


UIDS = [f"{OF.result_set_uid}.{number}" for number in (1, 2, 3)]


@pytest.fixture
def archive() -> Iterator[Committer]:
    with running_committer() as running:
        yield running


@pytest.fixture
def node(tmp_path: Path, archive: Committer) -> Iterator[Node]:
    made = node_of(configured(tmp_path / "node", archive.port))
    yield made
    made.store.close()


@pytest.mark.parametrize("way", ["before", "same"])
def test_a_report_on_our_own_association_confirms(
    node: Node, archive: Committer, way: Report
) -> None:
    archive.report = way
    assert node.deliver()
    assert node.state() == ("SENT", None)
    (stored,) = node.store.rows(schema.confirmation)
    assert node.confirm()
    assert archive.asked == [(stored.transaction_uid, tuple(UIDS))]
    assert archive.reported == [0]
    assert node.state() == ("CONFIRMED", None)
    assert archive.arrivals == UIDS


def test_a_report_hours_later_and_after_a_restart_confirms(node: Node, archive: Committer) -> None:
    archive.report = "never"
    node.deliver()
    node.confirm()
    assert node.state() == ("SENT", None)
    assert not node.confirm()  # it is awaited
    reborn = Node(settings=node.settings, store=node.store.another())
    with reborn.listening() as port:
        archive.node_port = port
        archive.report_late()
        assert archive.reported == [0]
        assert reborn.state() == ("CONFIRMED", None)
        archive._waiting = [("2.25.404", [archive._answer(_item(UIDS[0]))])]
        archive.report_late()
        assert archive.reported == [0, 0x0115]  # no transaction of ours


def _item(uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = MR
    item.ReferencedSOPInstanceUID = uid
    return item


@pytest.mark.parametrize("lies", [1, 2])
def test_only_what_the_archive_forgot_is_sent_again(
    node: Node, archive: Committer, lies: int
) -> None:
    archive.report = "before"
    archive.forget = [UIDS[1]] * lies
    node.deliver()
    node.confirm()
    assert node.state() == ("OWED", "COMMITMENT-0112")
    node.settle()
    assert node.state() == ("CONFIRMED", None)
    assert archive.arrivals == [*UIDS, *[UIDS[1]] * lies]
    assert set(archive.stored) == {*UIDS}
    assert len({uid for uid, _ in archive.asked}) == lies + 1


def test_an_archive_that_always_lies_is_never_believed(node: Node, archive: Committer) -> None:
    archive.report = "before"
    archive.forget = [UIDS[2]] * 99
    node.settle()
    assert node.state() == ("PARKED", "COMMITMENT-0112")
    assert archive.arrivals == [*UIDS, *[UIDS[2]] * 3]


def test_a_lost_answer_is_asked_again_under_the_same_transaction(
    node: Node, archive: Committer
) -> None:
    archive.report = "never"
    archive.answers = [0x0213, 0x0131]
    node.deliver()
    node.confirm()
    assert node.state() == ("SENT", None)
    node.store.write("UPDATE confirmation SET due_at = 1")
    node.confirm()
    first, second = archive.asked
    assert first == second
    (row,) = node.store.rows(schema.confirmation)
    assert row.state == "ASKED"


def test_without_a_report_in_time_the_archive_is_read_back(node: Node, archive: Committer) -> None:
    archive.report = "never"
    node.deliver()
    node.confirm()
    node.store.write("UPDATE confirmation SET due_at = 1")
    assert node.confirm()
    assert node.state() == ("SENT", None)
    assert node.confirm()
    assert node.state() == ("CONFIRMED", None)
    archive.fails = {UIDS[0]: 0x0110}  # and it says later what it should have said
    del archive.stored[UIDS[0]]
    archive._waiting = [
        (uid, [archive._answer(_item(one)) for one in uids]) for uid, uids in archive.asked
    ]
    with node.listening() as port:
        archive.node_port = port
        archive.report_late()
    assert node.state()[0] == "OWED"


def test_an_archive_that_forgot_before_it_is_read_back_is_sent_what_is_missing(
    node: Node, archive: Committer
) -> None:
    archive.report = "never"
    archive.forget = [UIDS[0]]
    archive.answers = [0x0211]  # it has no commitment after all
    node.settle()
    assert node.state()[0] == "SENT"
    node.store.write("UPDATE confirmation SET due_at = 1")
    node.settle()
    node.store.write("UPDATE confirmation SET due_at = 1")
    node.settle()
    assert node.state()[0] == "CONFIRMED"
    assert archive.arrivals == [*UIDS, UIDS[0]]


def test_what_can_be_asked_neither_way_is_parked(tmp_path: Path) -> None:
    with running_committer(find=False, commits=False) as archive:
        node = node_of(configured(tmp_path / "node", archive.port))
        node.settle()
        assert node.state() == ("PARKED", "NOT-CONFIRMED")
        node.store.close()


def test_what_the_archive_commits_itself_is_held_no_longer(node: Node, archive: Committer) -> None:
    archive.report = "before"
    node.settle()
    references = tuple(Reference(f"2.25.300{number}", MR) for number in (1, 2))
    node.store.commitments.ask(
        CommitmentRequest(peer="ct", transaction_uid="2.25.9", references=references)
    )
    claim = node.store.commitments.claim()
    assert claim is not None
    node.store.commitments.answer(claim, {}, 1e6)
    archive.stored["2.25.3001"] = b"its own way"
    node.store.write("UPDATE study SET peer = 'pacs'")
    assert node.confirm()
    with node.store.database.reading() as (_, now):
        rows = node.store.rows(schema.commitment_held)
        assert {row.sop_instance_uid for row in rows if row.until > now} == {"2.25.3002"}


# --- killed between any two things that are durable


@pytest.mark.parametrize("after", [False, True])
def test_a_worker_or_keeper_killed_anywhere_leaves_one_result_and_no_false_word(
    tmp_path: Path, archive: Committer, after: bool
) -> None:
    archive.report = "before"
    at, died = 1, 0
    while True:
        archive.stored.clear()
        archive.arrivals.clear()
        archive.forget = [UIDS[1]]
        node = node_of(configured(tmp_path / f"node-{at}", archive.port))
        deadly: Any = Deadly(node.store.database, at, after=after)
        killed = True
        with contextlib.suppress(Killed):
            node.deliver(deadly)
            node.confirm(deadly)
            killed = False
        died += killed
        if node.state()[0] == "CONFIRMED":
            assert set(archive.stored) == {*UIDS}
        node.settle()
        assert node.state()[0] == "CONFIRMED"
        assert set(archive.stored) == {*UIDS}
        # one that was in doubt is asked for before it would go again
        assert len(archive.arrivals) == 3 + 1
        node.store.close()
        shutil.rmtree(tmp_path / f"node-{at}")
        if not killed:
            break
        at += STRIDE
    assert died >= 12 // STRIDE


# --- a real archive


def test_orthanc_commits_what_it_has_and_reports_to_our_listener(tmp_path: Path) -> None:
    with running_orthanc(tmp_path / "orthanc") as orthanc:
        node = node_of(configured(tmp_path / "node", orthanc.dicom_port, "ORTHANC"))
        with node.listening() as port:
            orthanc.register(Modality(name="overread", ae_title="OVERREAD", port=port))
            node.deliver()
            gone = next(one for one in orthanc.instances() if one.sop_instance_uid == UIDS[1])
            orthanc._rest("DELETE", f"/instances/{gone.orthanc_id}")  # it lost one since
            node.confirm()
            _wait(lambda: node.state()[0] == "OWED", "the failure")
            node.store.write("UPDATE delivery SET due_at = 1")
            assert node.deliver()
            node.confirm()
            _wait(lambda: node.state()[0] == "CONFIRMED", "the commitment")
        assert orthanc.count() == 3
        first, second = node.store.rows(schema.confirmation)
        assert first.failures == {UIDS[1]: 0x0112}
        assert (first.state, second.state) == ("FAILED", "CONFIRMED")
        assert {second.way} == {"COMMITMENT"}
        node.store.close()


def _wait(condition: Callable[[], object], what: str) -> None:
    wait_for(condition, timeout_s=30, what=what)
