"""What the keeper does once a day, and what it found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select

from node.store import schema
from node.store.database import Database

LEDGER = "ledger"
RETENTION = "retention"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One day's work.

    Parameters
    ----------
    ended_at
        Seconds since 1970.
    faults
        Differences that the ledger found; 1 for a retention that could not be finished, else 0.
    body
        What there is to tell, in plain values.
    """

    ended_at: float
    faults: int
    body: Mapping[str, Any]


class HousekeepingStore:
    """The diary of what is done once a day.

    Parameters
    ----------
    database
        Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, work: str, begun_at: float, faults: int, body: Mapping[str, Any]) -> None:
        """Write down that a day's work is done.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            connection.execute(
                insert(schema.housekeeping).values(
                    work=work, begun_at=begun_at, ended_at=now, faults=faults, body=dict(body)
                )
            )

    def last(self, work: str) -> Done | None:
        """Return the newest entry of some work; None when it was never done.

        Raises
        ------
        OutOfResources
            The database cannot be read.
        """
        table = schema.housekeeping
        with self._database.reading() as (connection, _):
            row = connection.execute(
                select(table).where(table.c.work == work).order_by(table.c.line.desc()).limit(1)
            ).first()
        if row is None:
            return None
        return Done(ended_at=row.ended_at, faults=row.faults, body=row.body)
