"""Retention: what may go goes whole and with a tombstone, wherever it is killed; nothing else ever does."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.core.job import Readiness
from node.core.retention import Policy
from node.core.study import Outcome
from node.errors import OutOfResources
from node.pipeline.expire import Expired, expire
from node.store import schema
from node.store.files import FileStore
from node.store.ledger import balance
from node.store.retention import RetentionStore
from node.store.safekeeping import held, release
from tests.contract.nodes import Node
from tests.contract.stores import ENGINES, Store
from tests.unit.node.samples import result_set

AT_ONCE = Policy(keep_days=0, unrouted_keep_days=0, rules={})
FOREVER = Policy(rules={})


@dataclass(kw_only=True)
class Kept(Node):
    """A node whose site lets things go."""

    def retention(self) -> RetentionStore:
        return RetentionStore(self.store.database, self.files.root)

    def expire(self, policy: Policy = AT_ONCE, *, dry: bool = False) -> Expired:
        return expire(self.retention(), policy, dry=dry)


@pytest.fixture(params=sorted(ENGINES))
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    """Give a node that holds a series of three, and one of one instance that no rule wanted."""
    with Kept.opened(request.param, tmp_path) as filled:
        for number in (1, 2, 3):
            assert filled.take(number) is Outcome.STORED
        yield filled


def test_what_is_delivered_goes_with_its_results_and_leaves_tombstones(node: Kept) -> None:
    node.published()
    node.confirmed()
    done = node.expire()
    assert (done.instances, len(done.series), dict(done.kept)) == (3, 1, {})
    assert node.on_disk() == node.folders() == set()
    assert node.store.rows(schema.instance) == []
    stones = node.store.rows(schema.tombstone)
    kinds = ["answer", *["instance"] * 3, "picture", *["result"] * 2]
    assert sorted(stone.kind for stone in stones) == kinds
    assert {stone.reason for stone in stones} == {"DELIVERED-AND-KEPT"}
    lines = {row.line: row for row in node.store.rows(schema.journal)}
    for stone in stones:
        if stone.kind == "instance":
            line = lines[stone.journal_line]
            assert (line.sop_instance_uid, line.digest) == (stone.subject, stone.digest)
            assert stone.size > 0
    assert "expired" in node.store.story()
    node.assert_adds_up()


def test_an_own_result_is_known_as_ours_after_it_expired(node: Kept) -> None:
    node.published()
    node.confirmed()
    node.expire()
    own = result_set().instances[0].sop_instance_uid
    assert node.take(9, SOPInstanceUID=own) is Outcome.OWN
    node.assert_adds_up()


def test_a_dry_run_changes_nothing(node: Kept) -> None:
    node.published()
    node.confirmed()
    before, counts = node.on_disk(), node.store.counts()
    assert node.expire(dry=True).instances == 3
    assert (node.on_disk(), node.store.counts()) == (before, counts)


def test_by_default_nothing_goes(node: Kept) -> None:
    node.published()
    node.confirmed()
    assert dict(node.expire(FOREVER).kept) == {"KEPT-FOREVER": 1}
    assert len(node.store.rows(schema.instance)) == 3


def owed(node: Kept) -> str:
    node.published()
    return "DELIVERY-OWED"


def scheduled(node: Kept) -> str:
    node.store.dispatch()
    return "JOB-OWED"


def in_progress(node: Kept) -> str:
    (request,) = node.store.dispatch()
    node.store.jobs.prepared(request.job_id, Readiness.READY, {})
    node.store.claimed()
    return "JOB-OWED"


def parked_job(node: Kept) -> str:
    (request,) = node.store.dispatch()
    node.store.jobs.prepared(request.job_id, Readiness.READY, {})
    node.store.jobs.cancel(node.store.claimed(), "MODEL-FAILED", "NaN")
    return "JOB-PARKED"


def parked_delivery(node: Kept) -> str:
    node.published()
    node.store.deliveries.park(node.store.claimed_delivery(), "EHR-403", "no scope")
    node.confirmed()
    return "DELIVERY-PARKED"


def waiting(node: Kept) -> str:
    return "STILL-WAITING"


def ready(node: Kept) -> str:
    node.store.close_all()
    return "STILL-WAITING"


def reopened(node: Kept) -> str:
    node.published()
    node.confirmed()
    node.take(4)
    return "STILL-WAITING"


@pytest.mark.parametrize(
    "stage",
    [owed, scheduled, in_progress, parked_job, parked_delivery, waiting, ready, reopened],
)
def test_what_may_never_go(node: Kept, stage: Callable[[Kept], str]) -> None:
    reason = stage(node)
    before = node.on_disk()
    assert dict(node.expire().kept) == {reason: 1}
    assert node.on_disk() == before


def test_what_is_committed_stays_while_it_is_held(node: Kept) -> None:
    node.published()
    node.confirmed()
    holding = RetentionStore(node.store.database, node.files.root, held)
    node.store.write(
        "INSERT INTO commitment_held (sop_instance_uid, until) VALUES ('2.25.3002', 4102444800.0)"
    )
    assert dict(expire(holding, AT_ONCE, dry=False).kept) == {"HELD-BY-COMMITMENT": 1}
    node.store.write("UPDATE commitment_held SET until = 1.0")
    assert expire(holding, AT_ONCE, dry=False).instances == 3


def test_what_changed_since_it_was_looked_at_stays(node: Kept) -> None:
    node.published()
    node.confirmed()
    store = node.retention()
    ((holding, _),) = store.holdings()
    node.take(4)
    assert not store.expire(holding, "DELIVERED-AND-KEPT")
    assert len(node.store.rows(schema.instance)) == 4
    node.assert_adds_up()


def test_a_series_with_a_missing_file_stays_for_the_ledger_to_tell(node: Kept) -> None:
    node.published()
    node.confirmed()
    path = node.files.root / node.store.rows(schema.instance)[2].path
    path.unlink()
    before = node.on_disk()
    assert dict(node.expire().kept) == {"CHANGED-MEANWHILE": 1}
    assert node.on_disk() == before
    found = balance(node.store.database, node.files.root)
    assert [one.code for one in found.differences] == ["FILE-GONE"]


def test_an_instance_that_is_sent_again_after_it_expired_is_new(node: Kept) -> None:
    node.published()
    node.confirmed()
    node.expire()
    assert node.take(1) is Outcome.STORED
    assert node.take(1) is Outcome.DUPLICATE
    node.assert_adds_up()
    assert len(node.store.intake.open_series()) == 1
    node.store.dispatch()
    assert dict(node.expire().kept) == {"JOB-OWED": 1}


def test_a_series_that_is_sent_again_whole_is_not_analysed_again_and_that_is_told(
    node: Kept,
) -> None:
    node.published()
    node.confirmed()
    node.expire()
    for number in (1, 2, 3):
        assert node.take(number) is Outcome.STORED
    node.store.dispatch()
    assert [row.state for row in node.store.rows(schema.job)] == ["COMPLETED"]
    told = [row.detail for row in node.store.rows(schema.event) if row.what == "not analysed again"]
    assert told == ["ALREADY-ANALYSED: brain-extraction 1.0.2 read the same instances"]
    node.assert_adds_up()
    assert node.expire().instances == 3  # and goes again when its days are over
    node.assert_adds_up()


def test_a_result_under_a_former_identity_keeps_nothing(node: Kept) -> None:
    node.published()
    node.store.write("UPDATE delivery SET state = 'PARKED', reason = 'IDENTITY-CORRECTED'")
    assert node.expire().instances == 3


def test_what_the_archive_has_committed_itself_is_held_no_more(node: Kept) -> None:
    node.published()
    node.confirmed()
    holding = RetentionStore(node.store.database, node.files.root, held)
    node.store.write(
        "INSERT INTO commitment_held (sop_instance_uid, until) VALUES ('2.25.3002', 4102444800.0)"
    )

    def released(*uids: str) -> int:
        with node.store.database.transaction() as (connection, now):
            return release(connection, now, uids, "pacs")

    assert released("2.25.3001") == 0
    assert dict(expire(holding, AT_ONCE, dry=False).kept) == {"HELD-BY-COMMITMENT": 1}
    assert released("2.25.3001", "2.25.3002") == 1
    assert node.store.story()[-1] == "commitment released"
    assert released("2.25.3002") == 0
    assert expire(holding, AT_ONCE, dry=False).instances == 3


def test_a_record_deleted_after_the_instance_was_sent_again_is_missed(node: Kept) -> None:
    node.published()
    node.confirmed()
    node.expire()
    assert node.take(1) is Outcome.STORED
    node.store.write("DELETE FROM instance")
    found = balance(node.store.database, node.files.root)
    assert [str(one).split(",")[0] for one in found.differences] == ["RECORD-GONE: journal line 4"]


def test_what_killed_workers_left_is_removed_and_nothing_else(node: Kept) -> None:
    node.published()
    assert node.take(5) is Outcome.STORED
    (request,) = node.store.dispatch()
    node.store.jobs.prepared(request.job_id, Readiness.READY, {})
    held = node.store.claimed().transaction_uid
    for claim in ("2.25.999", "2.25.998", held):
        node.files.keep_result(claim, "2.25.1.dcm", b"half a result")
    (node.files.root / "results" / "notes").mkdir()
    for claim in ("2.25.999", "2.25.900", held, "notes"):
        os.utime(node.files.root / "results" / claim, (1, 1))
    assert node.retention().remove_lost_claims() == 1
    left = {path.name for path in (node.files.root / "results").iterdir()}
    assert left == {"2.25.998", "2.25.900", held, "notes"}


class Killed(BaseException):
    """The process ends here: nothing that follows runs, and what is not committed is not there."""


class Killer:
    """Ends the process before, or after, the n-th call that changes disk or database."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool) -> None:
        self.left, self._after, self.calls = at, after, 0
        for owner, name in (
            (Path, "rename"),
            (Path, "unlink"),
            (Path, "rmdir"),
            (os, "fsync"),
            (os, "write"),
        ):
            monkeypatch.setattr(owner, name, self._around(getattr(owner, name)))
        import sqlalchemy.engine.default as dialect

        do_commit = dialect.DefaultDialect.do_commit
        monkeypatch.setattr(dialect.DefaultDialect, "do_commit", self._around(do_commit))

    def _around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls == self.left and not self._after:
                raise Killed
            result = call(*arguments, **named)
            if self.calls == self.left:
                raise Killed
            return result

        return called


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_point_nothing_is_lost_and_the_next_run_finishes(
    node: Kept, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, after: bool
) -> None:
    node.published()
    node.confirmed()
    node.store.close()
    shutil.copytree(tmp_path, tmp_path / "start", ignore=shutil.ignore_patterns("start"))
    point, ended = 0, False
    while not ended:
        point += 1
        place = tmp_path / f"run{point}"
        shutil.copytree(tmp_path / "start", place)
        open_one = _open(place)
        one = Kept(
            store=Store(database=open_one(), open_another=open_one, folder=place),
            files=FileStore(place / "files"),
        )
        with monkeypatch.context() as patch:
            Killer(patch, point, after=after)
            try:
                one.expire()
                ended = True
            except Killed:
                pass
        one.store.database.close()
        again = Kept(
            store=Store(database=open_one(), open_another=open_one, folder=place),
            files=FileStore(place / "files"),
        )
        again.assert_adds_up()  # before anything was recovered
        kept = len(again.store.rows(schema.instance))
        assert kept in {0, 3}
        again.retention().recover()
        again.assert_adds_up()
        assert len(again.on_disk()) == (9 if kept else 0)
        assert again.expire().instances == kept
        assert again.on_disk() == again.folders() == set()
        assert (again.files.root / "removals").stat().st_size % 2 == 0
        again.assert_adds_up()
        again.store.close()
    assert point > 15


def _open(folder: Path) -> Callable[[], Any]:
    from node.store.database import Database

    return lambda: Database(folder / "overread.db")


def test_a_disk_that_refuses_leaves_everything_as_it_was(
    node: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.published()
    node.confirmed()
    before = node.on_disk()
    with monkeypatch.context() as patch:
        real, calls = os.fsync, []

        def refuse(descriptor: int) -> None:
            calls.append(descriptor)
            if len(calls) == 1:
                raise OSError(5, "Input/output error")
            real(descriptor)

        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OutOfResources):
            node.expire()
    assert node.on_disk() == before
    node.assert_adds_up()


def test_two_runs_at_once_do_not_undo_each_other(node: Kept) -> None:
    node.published()
    node.confirmed()
    other = RetentionStore(node.store.another().database, node.files.root)
    ((holding, _),) = other.holdings()
    assert node.expire().instances == 3
    assert other.recover() == 0
    assert not other.expire(holding, "DELIVERED-AND-KEPT")
    node.assert_adds_up()
