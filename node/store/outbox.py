"""The bells that are to be rung: one row for each owed piece of work, gone when it is claimed."""

from collections.abc import Callable

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    case,
    delete,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from node.core.job import DeliveryState, JobState, Readiness
from node.store import schema
from node.store.database import Database

ANALYSE = "analyse"
DELIVER = "deliver"
MOST_DOUBLINGS = 8


class OutboxStore:
    """Rings for what is owed.

    Parameters
    ----------
    database
        Where the rows are kept.
    ring_again_s
        A bell that nobody answered is rung again after this, then after twice as long, and so on: while
        no worker runs, every ring stays with the broker.
    """

    def __init__(self, database: Database, ring_again_s: float) -> None:
        self._database = database
        self._ring_again_s = ring_again_s

    def ring_due(self, ring: Callable[[str], bool]) -> int:
        """Ring for every due row that nobody answered yet, once for all deliveries; return how many rows.

        Rung first and noted then: a crash in between rings twice, which is harmless. `ring` answers
        False when the broker is not there; the row stays due.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        table = schema.outbox
        with self._database.reading() as (connection, now):
            rows = connection.execute(select(table).where(self._due(now))).all()
        deliver = [row for row in rows if row.queue == DELIVER]
        rung = [row for row in rows if row.queue != DELIVER and ring(row.queue)]
        # one bell wakes every lane of the worker that hears it, and each looks for itself
        rung += deliver if deliver and ring(DELIVER) else []
        if rung:
            with self._database.transaction() as (connection, now):
                for row in rung:
                    connection.execute(
                        update(table)
                        .where(table.c.queue == row.queue, table.c.subject == row.subject)
                        .values(rung_at=now, rings=table.c.rings + 1)
                    )
        return len(rung)

    def _due(self, now: float) -> ColumnElement[bool]:
        """Return the condition under which a bell is rung: in the database, which may hold thousands."""
        table = schema.outbox
        most = 1 << MOST_DOUBLINGS
        times = case(
            (table.c.rings > MOST_DOUBLINGS, most),
            else_=literal(1).bitwise_lshift(table.c.rings - 1),
        )
        again = table.c.rung_at <= now - self._ring_again_s * times
        return and_(table.c.due_at <= now, or_(table.c.rung_at.is_(None), again))

    def sweep(self) -> int:
        """Put back the bells of work that is owed and has none; return how many.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        with self._database.transaction() as (connection, now):
            return sum(
                _put_back(connection, queue, table, key, now)
                for queue, table, key in (
                    (ANALYSE, schema.job, "job_id"),
                    (DELIVER, schema.delivery, "delivery_id"),
                    (DELIVER, schema.withdrawal, "withdrawal_id"),
                )
            )


def _put_back(connection: Connection, queue: str, table: Table, key: str, now: float) -> int:
    rung = select(literal(1)).where(
        schema.outbox.c.queue == queue, schema.outbox.c.subject == table.c[key]
    )
    missing = connection.execute(select(table.c[key]).where(owed(table, now), ~rung.exists())).all()
    for (subject,) in missing:
        put(connection, queue, subject, now)
    return len(missing)


def owed(table: Table, now: float) -> ColumnElement[bool]:
    """Return the condition under which a job, a delivery or a withdrawal may be claimed."""
    unheld = or_(table.c.lease_until.is_(None), table.c.lease_until < now)
    if table is not schema.job:
        return and_(table.c.state == DeliveryState.OWED, table.c.due_at <= now, unheld)
    waiting = and_(table.c.state == JobState.SCHEDULED, table.c.readiness != Readiness.INCOMPLETE)
    return and_(or_(waiting, table.c.state == JobState.IN_PROGRESS), table.c.due_at <= now, unheld)


def put(connection: Connection, queue: str, subject: str, due_at: float) -> None:
    """Owe a bell, in the caller's transaction; a bell that is owed already is owed again from `due_at`."""
    row = {"queue": queue, "subject": subject, "due_at": due_at, "rung_at": None, "rings": 0}
    connection.execute(
        upsert(schema.outbox)
        .values(row)
        .on_conflict_do_update(
            index_elements=["queue", "subject"], set_={"due_at": due_at, "rung_at": None}
        )
    )


def remove(connection: Connection, queue: str, subject: str) -> None:
    """Note, in the caller's transaction, that the bell was answered."""
    table = schema.outbox
    connection.execute(delete(table).where(table.c.queue == queue, table.c.subject == subject))
