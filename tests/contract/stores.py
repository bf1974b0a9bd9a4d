"""A node's store on a database engine, and a shortcut for every step that a study takes in it."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select, text

from node.core.completeness import Evidence
from node.core.identifiers import input_digest
from node.core.job import (
    Claim,
    DeliveryClaim,
    DeliveryState,
    InstanceState,
    JobRequest,
    Readiness,
    ResultSet,
)
from node.core.study import Outcome, Received, StoredSeries
from node.core.withdrawal import WithdrawalClaim
from node.store import schema
from node.store.announcements import AnnouncementStore
from node.store.commitments import CommitmentStore
from node.store.confirmations import ConfirmationStore
from node.store.database import Database
from node.store.deliveries import DeliveryStore
from node.store.index import IntakeStore
from node.store.jobs import JobStore
from node.store.outbox import OutboxStore
from node.store.withdrawals import WithdrawalStore
from tests.unit.node.samples import EVIDENCE, job_request, received, result_set

LEASE_S = 60.0
EXPIRED = -1.0
"""A lease that is over when it begins."""


@cache
def _migrated_sqlite() -> bytes:
    with TemporaryDirectory() as folder:
        database = Database(Path(folder) / "overread.db")
        database.migrate()
        database.close()
        return (Path(folder) / "overread.db").read_bytes()


def sqlite(folder: Path) -> Callable[[], Database]:
    """Make a migrated SQLite database in a folder."""
    path = folder / "overread.db"
    path.write_bytes(_migrated_sqlite())
    return lambda: Database(path)


ENGINES: Mapping[str, Callable[[Path], Callable[[], Database]]] = {"sqlite": sqlite}
"""Makes a migrated, empty database on each engine that the store must hold on.

What is returned opens it: a second call is a second process on the same database.
"""


@dataclass(kw_only=True)
class Store:
    """One process's view of the store."""

    database: Database
    open_another: Callable[[], Database]
    folder: Path
    lease_s: float = LEASE_S
    reissued: Collection[str] = ()
    others: list[Database] = field(default_factory=list)

    @property
    def intake(self) -> IntakeStore:
        return IntakeStore(self.database, "listener:1")

    @property
    def jobs(self) -> JobStore:
        return JobStore(self.database, self.lease_s, reissued=self.reissued)

    @property
    def deliveries(self) -> DeliveryStore:
        return DeliveryStore(self.database, self.lease_s)

    @property
    def withdrawals(self) -> WithdrawalStore:
        return WithdrawalStore(self.database, self.lease_s)

    @property
    def announcements(self) -> AnnouncementStore:
        return AnnouncementStore(self.database)

    @property
    def commitments(self) -> CommitmentStore:
        return CommitmentStore(self.database, self.lease_s)

    @property
    def confirmations(self) -> ConfirmationStore:
        return ConfirmationStore(self.database, self.lease_s)

    def outbox(self, ring_again_s: float = 15.0) -> OutboxStore:
        return OutboxStore(self.database, ring_again_s)

    def another(self, lease_s: float = LEASE_S) -> "Store":
        """Give what another process sees."""
        database = self.open_another()
        self.others.append(database)
        return Store(
            database=database,
            open_another=self.open_another,
            folder=self.folder,
            lease_s=lease_s,
        )

    def close(self) -> None:
        for database in (self.database, *self.others):
            database.close()

    # --- what is in it

    def rows(self, table: Table) -> list[Row[Any]]:
        with self.database.reading() as (connection, _):
            return list(connection.execute(select(table)).all())

    def one(self, table: Table) -> Row[Any]:
        (row,) = self.rows(table)
        return row

    def counts(self) -> dict[str, int]:
        """Rows of every table."""
        with self.database.reading() as (connection, _):
            return {
                table.name: _count(connection, table) for table in schema.metadata.sorted_tables
            }

    def story(self) -> list[str]:
        return [row.what for row in self.rows(schema.event)]

    def write(self, statement: str, **values: Any) -> None:
        """Change what no port changes: time that passed, or damage."""
        with self.database.transaction() as (connection, _):
            connection.execute(text(statement), values)

    def expire_leases(self) -> None:
        self.write("UPDATE job SET lease_until = 1 WHERE lease_until IS NOT NULL")
        self.write("UPDATE delivery SET lease_until = 1 WHERE lease_until IS NOT NULL")
        self.write("UPDATE withdrawal SET lease_until = 1 WHERE lease_until IS NOT NULL")
        self.write("UPDATE commitment SET lease_until = 1 WHERE lease_until IS NOT NULL")
        self.write("UPDATE confirmation SET lease_until = 1 WHERE lease_until IS NOT NULL")

    # --- the way of a study

    def take(self, one: Received, verdict: Outcome) -> Outcome | None:
        """Record an instance after it was compared with what is on record under its UID."""
        _, digest = self.intake.known(one.header.sop_instance_uid) or (None, "")
        return self.intake.record(replace(one, verdict=(digest, verdict)))

    def receive(self, *numbers: int, **attributes: Any) -> list[Received]:
        """Record instances as stored."""
        instances = [received(number, **attributes) for number in numbers]
        for one in instances:
            assert self.intake.record(one) is Outcome.STORED
        return instances

    def close_all(self, evidence: Evidence = EVIDENCE) -> list[StoredSeries]:
        """Close every open series; return those that wait for dispatch."""
        for series in self.intake.open_series():
            assert self.intake.close_series(series, evidence)
        return self.intake.undispatched_series()

    def request(self, series: StoredSeries, **changes: Any) -> JobRequest:
        """Order the job that reads a series."""
        digest = input_digest(series.instances)
        ordered: dict[str, Any] = {
            "job_id": f"job {digest[:8]}",
            "digest": digest,
            "study_instance_uid": series.study_instance_uid,
            "series_instance_uid": series.series_instance_uid,
            "inputs": {"volume": tuple(uid for uid, _ in series.instances)},
            **changes,
        }
        return job_request(**ordered)

    def dispatch(self, **changes: Any) -> list[JobRequest]:
        """Dispatch every closed series."""
        requests = []
        for series in self.close_all():
            request = self.request(series, **changes)
            self.jobs.dispatch(series, [request], ())
            requests.append(request)
        return requests

    def ready(self, *numbers: int, **changes: Any) -> JobRequest:
        """Receive a series and bring its job so far that a worker may claim it."""
        self.receive(*(numbers or (1, 2, 3)))
        (request,) = self.dispatch(**changes)
        self.jobs.prepared(request.job_id, Readiness.READY, {})
        return request

    def ready_again(self) -> JobRequest:
        """Bring the job of a series that grew so far that a worker may claim it."""
        (request,) = self.dispatch()
        self.jobs.prepared(request.job_id, Readiness.READY, {})
        return request

    def claimed(self) -> Claim:
        claim = self.jobs.claim()
        assert claim is not None
        return claim

    def claimed_delivery(self) -> DeliveryClaim:
        claim = self.deliveries.claim()
        assert claim is not None
        return claim

    def claimed_withdrawal(self) -> WithdrawalClaim:
        claim = self.withdrawals.claim()
        assert claim is not None
        return claim

    def correct(self, *numbers: int, patient: str = "OVR-7") -> None:
        """Receive images again, as another patient's."""
        for number in numbers or (1, 2, 3):
            one = received(number, PatientID=patient)
            assert self.take(one, Outcome.CORRECTION) is Outcome.CORRECTION

    def deliver_all(self) -> list[str]:
        """Bring what is owed, whole; return the destinations."""
        destinations = []
        while (claim := self.deliveries.claim()) is not None:
            for item, _ in claim.instances:
                self.deliveries.progress(claim, item.sop_instance_uid, InstanceState.SENT)
            receipt = {"references": ["DiagnosticReport/7"], "confirmed": True, "remark": None}
            self.deliveries.finish(claim, DeliveryState.CONFIRMED, receipt)
            destinations.append(claim.destination)
        return sorted(destinations)

    def published(self, number: int = 1) -> ResultSet:
        """Bring a study so far that its result is owed to two destinations."""
        self.ready()
        made = result_set(number)
        self.jobs.publish(self.claimed(), made)
        return made


class Killed(BaseException):
    """The end of a process, at this place."""


class Deadly:
    """A database whose user is killed before, or right after, its n-th transaction."""

    def __init__(self, database: Database, at: int, *, after: bool) -> None:
        self._inner = database
        self._left = at
        self._after = after

    def transaction(self) -> AbstractContextManager[tuple[Connection, float]]:
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[tuple[Connection, float]]:
        self._left -= 1
        if self._left < 0 or (self._left == 0 and not self._after):
            raise Killed  # the dead stay dead, whoever catches it
        with self._inner.transaction() as opened:
            yield opened
        if self._left == 0:
            raise Killed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@contextmanager
def opened(engine: str, folder: Path) -> Iterator[Store]:
    """Give an empty, migrated store."""
    open_one = ENGINES[engine](folder)
    store = Store(database=open_one(), open_another=open_one, folder=folder)
    try:
        yield store
    finally:
        store.close()


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())
