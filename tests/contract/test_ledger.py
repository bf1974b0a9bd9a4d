"""The conservation of instances: every kind of difference is found and named."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.core.job import Readiness
from node.core.study import Outcome
from node.pipeline.receive import receive
from node.store import schema
from node.store.ledger import balance
from tests.benchmarks.bench_ledger import fill, measured
from tests.contract.nodes import Node
from tests.contract.stores import ENGINES
from tests.unit.node.samples import SECRETS, arrival, dicom, digest_of, result_set


@dataclass(kw_only=True)
class Archive(Node):
    """A node that is damaged, and asked what it misses."""

    def path(self, number: int) -> Path:
        uid = f"2.25.300{number}"
        (path,) = [
            row.path for row in self.store.rows(schema.instance) if row.sop_instance_uid == uid
        ]
        return self.files.root / str(path)

    def fault(self, *, verify: bool = False) -> str:
        balance = self.balance(verify=verify)
        (difference,) = balance.differences
        assert balance.found == 1
        assert not balance.adds_up
        return str(difference)

    def damage(self, statement: str, *values: str) -> None:
        """Do it as a hand at the database's own command line would: without foreign keys."""
        with closing(sqlite3.connect(self.store.folder / "overread.db")) as connection:
            connection.execute(statement, values)
            connection.commit()


@pytest.fixture(params=sorted(ENGINES))
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    """Give a store that acknowledged three instances."""
    with Archive.opened(request.param, tmp_path) as filled:
        for number in (1, 2, 3):
            assert filled.take(number) is Outcome.STORED
        yield filled


@pytest.mark.parametrize("verify", [False, True])
def test_what_was_acknowledged_is_there(archive: Archive, verify: bool) -> None:
    assert archive.take(1) is Outcome.DUPLICATE
    assert archive.take(2, SeriesDescription="OTHER") is Outcome.CONFLICT
    balance = archive.balance(verify=verify)
    assert (balance.acknowledged, balance.accounted, balance.differences) == (5, 5, ())
    assert balance.adds_up
    assert balance.journal == {
        "stored": 3,
        "duplicate": 1,
        "own": 0,
        "conflict": 1,
        "fetched": 0,
        "correction": 0,
    }
    assert balance.instances["waiting"] == sum(balance.instances.values()) == 3


def test_our_own_result_that_came_back_is_accounted_for(archive: Archive) -> None:
    archive.published()
    own = result_set().instances[0].sop_instance_uid
    assert archive.take(9, SOPInstanceUID=own) is Outcome.OWN
    balance = archive.balance(verify=True)
    assert (balance.acknowledged, balance.accounted, balance.differences) == (4, 4, ())


def test_a_file_deleted(archive: Archive) -> None:
    gone = archive.path(2)
    gone.unlink()
    told = archive.fault()
    assert told.startswith("FILE-GONE: journal line 2, 2.25.3002: the file instances/")
    assert f"{gone.name} is gone; restore the file" in told
    result = archive.balance()
    assert (result.acknowledged, result.accounted) == (3, 2)


def test_all_files_deleted(archive: Archive) -> None:
    for number in (1, 2, 3):
        archive.path(number).unlink()
    assert [one.code for one in archive.balance().differences] == ["FILE-GONE"] * 3


def test_a_file_torn(archive: Archive) -> None:
    path = archive.path(1)
    path.write_bytes(path.read_bytes()[:-1])
    assert archive.fault().startswith("FILE-ALTERED: journal line 1, 2.25.3001: ")
    assert " bytes, " in archive.fault()


def test_a_byte_altered_is_found_when_the_content_is_verified(archive: Archive) -> None:
    path = archive.path(3)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert archive.balance().differences == ()
    told = archive.fault(verify=True)
    assert told.startswith("FILE-ALTERED: journal line 3, 2.25.3003: the content of the file ")
    assert "is not what was acknowledged" in told


@pytest.mark.parametrize(
    "path",
    [
        "instances/2.25.100/2.25.200/2.25.3009.0123456789abcdef.dcm",
        "instances/2.25.100/2.25.2000/2.25.1.0123456789abcdef.dcm",
        "instances/stray.dcm",
        "results/2.25.900/2.25.99.dcm",
        "results/2.25.900/key-slice-1.png.part",
        "results/somebody/else.dcm",
        "results/somebody/key-slice-1.png",
    ],
)
def test_a_file_added(archive: Archive, path: str) -> None:
    archive.published()
    added = archive.files.root / path
    added.parent.mkdir(parents=True, exist_ok=True)
    added.write_bytes(b"DICM")
    assert archive.fault().startswith(f"FILE-ADDED: {path}: the file is in no record; ")


def test_a_file_that_was_just_written_is_no_difference(archive: Archive) -> None:
    (archive.files.root / "instances" / "young.dcm").write_bytes(b"DICM")
    assert balance(archive.store.database, archive.files.root).adds_up


def test_a_file_that_waits_for_a_start_up_is_no_difference(archive: Archive) -> None:
    file = archive.files.incoming("a1")
    one = arrival(9, file=file)
    path = archive.files.root / file.keep(one.header, digest_of(dicom(9)))
    file.discard()  # the database refused: it was not acknowledged, and has two names
    assert archive.balance().adds_up
    ((_, waits),) = archive.files.left_over()
    waits.settle()
    assert archive.fault().startswith(f"FILE-ADDED: {path.relative_to(archive.files.root)}: ")


def test_what_was_acknowledged_and_is_in_no_record(archive: Archive) -> None:
    file = archive.files.incoming("a1")
    arrival(9, file=file)
    file.seal("a1")
    file.close()
    assert balance(archive.store.database, archive.files.root).adds_up, "it is young"
    assert archive.fault().startswith(f"UNRECORDED: incoming/{file.name}: the instance was ack")


def test_files_of_a_lost_claim_are_given_a_day(archive: Archive) -> None:
    archive.files.keep_result("2.25.999", "2.25.1.dcm", b"result")
    assert archive.balance().adds_up


def test_a_result_file_deleted_or_altered(archive: Archive) -> None:
    archive.published()
    path = archive.files.root / result_set().instances[0].path
    path.write_bytes(b"another")
    assert archive.fault(verify=True).startswith("FILE-ALTERED: result 2.25.11: the content of")
    path.unlink()
    assert archive.fault().startswith("FILE-GONE: result 2.25.11: the file results/")


def test_a_record_deleted(archive: Archive) -> None:
    archive.damage("DELETE FROM instance WHERE sop_instance_uid = '2.25.3002'")
    told = archive.fault()
    assert told.startswith("RECORD-GONE: journal line 2, 2.25.3002: no record, and no tombstone")
    assert archive.balance().accounted == 2


def test_a_series_deleted(archive: Archive) -> None:
    archive.damage("DELETE FROM series")
    assert archive.fault().startswith("SERIES-GONE: study 2.25.100, series 2.25.200: ")


def test_a_study_deleted(archive: Archive) -> None:
    archive.damage("DELETE FROM study")
    assert archive.fault().startswith("SERIES-GONE: study 2.25.100, series 2.25.200: ")


def test_a_job_deleted(archive: Archive) -> None:
    (request,) = archive.store.dispatch()
    assert archive.balance().jobs == {"ordered": 1, "SCHEDULED": 1}
    archive.damage("DELETE FROM job_input")
    archive.damage("DELETE FROM job")
    told = archive.fault()
    assert told.startswith(f"JOB-GONE: job {request.job_id}, of series 2.25.200: it was ordered")
    assert archive.balance().jobs == {"ordered": 1}


def test_a_delivery_deleted(archive: Archive) -> None:
    archive.published()
    (first, _) = archive.store.rows(schema.delivery)
    archive.damage("DELETE FROM delivery_instance WHERE delivery_id = ?", first.delivery_id)
    archive.damage("DELETE FROM delivery WHERE delivery_id = ?", first.delivery_id)
    told = archive.fault()
    assert told.startswith(f"DELIVERY-GONE: delivery {first.delivery_id}, of result set 2.25.12: ")


def test_a_withdrawal_deleted_or_added(archive: Archive) -> None:
    archive.published()
    archive.confirmed()
    one = arrival(1, file=archive.files.incoming("a1"), PatientID="OVR-7")
    receive(one, archive.store.intake, lambda *_: (arrival(1).header, True))
    first, second = archive.store.rows(schema.withdrawal)
    assert archive.balance().withdrawals == {"ordered": 2, "OWED": 2}
    assert archive.balance().adds_up
    archive.damage("DELETE FROM withdrawal WHERE withdrawal_id = ?", first.withdrawal_id)
    told = archive.fault()
    assert told.startswith(f"WITHDRAWAL-GONE: withdrawal {first.withdrawal_id}, of delivery ")
    archive.damage("DROP TRIGGER withdrawal_entitles")
    archive.damage("UPDATE withdrawal SET withdrawal_id = 'w'")
    codes = [one.code for one in archive.balance().differences]
    assert codes == ["WITHDRAWAL-GONE", "WITHDRAWAL-GONE", "WITHDRAWAL-ADDED"]
    assert second.withdrawal_id in str(archive.balance().differences)


def test_a_result_set_deleted(archive: Archive) -> None:
    archive.published()
    archive.damage("DELETE FROM delivery_instance")
    archive.damage("DELETE FROM delivery")
    archive.damage("DELETE FROM result_instance")
    archive.damage("DELETE FROM result_set")
    codes = [one.code for one in archive.balance().differences]
    assert sorted(set(codes)) == ["DELIVERY-GONE", "RESULT-GONE", "RESULT-SET-GONE"]


def test_a_record_that_nobody_acknowledged(archive: Archive) -> None:
    archive.damage(
        "INSERT INTO instance SELECT '2.25.9', series_instance_uid, study_instance_uid, "
        "sop_class_uid, transfer_syntax_uid, association_id, path, size, digest, geometry, "
        "received_at FROM instance WHERE sop_instance_uid = '2.25.3001'"
    )
    assert archive.fault().startswith("RECORD-ADDED: record 2.25.9: on record, and with this")


def test_a_record_altered(archive: Archive) -> None:
    archive.damage("UPDATE instance SET digest = 'x' WHERE sop_instance_uid = '2.25.3001'")
    assert archive.fault().startswith("RECORD-ADDED: record 2.25.3001: ")


def test_a_delivery_that_nobody_ordered(archive: Archive) -> None:
    archive.published()
    archive.damage("DROP TRIGGER delivery_entitles")
    archive.damage(
        "INSERT INTO delivery (delivery_id, result_set_id, destination, state, attempts, "
        "lost_leases, due_at, created_at) VALUES ('d', '2.25.12', 'x', 'OWED', 0, 0, 0, 0)"
    )
    assert archive.fault().startswith("DELIVERY-ADDED: delivery d: on record, and nothing ordered")


@pytest.mark.parametrize("table", ["journal", "entitlement", "tombstone"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET at = 0"])
def test_what_the_ledger_stands_on_is_append_only(
    archive: Archive, table: str, change: str
) -> None:
    archive.published()
    archive.damage(
        "INSERT INTO tombstone (at, kind, subject, path, digest, size, reason) "
        "VALUES (0, 'result', '2.25.1', '', '', 0, '')"
    )
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        archive.damage(change.format(table))


def test_a_tombstone_that_no_instance_has(archive: Archive) -> None:
    archive.damage(
        "INSERT INTO tombstone (at, kind, subject, path, digest, size, reason) "
        "VALUES (0, 'instance', '2.25.1', '', '', 0, '')"
    )
    assert archive.fault().startswith("SUM-DIFFERS: ")


def test_a_models_answer_that_is_gone(archive: Archive) -> None:
    archive.published()
    assert archive.balance().adds_up
    (archive.files.root / "results" / "2.25.900" / "answer.npz").unlink()
    assert archive.fault().startswith("FILE-GONE: answer 2.25.12: the file results/")


def test_a_conflicting_file_that_is_gone(archive: Archive) -> None:
    archive.take(1, SeriesDescription="OTHER")
    kept = archive.store.rows(schema.journal)[-1].path
    (archive.files.root / kept).unlink()
    told = archive.fault()
    assert told.startswith(f"FILE-GONE: journal line 4, 2.25.3001: the file {kept} is gone")


def test_every_instance_has_one_fate(archive: Archive) -> None:
    def fates() -> dict[str, int]:
        return {fate: count for fate, count in archive.balance().instances.items() if count}

    assert fates() == {"waiting": 3}
    (series,) = archive.store.close_all()
    assert fates() == {"ready": 3}
    request = archive.store.request(series)
    archive.store.jobs.dispatch(series, [request], ())
    assert fates() == {"in jobs": 3}
    archive.store.jobs.prepared(request.job_id, Readiness.READY, {})
    archive.store.jobs.cancel(archive.store.claimed(), "MODEL-FAILED", "NaN")
    assert fates() == {"parked": 3}
    archive.take(4, SeriesInstanceUID="2.25.201")
    (other,) = archive.store.close_all()
    archive.store.jobs.dispatch(other, (), ("NO-RULES: none",))
    assert fates() == {"parked": 3, "excluded by rule": 1}


def test_an_own_instance_that_no_result_carries(archive: Archive) -> None:
    archive.damage(
        "INSERT INTO journal (at, sop_instance_uid, outcome, path, digest, peer, association_id) "
        "VALUES (0, '2.25.9', 'own', '', '', 'pacs', 'a')"
    )
    assert "journaled as our own, and no result carries this UID" in archive.fault()


def test_a_fault_names_no_patient(archive: Archive) -> None:
    for number in (1, 2, 3):
        archive.path(number).unlink()
    differences = archive.balance().differences
    faults = " ".join(str(one) for one in differences)
    assert len(differences) == 3
    assert not any(secret in faults for secret in SECRETS)


def test_a_large_node_takes_seconds_and_no_memory(tmp_path: Path) -> None:
    """The short form of tests/benchmarks/bench_ledger.py."""
    instances = 20_000
    fill(tmp_path, instances)
    took = measured(tmp_path)
    result = took.balance
    assert result.adds_up, [str(one) for one in result.differences[:3]]
    assert result.instances["in jobs"] == result.instances["excluded by rule"] == instances / 2
    assert took.seconds < 20
    assert took.mb < 30
