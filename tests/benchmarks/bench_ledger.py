"""The ledger of a large node: seconds and memory, records alone and with their files.

``python -m tests.benchmarks.bench_ledger [INSTANCES]``, 1,000,000 without the argument. Files
are empty: only their names and sizes are looked at.
"""

import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import insert

from node.core.ledger import Balance
from node.store import schema
from node.store.database import Database
from node.store.ledger import balance

PER_SERIES = 500


def fill(folder: Path, instances: int, *, files: bool) -> Database:
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
            if files:
                _touch(folder / "files", [instance["path"] for _, instance in rows])
    return database


def measured(database: Database, root: Path) -> tuple[Balance, float, float]:
    """Return a balance, its seconds, and by how many MB the process' peak of memory rose."""
    before, begun = _peak_mb(), time.monotonic()
    result = balance(database, root)
    return result, time.monotonic() - begun, _peak_mb() - before


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


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
        place = Path(folder)
        database = fill(place, instances, files=True)
        result, seconds, mb = measured(database, place / "files")
        print(
            f"{instances} instances: {seconds:.1f} s, peak +{mb:.0f} MB, {result.found} differences"
        )


if __name__ == "__main__":
    main()
