"""Records against files: two sorted streams, one of the database and one of the disk, are merged.

Nothing is held in memory but one folder's listing, however many instances there are.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, text

from node.core.identifiers import is_uid
from node.core.ledger import Difference
from node.core.pictures import is_beside, overlay_of
from node.store.aside import set_aside
from node.store.database import Database
from node.store.promises import PromisedFiles

LOST_CLAIM_S = 26 * 3600.0
"""How long the files of a claim that was lost may lie about: each day `leftovers` removes them."""

EXPECTED = text("""
    SELECT path, size, 'instance' AS kind, sop_instance_uid AS subject FROM instance
    UNION ALL
    SELECT r.path, NULL, 'result', r.sop_instance_uid FROM result_instance r
    WHERE NOT EXISTS (
        SELECT 1 FROM tombstone t WHERE t.kind = 'result' AND t.subject = r.sop_instance_uid)
    UNION ALL
    SELECT picture, NULL, 'picture', result_set_id FROM result_set r
    WHERE picture IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM tombstone t WHERE t.kind = 'picture' AND t.subject = r.result_set_id)
    UNION ALL
    SELECT answer, NULL, 'answer', result_set_id FROM result_set r
    WHERE answer IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM tombstone t WHERE t.kind = 'answer' AND t.subject = r.result_set_id)
    UNION ALL
    SELECT j.path, NULL, CASE j.outcome WHEN 'conflict' THEN 'conflict' ELSE 'former' END,
        j.sop_instance_uid
    FROM journal j
        LEFT JOIN instance i ON i.sop_instance_uid = j.sop_instance_uid
        LEFT JOIN tombstone t ON t.journal_line = j.line
    WHERE j.path <> '' AND t.line IS NULL AND (i.path IS NULL OR i.path <> j.path)
    ORDER BY 1
""")
# `former`: named by the journal and by no record; what is wrong there is the record, told elsewhere

OPTIONAL = {"picture", "former"}
"""Kinds that nobody promised to be there."""

Suspect = tuple[Difference, Row[Any] | None]
"""A difference, and the record that it is about; None for a file without one."""

STORED_LINE = text(
    "SELECT max(line) FROM journal WHERE sop_instance_uid = :uid "
    "AND (outcome = 'conflict') = :conflict AND outcome NOT IN ('own', 'duplicate')"
)
LIVE = {
    "instance": text("SELECT path, size FROM instance WHERE sop_instance_uid = :uid"),
    "result": text("""
        SELECT r.path, NULL AS size FROM result_instance r
        WHERE r.sop_instance_uid = :uid AND NOT EXISTS (
            SELECT 1 FROM tombstone t WHERE t.kind = 'result' AND t.subject = r.sop_instance_uid)
    """),
}


@dataclass(frozen=True, slots=True)
class Found:
    """A file on the disk."""

    path: str
    size: int
    changed_at: float
    names: int = 1


LAST = "\U0010ffff"
"""Comes after every path: where a stream has ended."""
END: tuple[str, Iterator[Row[Any]]] = (LAST, iter(()))
NO_FILE = Found(LAST, 0, 0.0)


def compare(
    connection: Connection, root: Path, settled_at: float, progress: Callable[[int], None]
) -> Iterator[Suspect]:
    """Merge records and files; yield each difference, with the record that it is about.

    Parameters
    ----------
    connection
        A snapshot of the records.
    root
        Folder of the files.
    settled_at
        Files that are younger may not be recorded yet and are no difference.
    progress
        Called now and then with the number of files since the last call.
    """
    rows = connection.execution_options(yield_per=5000).execute(EXPECTED)
    expected: Iterator[tuple[str, Iterator[Row[Any]]]] = groupby(rows, key=attrgetter("path"))
    files = _counted(walk(root), progress)
    (path, records), file = next(expected, END), next(files, NO_FILE)
    while path != LAST or file.path != LAST:
        if path < file.path:
            yield from _gone(connection, list(records))
            path, records = next(expected, END)
        elif file.path < path:
            # key slices come before their overlay in the order of paths, and behind all else of their result
            if not is_beside(file.path, path) and _unaccounted(connection, root, file, settled_at):
                yield _added(file), None
            file = next(files, NO_FILE)
        else:
            yield from _altered(connection, list(records), file)
            (path, records), file = next(expected, END), next(files, NO_FILE)


def walk(root: Path) -> Iterator[Found]:
    """Give every file that records may name, in the order of their paths."""
    for name in ("instances", "results"):
        if (root / name).is_dir():
            yield from _walk(root / name, f"{name}/")


def _walk(folder: Path, prefix: str) -> Iterator[Found]:
    # "1.2/…" comes after "1.2.3/…": a folder stands in the order with its slash
    try:
        with os.scandir(folder) as listing:
            entries = sorted(
                (entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name, entry)
                for entry in listing
            )
    except FileNotFoundError:  # discarded in between
        return
    for name, entry in entries:
        if name.endswith("/"):
            yield from _walk(Path(entry.path), prefix + name)
            continue
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        yield Found(prefix + name, status.st_size, status.st_ctime, status.st_nlink)


def _counted(files: Iterator[Found], progress: Callable[[int], None]) -> Iterator[Found]:
    for number, file in enumerate(files, 1):
        if number % 1000 == 0:
            progress(1000)
        yield file


def _gone(connection: Connection, rows: list[Row[Any]]) -> Iterator[Suspect]:
    for row in rows:
        if row.kind not in OPTIONAL:
            yield difference(connection, row, "FILE-GONE", f"the file {row.path} is gone"), row


def _altered(connection: Connection, rows: list[Row[Any]], file: Found) -> Iterator[Suspect]:
    for row in rows:
        if row.size is not None and row.size != file.size:
            what = f"the file {row.path} has {file.size} bytes, {row.size} were acknowledged"
            yield difference(connection, row, "FILE-ALTERED", what), row


def difference(connection: Connection, row: Row[Any], code: str, what: str) -> Difference:
    """Tell what is wrong with the file of a record, and whose it is."""
    if row.kind in {"result", "answer"}:
        remedy = "restore the file from a backup; what the destinations have is not touched"
        return Difference(code=code, where=f"{row.kind} {row.subject}", what=what, remedy=remedy)
    asked = {"uid": row.subject, "conflict": row.kind == "conflict"}
    line = connection.execute(STORED_LINE, asked).scalar()
    return Difference(
        code=code,
        where=f"journal line {line}, {row.subject}",
        what=what,
        remedy="restore the file from a backup, or ask the source to send the study again",
    )


def _added(file: Found) -> Difference:
    return Difference(
        code="FILE-ADDED",
        where=file.path,
        what="the file is in no record",
        remedy="find out who put it there; a DICOM file is taken in by C-STORE only",
    )


def _unaccounted(connection: Connection, root: Path, file: Found, settled_at: float) -> bool:
    return _settled(connection, file, settled_at) and not _leaving(connection, root, file)


def _leaving(connection: Connection, root: Path, file: Found) -> bool:
    """Whether a key slice stands beside an overlay that is set aside: retention is about to remove both."""
    overlay = overlay_of(file.path)
    if overlay is None:
        return False
    shown = text("SELECT result_set_id FROM result_set WHERE picture = :overlay")
    subject = connection.execute(shown, {"overlay": overlay}).scalar()
    return subject is not None and set_aside(root, "picture", str(subject)).exists()


def _settled(connection: Connection, file: Found, settled_at: float) -> bool:
    if file.changed_at > settled_at or file.names > 1:
        return False  # its first name is in incoming: the listener's next start records it
    top, claim, *_ = file.path.split("/")
    if top != "results" or not is_uid(claim):
        return True
    folder = {"first": f"results/{claim}/", "last": f"results/{claim}0"}  # "0" follows "/"
    known = connection.execute(
        text("SELECT 1 FROM result_instance WHERE path > :first AND path < :last LIMIT 1"), folder
    ).first()
    return known is not None or file.changed_at < settled_at - LOST_CLAIM_S


def not_recorded(root: Path, settled_at: float) -> Iterator[Difference]:
    """Yield what was acknowledged and is in no record, though there was time enough."""
    promises = PromisedFiles(root)
    for name in promises.waiting(aside=True):
        since = promises.since(name)
        if since is not None and since < settled_at:
            yield Difference(
                code="UNRECORDED",
                where=f"incoming/{name}",
                what="the instance was acknowledged and is in no record",
                remedy="see why in what the recorder logs; it tries again when the listener is started",
            )


def still(database: Database, root: Path, row: Row[Any]) -> bool:
    """Whether a file differs from its newest record too: retention may have come in between.

    The disk is asked first: whoever removes a file has committed that its record is gone.
    """
    if _as_recorded(root, row):
        return False
    with database.reading() as (connection, _):
        return recorded(connection, row)


def recorded(connection: Connection, row: Row[Any]) -> bool:
    """Whether a record is there still, and names the same file."""
    if row.kind not in LIVE:
        return True
    live = connection.execute(LIVE[row.kind], {"uid": row.subject}).first()
    return live is not None and live.path == row.path


def _as_recorded(root: Path, row: Row[Any]) -> bool:
    file, aside = root / row.path, set_aside(root, row.kind, row.subject)
    if not file.exists():
        # set aside it is safe: retention is about to remove its record, or will put it back
        return aside.exists() or file.exists()
    return row.size is None or file.stat().st_size == row.size
