"""The conservation of instances: every kind of difference is found and named."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.core.job import Readiness
from node.core.study import Outcome
from node.pipeline.receive import receive
from node.store import schema
from node.store.files import FileStore
from node.store.ledger import Balance, balance
from tests.contract.stores import ENGINES, Store, opened
from tests.unit.node.samples import SECRETS, arrival, result_set


@dataclass(kw_only=True)
class Archive:
    """A store with its files, filled by reception itself."""

    store: Store
    files: FileStore

    def take(self, number: int, **attributes: Any) -> Outcome:
        one = arrival(number, file=self.files.incoming("a1"), **attributes)
        return receive(one, self.store.intake, lambda *_: None)

    def balance(self, *, verify: bool = False) -> Balance:
        return balance(self.store.database, self.files.root, verify=verify)

    def path(self, number: int) -> Path:
        uid = f"2.25.300{number}"
        (path,) = [
            row.path for row in self.store.rows(schema.instance) if row.sop_instance_uid == uid
        ]
        return self.files.root / str(path)

    def fault(self, *, verify: bool = False) -> str:
        (fault,) = self.balance(verify=verify).faults
        return fault


@pytest.fixture(params=sorted(ENGINES))
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    """Give a store that acknowledged three instances."""
    with opened(request.param, tmp_path) as store:
        (tmp_path / "files").mkdir()
        filled = Archive(store=store, files=FileStore(tmp_path / "files"))
        for number in (1, 2, 3):
            assert filled.take(number) is Outcome.STORED
        yield filled


@pytest.mark.parametrize("verify", [False, True])
def test_what_was_acknowledged_is_there(archive: Archive, verify: bool) -> None:
    assert archive.take(1) is Outcome.DUPLICATE
    assert archive.take(2, SeriesDescription="OTHER") is Outcome.CONFLICT
    assert archive.balance(verify=verify) == Balance(acknowledged=5, accounted=5, faults=())


def test_our_own_result_that_came_back_is_accounted_for(archive: Archive) -> None:
    (request,) = archive.store.dispatch()
    archive.store.jobs.prepared(request.job_id, Readiness.READY, {})
    archive.store.jobs.publish(archive.store.claimed(), result_set())
    own = result_set().instances[0].sop_instance_uid
    assert archive.take(9, SOPInstanceUID=own) is Outcome.OWN
    assert archive.balance() == Balance(acknowledged=4, accounted=4, faults=())


def test_a_missing_file(archive: Archive) -> None:
    archive.path(2).unlink()
    assert archive.fault().startswith("journal line 2, 2.25.3002: the file instances/")
    assert archive.fault().endswith(" is gone")
    result = archive.balance()
    assert (result.acknowledged, result.accounted) == (3, 2)


def test_a_torn_file(archive: Archive) -> None:
    path = archive.path(1)
    path.write_bytes(path.read_bytes()[:-1])
    assert "bytes, " in archive.fault()
    assert archive.fault().endswith("were acknowledged")


def test_a_changed_byte_is_found_when_the_content_is_verified(archive: Archive) -> None:
    path = archive.path(3)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert archive.balance().faults == ()
    assert archive.fault(verify=True) == (
        "journal line 3, 2.25.3003: the file's content is not what was acknowledged"
    )


def test_a_missing_record(archive: Archive) -> None:
    archive.store.write("DELETE FROM instance WHERE sop_instance_uid = '2.25.3002'")
    assert archive.fault() == "journal line 2, 2.25.3002: no record"


def test_a_record_that_nobody_acknowledged(archive: Archive) -> None:
    archive.store.write(
        "INSERT INTO instance SELECT '2.25.9', series_instance_uid, study_instance_uid, "
        "sop_class_uid, transfer_syntax_uid, association_id, path, size, digest, geometry, "
        "received_at FROM instance WHERE sop_instance_uid = '2.25.3001'"
    )
    assert archive.fault() == "2.25.9: on record and never acknowledged"


def test_a_conflicting_file_that_is_gone(archive: Archive) -> None:
    archive.take(1, SeriesDescription="OTHER")
    kept = archive.store.rows(schema.journal)[-1].path
    (archive.files.root / kept).unlink()
    assert archive.fault().endswith(f"the conflicting file {kept} is gone")


def test_an_own_instance_that_no_result_carries(archive: Archive) -> None:
    archive.store.write(
        "INSERT INTO journal (at, sop_instance_uid, outcome, path, digest, peer, association_id) "
        "VALUES (0, '2.25.9', 'own', '', '', 'pacs', 'a')"
    )
    assert archive.fault().endswith("no result carries this UID")


def test_a_fault_names_no_patient(archive: Archive) -> None:
    for number in (1, 2, 3):
        archive.path(number).unlink()
    faults = " ".join(archive.balance().faults)
    assert len(archive.balance().faults) == 3
    assert not any(secret in faults for secret in SECRETS)
