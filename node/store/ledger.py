"""The conservation of instances: journal, records and files must say the same.

Every line of the journal answered a sender's C-STORE with Success; whatever it names must still be
accounted for.
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from node.core.identifiers import data_set_digest
from node.core.study import Outcome
from node.store import schema
from node.store.database import Database

_NEW = frozenset({Outcome.STORED, Outcome.FETCHED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What the ledger found.

    Parameters
    ----------
    acknowledged
        Lines of the journal.
    accounted
        Lines whose instance is on record and on disk.
    faults
        One sentence for each difference.
    """

    acknowledged: int
    accounted: int
    faults: tuple[str, ...]


def balance(database: Database, root: Path, *, verify: bool = False) -> Balance:
    """Hold the journal against records and files.

    Parameters
    ----------
    database, root
        What to compare.
    verify
        Also hash the content of each stored file (slow).
    """
    with database.reading() as (connection, _):
        lines = connection.execute(select(schema.journal)).all()
        records = {
            row.sop_instance_uid: row for row in connection.execute(select(schema.instance)).all()
        }
        own = set(connection.execute(select(schema.result_instance.c.sop_instance_uid)).scalars())
    faults: list[str] = []
    accounted = 0
    for line in lines:
        fault = _fault(line.outcome, line.path, root)
        if line.outcome == Outcome.OWN and line.sop_instance_uid not in own:
            fault = "journaled as our own, and no result carries this UID"
        if line.outcome in {*_NEW, Outcome.DUPLICATE, Outcome.CORRECTION}:
            # a corrected instance has the file of its last correction; the earlier ones stay beside it
            record = records.get(line.sop_instance_uid)
            fault = "no record" if record is None else _file_fault(root, record.path, record.size)
            if fault is None and verify and record is not None:
                fault = _content_fault(root / record.path, record.digest)
        if fault is None:
            accounted += 1
        else:
            faults.append(f"journal line {line.line}, {line.sop_instance_uid}: {fault}")
    stored = {
        line.sop_instance_uid for line in lines if line.outcome in {Outcome.STORED, Outcome.FETCHED}
    }
    faults += [f"{uid}: on record and never acknowledged" for uid in records if uid not in stored]
    return Balance(acknowledged=len(lines), accounted=accounted, faults=tuple(faults))


def _fault(outcome: str, path: str, root: Path) -> str | None:
    if outcome == Outcome.CONFLICT and not (root / path).is_file():
        return f"the conflicting file {path} is gone"
    return None


def _file_fault(root: Path, path: str, size: int) -> str | None:
    file = root / path
    if not file.is_file():
        return f"the file {path} is gone"
    if file.stat().st_size != size:
        return f"the file {path} has {file.stat().st_size} bytes, {size} were acknowledged"
    return None


def _content_fault(file: Path, digest: str) -> str | None:
    with file.open("rb") as content:
        same = data_set_digest(content) == digest
    return None if same else "the file's content is not what was acknowledged"
