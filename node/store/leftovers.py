"""What workers that were killed left behind: result files of claims that nobody holds and nobody published."""

import shutil
from pathlib import Path

from sqlalchemy import text

from node.core.identifiers import is_uid
from node.store.database import Database

LOST_AFTER_S = 3600.0
"""A folder that nothing was written into for so long is looked at."""

# a completed job whose results are gone from the records is the ledger's to tell: its files stay
CLAIMED = text("""
    SELECT 1 FROM job WHERE transaction_uid = :claim AND state IN ('IN PROGRESS', 'COMPLETED')
    UNION ALL
    SELECT 1 FROM result_instance WHERE path > :first AND path < :last
    LIMIT 1
""")


def remove_lost_claims(database: Database, root: Path) -> int:
    """Remove the folders of claims that were lost; return how many.

    Raises
    ------
    OutOfResources
        The database could not be read.
    """
    count = 0
    for folder in sorted((root / "results").iterdir()):
        if is_uid(folder.name) and folder.is_dir() and _lost(database, folder):
            shutil.rmtree(folder, ignore_errors=True)
            count += 1
    return count


def _lost(database: Database, folder: Path) -> bool:
    claim = folder.name
    names = {"claim": claim, "first": f"results/{claim}/", "last": f"results/{claim}0"}
    with database.reading() as (connection, now):
        old = folder.stat().st_mtime < now - LOST_AFTER_S
        return old and connection.execute(CLAIMED, names).first() is None
