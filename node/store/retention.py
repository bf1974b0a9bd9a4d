"""Retention: what is on record, seen as what may go; and how it goes, one series in one transaction.

The order: records out and tombstones in, files set aside, both folders synced, commit, files removed.
Killed before the commit, the records are there and `recover` puts the files back; killed after it, the
tombstones are there and `recover` removes the files.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, text

from node.core.pictures import is_beside
from node.core.retention import Holding, Work
from node.errors import OutOfResources
from node.store import schema
from node.store.aside import Aside
from node.store.database import Database
from node.store.durable import told
from node.store.events import tell
from node.store.folders import EmptyFolders
from node.store.leftovers import remove_lost_claims

PAGE = 500

Held = Callable[[Connection, float, str], bool]
"""Whether an instance of a series (by its UID) is promised to be kept now; asked inside the transaction."""


def nothing_held(connection: Connection, now: float, series_instance_uid: str) -> bool:
    """Answer for a node that takes over no safekeeping."""
    return False


JOBS_OF_SERIES = text("""
    SELECT job_id FROM job WHERE series_instance_uid = :uid
    UNION
    SELECT n.job_id FROM job_input n JOIN instance i ON i.sop_instance_uid = n.sop_instance_uid
    WHERE i.series_instance_uid = :uid
""")
OUTPUT = text("""
    SELECT 'result' AS kind, r.sop_instance_uid AS subject, r.path, r.digest
    FROM result_instance r JOIN result_set s ON s.result_set_id = r.result_set_id
    WHERE s.series_instance_uid = :uid
    UNION ALL
    SELECT 'picture', result_set_id, picture, '' FROM result_set
    WHERE series_instance_uid = :uid AND picture IS NOT NULL
""")
NEWEST_LINE = text("""
    SELECT max(line) FROM journal
    WHERE sop_instance_uid = :uid AND outcome NOT IN ('own', 'conflict', 'duplicate')
""")
BURIED = text("SELECT 1 FROM tombstone WHERE kind = :kind AND subject = :subject LIMIT 1")
PLACE = {
    "instance": text("SELECT path FROM instance WHERE sop_instance_uid = :subject"),
    "result": text("SELECT path FROM result_instance WHERE sop_instance_uid = :subject"),
    "picture": text("SELECT picture FROM result_set WHERE result_set_id = :subject"),
}


class RetentionStore:
    """What may be deleted.

    Parameters
    ----------
    database, root
        Records and files.
    held
        Who promised to keep what.
    """

    def __init__(self, database: Database, root: Path, held: Held = nothing_held) -> None:
        self._database = database
        self._root = root
        self._held = held
        self._aside = Aside(root)
        self._empty = EmptyFolders(root)

    def holdings(self) -> Iterator[tuple[Holding, float]]:
        """Give every series that has instances on record, and the database's time; page by page."""
        table, after = schema.series, ""
        while True:
            with self._database.reading() as (connection, now):
                uids = connection.execute(
                    select(table.c.series_instance_uid)
                    .where(table.c.series_instance_uid > after)
                    .order_by(table.c.series_instance_uid)
                    .limit(PAGE)
                ).scalars()
                page = list(uids)
                found = [_holding(connection, now, uid, self._held) for uid in page]
            yield from ((one, now) for one in found if one is not None)
            if not page:
                return
            after = page[-1]

    def expire(self, holding: Holding, reason: str) -> bool:
        """Delete a series' instances and the files of its results; False when it is not as it was.

        Raises
        ------
        OutOfResources
            Disk or database refused; everything is as it was.
        """
        uid = holding.series_instance_uid
        try:
            with self._database.transaction() as (connection, now):
                if _holding(connection, now, uid, self._held) != holding:
                    return False
                leaving = [*_instances(connection, uid), *_output(connection, uid, self._root)]
                _bury(connection, now, leaving, reason)
                connection.execute(
                    delete(schema.instance).where(schema.instance.c.series_instance_uid == uid)
                )
                detail = f"series {uid}: {holding.instances} instances, {reason}"
                tell(connection, now, holding.study_instance_uid, "expired", detail)
                for one in leaving:
                    self._aside.put(one["kind"], one["subject"], one["path"])
                self._aside.sync({one["path"] for one in leaving})
        except FileNotFoundError:  # the ledger tells which; here nothing is deleted
            self.recover()
            return False
        except OSError as error:
            self.recover()
            raise OutOfResources(told(error)) from error
        except OutOfResources:
            self.recover()
            raise
        for one in leaving:
            self._remove_beside(one["kind"], one["path"])
            self._settle(one["kind"], one["subject"], None)
        return True

    def recover(self) -> int:
        """Finish or undo what an earlier run was killed in the middle of; return how many files.

        Raises
        ------
        OutOfResources
            Disk or database refused; the next call goes on.
        """
        count = 0
        with _disk():
            self._empty.recover()
        # as a writer: whoever expires now has either committed or not begun
        with self._database.transaction() as (connection, _):
            for kind, subject in self._aside.listed():
                path = _place(connection, kind, subject)
                if path is None:
                    self._remove_beside(kind, _recorded(connection, kind, subject))
                self._settle(kind, subject, path)
                count += 1
        return count

    def remove_lost_claims(self) -> int:
        """Remove result files that killed workers left behind; return how many claims'.

        Raises
        ------
        OutOfResources
            The database could not be read.
        """
        return remove_lost_claims(self._database, self._root)

    def remove_empty_folders(self) -> int:
        """Remove the folders that expired files leave behind; return how many.

        Raises
        ------
        OutOfResources
            The disk refused.
        """
        with _disk():
            return self._empty.remove()

    def _remove_beside(self, kind: str, path: str | None) -> None:
        """Remove the key slices of a picture that is gone; before the picture itself, which remembers them."""
        if kind != "picture" or path is None:
            return
        with _disk():
            folder = (self._root / path).parent
            for file in folder.glob("key-slice*"):
                if is_beside(str(file.relative_to(self._root)), path):
                    file.unlink(missing_ok=True)

    def _settle(self, kind: str, subject: str, path: str | None) -> None:
        with _disk():
            if path is None:
                self._aside.remove(kind, subject)
            else:
                self._aside.put_back(kind, subject, path)


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutOfResources(told(error)) from error


def _holding(connection: Connection, now: float, uid: str, held: Held) -> Holding | None:
    table = schema.instance
    stored = connection.execute(
        select(func.count().label("instances"), func.sum(table.c.size).label("size")).where(
            table.c.series_instance_uid == uid
        )
    ).one()
    if not stored.instances:
        return None
    series = connection.execute(
        select(schema.series).where(schema.series.c.series_instance_uid == uid)
    ).one()
    ids = list(connection.execute(JOBS_OF_SERIES, {"uid": uid}).scalars())
    moments = (series.last_at, series.closed_at, series.dispatched_at)
    return Holding(
        series_instance_uid=uid,
        study_instance_uid=series.study_instance_uid,
        instances=stored.instances,
        size=stored.size,
        dispatched=series.state != "OPEN" and series.dispatched_at is not None,
        last_at=max(moment for moment in moments if moment is not None),
        jobs=_jobs(connection, ids),
        deliveries=_deliveries(connection, ids),
        ordered=_ordered(connection, uid),
        held=held(connection, now, uid),
    )


def _ordered(connection: Connection, uid: str) -> int:
    table = schema.entitlement
    return int(
        connection.execute(
            select(func.count(table.c.subject.distinct())).where(
                table.c.kind == "job", table.c.belongs_to == uid
            )
        ).scalar_one()
    )


def _jobs(connection: Connection, ids: Sequence[str]) -> tuple[Work, ...]:
    table = schema.job
    return tuple(
        Work(
            state=row.state,
            reason=row.reason or "",
            model=row.model,
            rule=row.rule,
            ended_at=row.ended_at,
        )
        for row in connection.execute(
            select(table).where(table.c.job_id.in_(ids)).order_by(table.c.job_id)
        )
    )


def _deliveries(connection: Connection, ids: Sequence[str]) -> tuple[Work, ...]:
    table, result = schema.delivery, schema.result_set
    rows = connection.execute(
        select(table).join(result).where(result.c.job_id.in_(ids)).order_by(table.c.delivery_id)
    )
    return tuple(
        Work(state=row.state, reason=row.reason or "", ended_at=row.ended_at) for row in rows
    )


def _instances(connection: Connection, uid: str) -> Iterator[dict[str, Any]]:
    table = schema.instance
    for row in connection.execute(
        select(table).where(table.c.series_instance_uid == uid).order_by(table.c.sop_instance_uid)
    ).all():
        line = connection.execute(NEWEST_LINE, {"uid": row.sop_instance_uid}).scalar()
        yield {
            "kind": "instance",
            "subject": row.sop_instance_uid,
            "path": row.path,
            "digest": row.digest,
            "size": row.size,
            "journal_line": line,
        }


def _output(connection: Connection, uid: str, root: Path) -> Iterator[dict[str, Any]]:
    for row in connection.execute(OUTPUT, {"uid": uid}).all():
        file = root / row.path
        buried = connection.execute(BURIED, {"kind": row.kind, "subject": row.subject}).first()
        if buried or (row.kind == "picture" and not file.exists()):  # it may not have been drawn
            continue
        yield _leaving(row, file.stat().st_size)


def _leaving(row: Row[Any], size: int) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "subject": row.subject,
        "path": row.path,
        "digest": row.digest,
        "size": size,
        "journal_line": None,
    }


def _bury(
    connection: Connection, now: float, leaving: Sequence[dict[str, Any]], reason: str
) -> None:
    rows = [{**one, "at": now, "reason": reason} for one in leaving]
    connection.execute(insert(schema.tombstone), rows)


def _place(connection: Connection, kind: str, subject: str) -> str | None:
    """Return where a file that is aside belongs; None when its record, or right to be, is gone."""
    which = {"kind": kind, "subject": subject}
    if kind != "instance" and connection.execute(BURIED, which).first():
        return None
    return _recorded(connection, kind, subject)


def _recorded(connection: Connection, kind: str, subject: str) -> str | None:
    question = PLACE.get(kind)
    found = question is not None and connection.execute(question, {"subject": subject}).scalar()
    return str(found) if found else None
