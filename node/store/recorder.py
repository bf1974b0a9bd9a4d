"""The records of what arrives, written together: one transaction for all instances that wait for one.

Whoever comes while a transaction is being committed waits, and the first of the waiting writes for all of
them. One association alone waits for nobody; eight share the cost of a commit.
"""

import threading
from collections.abc import Sequence

from node.core.study import Outcome, Received
from node.errors import NodeError, OutOfResources
from node.store.arrivals import write
from node.store.database import Database

MOST = 64
"""Instances of one transaction."""


class _Waiting:
    """One instance that waits for its transaction."""

    __slots__ = ("done", "failure", "outcome", "received")

    def __init__(self, received: Received) -> None:
        self.received = received
        self.done = False
        self.failure: NodeError | None = None
        self.outcome: Outcome | None = None


class Recorder:
    """Writes the journal's line and the records of instances.

    Parameters
    ----------
    database
        Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._committing = threading.Lock()
        self._waiting: list[_Waiting] = []

    def record(self, received: Received) -> Outcome | None:
        """Write one instance's; durable on return.

        Returns
        -------
        Outcome | None
            None, and nothing is written, when another content is on record under its UID and its verdict
            is not about that.

        Raises
        ------
        OutOfResources
            The database could not be written.
        """
        mine = _Waiting(received)
        with self._lock:
            self._waiting.append(mine)
        with self._committing:
            if not mine.done:
                self._commit()
        if mine.failure is not None:
            raise OutOfResources(str(mine.failure)) from mine.failure
        return mine.outcome

    def _commit(self) -> None:
        while True:
            with self._lock:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            if not batch:
                return
            try:
                with self._database.transaction() as (connection, now):
                    outcomes = write(connection, now, [one.received for one in batch])
            except NodeError as error:
                self._fail(batch, error)
            except BaseException:
                self._fail(batch, OutOfResources("the records of this instance were not written"))
                raise
            else:
                for one, outcome in zip(batch, outcomes, strict=True):
                    one.outcome = outcome
                    one.done = True

    def _fail(self, batch: Sequence[_Waiting], error: NodeError) -> None:
        for one in batch:
            one.failure = error
            one.done = True
