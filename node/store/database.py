"""The database itself: one engine, one kind of transaction, one clock.

SQLite runs in WAL mode with ``synchronous=FULL`` (a commit that returned survives power loss), and every
transaction begins IMMEDIATE: a deferred one that upgrades to a write fails without a retry.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from node.errors import OutOfResources

_NOW = "SELECT (julianday('now') - 2440587.5) * 86400.0"

BUSY_TIMEOUT_MS = 30_000
"""How long a transaction waits for another process's write."""


class Database:
    """Transactions on the node's database.

    Parameters
    ----------
    path
        The SQLite file; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self._url = f"sqlite:///{path}"
        self._engine = create_engine(
            self._url,
            connect_args={"timeout": BUSY_TIMEOUT_MS / 1000},
            hide_parameters=True,  # an error's text must not quote a patient
        )
        _configure_sqlite(self._engine)

    def migrate(self) -> None:
        """Bring the schema to the newest revision; harmless when it is."""
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def transaction(self) -> Iterator[tuple[Connection, float]]:
        """Open one transaction: the connection, and the database's time at its start.

        Raises
        ------
        OutOfResources
            The database is locked for too long, full, or cannot be written.
        """
        try:
            with self._engine.begin() as connection:
                yield connection, _now(connection)
        except OperationalError as error:
            raise OutOfResources(f"database: {error.orig}") from error

    @contextmanager
    def reading(self) -> Iterator[tuple[Connection, float]]:
        """Read from a snapshot, which waits for nobody.

        Raises
        ------
        OutOfResources
            The database cannot be read.
        """
        try:
            with self._engine.connect().execution_options(reading=True) as connection:
                yield connection, _now(connection)
        except OperationalError as error:
            raise OutOfResources(f"database: {error.orig}") from error

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def _now(connection: Connection) -> float:
    # one clock for all processes, and on a server-side database for all machines
    return float(connection.exec_driver_sql(_NOW).scalar_one())


def _configure_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # sqlite3 must not begin by itself
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
