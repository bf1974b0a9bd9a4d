"""The ledger of a large node: seconds and memory, records alone and with their files.

``python -m tests.benchmarks.bench_ledger [INSTANCES]``, 1,000,000 without the argument. Files
are empty: only their names and sizes are looked at.
"""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import insert

from node.core.ledger import Balance
from node.store import schema
from node.store.database import Database
from node.store.ledger import accounts, balance, records

PER_SERIES = 500


def fill(folder: Path, instances: int) -> None:
    """Make a node that stored, dispatched and half routed `instances`."""
    database = Database(folder / "overread.db")
    database.migrate()
    with database.transaction() as (connection, _):
        for start in range(0, instances, PER_SERIES):
            number = start // PER_SERIES
            rows = list(_rows(number, min(PER_SERIES, instances - start)))
            connection.execute(insert(schema.study), _study(number))
            connection.execute(insert(schema.series), _series(number))
            connection.execute(insert(schema.journal), [journal for journal, _ in rows])
            connection.execute(insert(schema.instance), [instance for _, instance in rows])
            if number % 2:
                connection.execute(insert(schema.job), _job(number))
            _touch(folder / "files", [instance["path"] for _, instance in rows])
    database.close()


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A balance, and what it took.

    `records_s` is the part without files; `mb` by how much the peak of a new process' memory rose.
    """

    balance: Balance
    records_s: float
    seconds: float
    mb: float


def measured(folder: Path) -> Measured:
    """Draw up the ledger in a process of its own, whose memory nothing else has filled before."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_measure, folder).result()


def _measure(folder: Path) -> Measured:
    database = Database(folder / "overread.db")
    before = _peak_mb()
    with database.reading() as (connection, _):
        begun = time.monotonic()
        accounts.journal(connection)
        accounts.instances(connection)
        assert not [*records.of_instances(connection), *records.of_work(connection)]
        records_s = time.monotonic() - begun
    begun = time.monotonic()
    result = balance(database, folder / "files")
    seconds = time.monotonic() - begun
    database.close()
    return Measured(balance=result, records_s=records_s, seconds=seconds, mb=_peak_mb() - before)


def _peak_mb() -> float:
    # getrusage would give the peak of the process that started this one
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _study(number: int) -> dict[str, object]:
    uid = f"2.25.{number}"
    moments = {"first_at": 0.0, "last_at": 0.0}
    return {"study_instance_uid": uid, "peer": "ct", "identity": {}, "facts": {}, **moments}


def _series(number: int) -> dict[str, object]:
    return {
        "series_instance_uid": f"2.25.{number}.1",
        "study_instance_uid": f"2.25.{number}",
        "peer": "ct",
        "state": "COMPLETE",
        "identity": {},
        "facts": {},
        "last_at": 0.0,
        "closed_at": 1.0,
        "dispatched_at": 2.0,
    }


def _job(number: int) -> dict[str, object]:
    return {
        "job_id": f"job {number}",
        "study_instance_uid": f"2.25.{number}",
        "series_instance_uid": f"2.25.{number}.1",
        "model": "m",
        "version": "1",
        "rule": "r",
        "digest": "d",
        "request": 0,
        "priority": 0,
        "destinations": [],
        "evidence": {},
        "state": "SCHEDULED",
        "readiness": "INCOMPLETE",
        "due_at": 0.0,
        "created_at": 0.0,
    }


def _rows(number: int, count: int) -> Iterator[tuple[dict[str, object], dict[str, str | object]]]:
    series = f"2.25.{number}.1"
    for item in range(count):
        uid, digest = f"{series}.{item}", f"{number:032x}{item:032x}"
        path = f"instances/2.25.{number}/{series}/{uid}.{digest[-16:]}.dcm"
        common = {"sop_instance_uid": uid, "path": path, "digest": digest, "association_id": "a"}
        journal = {**common, "at": 0.0, "outcome": "stored", "peer": "ct"}
        instance = {
            **common,
            "series_instance_uid": series,
            "study_instance_uid": f"2.25.{number}",
            "sop_class_uid": "1.2",
            "transfer_syntax_uid": "1.2",
            "size": 0,
            "geometry": {},
            "received_at": 0.0,
        }
        yield journal, instance


def _touch(root: Path, paths: list[object]) -> None:
    first = root / str(paths[0])
    first.parent.mkdir(parents=True)
    for path in paths:
        (root / str(path)).touch()


def main() -> None:
    """Print seconds and memory."""
    instances = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with TemporaryDirectory() as folder:
        fill(Path(folder), instances)
        took = measured(Path(folder))
    print(
        f"{instances} instances: records {took.records_s:.1f} s, with files {took.seconds:.1f} s, "
        f"peak +{took.mb:.0f} MB, {took.balance.found} differences"
    )


if __name__ == "__main__":
    main()
