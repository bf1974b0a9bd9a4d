"""The balance: every line of the journal answered a sender with Success, and must be accounted for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from node.core.ledger import MOST_TOLD, Balance, Difference
from node.store.database import Database
from node.store.ledger import accounts, content, files, records

YOUNG_S = 300.0
"""A file that is younger may not be recorded yet: longer than the database may be locked."""

ON_LINES = {"RECORD-GONE", "OWN-UNKNOWN", "FILE-GONE", "FILE-ALTERED"}
"""Differences through which a line of the journal is not accounted for, when they are about one."""


@dataclass(slots=True)
class _Tally:
    found: int = 0
    lines: int = 0
    told: list[Difference] = field(default_factory=list)

    def take(self, difference: Difference) -> None:
        self.found += 1
        on_line = difference.where.startswith("journal line") and difference.code in ON_LINES
        self.lines += on_line
        if len(self.told) < MOST_TOLD:
            self.told.append(difference)


def _unwatched(count: int) -> None:
    """Look at no progress."""


def balance(
    database: Database,
    root: Path,
    *,
    verify: bool = False,
    young_s: float = YOUNG_S,
    progress: Callable[[int], None] = _unwatched,
) -> Balance:
    """Hold the journal against records, files and work.

    Records are read in one snapshot, and a file that is younger than the snapshot less `young_s` may be
    in no record: a node that receives meanwhile makes no difference.

    Parameters
    ----------
    database, root
        What to compare.
    verify
        Also read every file and compare its digest; takes as long as the disk needs.
    young_s
        How old a file must be to count as in no record.
    progress
        Called now and then with the number of files since the last call; what it raises ends the run.

    Raises
    ------
    OutOfResources
        The database cannot be read.
    """
    tally = _Tally()
    with database.reading() as (connection, now):
        journal = accounts.journal(connection)
        instances = accounts.instances(connection)
        jobs, deliveries, withdrawals = (
            accounts.work(connection, kind) for kind in ("job", "delivery", "withdrawal")
        )
        for one in (*records.of_instances(connection), *records.of_work(connection)):
            tally.take(one)
        for one in _sums(journal, instances, tally.found):
            tally.take(one)
        for difference, row in files.compare(connection, root, now - young_s, progress):
            if row is None or files.still(database, root, row):
                tally.take(difference)
    for difference in files.not_recorded(root, now - young_s):
        tally.take(difference)
    if verify:
        for difference in content.verify(database, root, progress):
            tally.take(difference)
    acknowledged = sum(journal.values())
    return Balance(
        at=now,
        acknowledged=acknowledged,
        accounted=acknowledged - tally.lines,
        journal=journal,
        instances=instances,
        jobs=jobs,
        deliveries=deliveries,
        withdrawals=withdrawals,
        found=tally.found,
        differences=tuple(tally.told),
    )


def _sums(journal: dict[str, int], instances: dict[str, int], found: int) -> Iterator[Difference]:
    left, right = journal["stored"] + journal["fetched"], sum(instances.values())
    if left != right and not found:  # else it is told already, instance by instance
        yield Difference(
            code="SUM-DIFFERS",
            where="journal and records",
            what=f"{left} lines say stored or fetched, {right} instances are on record or expired",
            remedy="find out who wrote into the database; restore it from a backup",
        )
