"""The database that the revisions make is the one that the code expects, and it keeps what it is told."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from node.store import schema
from node.store.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "overread.db")


def difference(database: Database) -> list[object]:
    with database.reading() as (connection, _):
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found: list[object] = compare_metadata(context, schema.metadata)
        return found


def test_the_revisions_make_the_schema(database: Database) -> None:
    assert difference(database) != []  # an empty database is seen to differ
    database.migrate()
    assert difference(database) == []


def test_a_column_that_no_revision_makes_is_seen(database: Database) -> None:
    database.migrate()
    with database.transaction() as (connection, _):
        connection.execute(text("ALTER TABLE delivery DROP COLUMN lost_leases"))
    assert difference(database) != []


def test_migrating_again_changes_nothing(database: Database) -> None:
    database.migrate()
    with database.transaction() as (connection, _):
        connection.execute(text("INSERT INTO role_lease VALUES ('keeper', 'a', 0)"))
    database.migrate()
    with database.reading() as (connection, _):
        assert connection.execute(text("SELECT count(*) FROM role_lease")).scalar_one() == 1


def test_all_roles_may_migrate_at_once(tmp_path: Path) -> None:
    start = Barrier(6)

    def begin() -> None:
        start.wait()
        one = Database(tmp_path / "overread.db")
        one.migrate()
        one.close()

    with ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(begin) for _ in range(6)]:
            future.result()
    assert difference(Database(tmp_path / "overread.db")) == []


DURABLE = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
"""PRAGMAs by name; synchronous 2 is FULL."""


def pragmas(connection: Connection) -> dict[str, object]:
    return {name: connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in DURABLE}


def test_commits_survive_power_loss_on_every_connection(database: Database) -> None:
    database.migrate()
    with ExitStack() as open_at_once:
        for _ in range(4):  # each has a connection of its own
            connection, _ = open_at_once.enter_context(database.reading())
            assert pragmas(connection) == DURABLE
        connection, _ = open_at_once.enter_context(database.transaction())
        assert pragmas(connection) == DURABLE


def test_a_transaction_begins_as_a_writer(database: Database) -> None:
    """One that upgrades later would fail without a retry when somebody else wrote in between."""
    database.migrate()
    statements: list[str] = []
    with database.transaction() as (connection, _):
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.set_trace_callback(statements.append)
    with database.transaction():
        pass
    with database.reading():
        pass
    begins = [statement for statement in statements if statement.startswith("BEGIN")]
    assert begins == ["BEGIN IMMEDIATE", "BEGIN"]


def test_the_databases_clock_tells_the_time(database: Database) -> None:
    database.migrate()

    with database.reading() as (_, now):
        assert now == pytest.approx(time.time(), abs=2)
