"""What is in the files: every digest, page by page, each page in a snapshot of its own.

Reading a million files takes hours, and a snapshot that is held so long would keep the database's log
from being folded in.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Row, TextClause, text

from node.core.identifiers import data_set_digest
from node.core.ledger import Difference
from node.store.database import Database
from node.store.ledger.files import difference, recorded

PAGE = 200
INSTANCES = text("""
    SELECT sop_instance_uid AS subject, path, size, digest, 'instance' AS kind FROM instance
    WHERE sop_instance_uid > :after ORDER BY sop_instance_uid LIMIT :page
""")
RESULTS = text("""
    SELECT r.sop_instance_uid AS subject, r.path, NULL AS size, r.digest, 'result' AS kind
    FROM result_instance r
    WHERE r.sop_instance_uid > :after AND NOT EXISTS (
        SELECT 1 FROM tombstone t WHERE t.kind = 'result' AND t.subject = r.sop_instance_uid)
    ORDER BY r.sop_instance_uid LIMIT :page
""")


def verify(database: Database, root: Path, progress: Callable[[int], None]) -> Iterator[Difference]:
    """Read every file and compare its digest; a file that is gone or torn is told by `files.compare`."""
    for question in (INSTANCES, RESULTS):
        for page in _pages(database, question):
            progress(len(page))
            for row in page:
                if not _altered(root, row):
                    continue
                with database.reading() as (connection, _):
                    if recorded(connection, row):
                        what = f"the content of the file {row.path} is not what was acknowledged"
                        yield difference(connection, row, "FILE-ALTERED", what)


def _pages(database: Database, question: TextClause) -> Iterator[list[Row[Any]]]:
    after = ""
    while True:
        with database.reading() as (connection, _):
            page = list(connection.execute(question, {"after": after, "page": PAGE}).all())
        if not page:
            return
        yield page
        after = page[-1].subject


def _altered(root: Path, row: Row[Any]) -> bool:
    try:
        with (root / row.path).open("rb") as file:
            if row.kind == "result":
                return bool(hashlib.sha256(file.read()).hexdigest() != row.digest)
            whole = os.fstat(file.fileno()).st_size == row.size
            return bool(whole and data_set_digest(file) != row.digest)
    except FileNotFoundError:
        return False
