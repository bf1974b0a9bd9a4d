"""The role that keeps things moving: assembles, dispatches, prepares, rings, sweeps.

Once a day it deletes what may go and draws up the ledger. One keeper works at a time, by a lease; another
one takes over when it falls silent.
"""

import threading
import time
from collections.abc import Callable
from functools import partial

from celery import Celery

from node.bootstrap import Keeping, Step
from node.clock import Clock
from node.errors import OutOfResources
from node.pipeline.apart import Apart
from node.pipeline.assemble import assemble
from node.pipeline.dispatch import dispatch
from node.pipeline.expect import expect, judge_due
from node.pipeline.prepare import no_priors, prepare
from node.pipeline.retrieve import Archive, complete_from
from node.telemetry import log, log_failure
from node.worker.app import ring
from node.worker.hold import holding
from node.worker.night import Night

ROUND_S = 0.1
SWEEP_S = 1.0
REPORT_S = 0.5
ASK_S = 0.5
CONFIRM_S = 0.5
ORDER_S = 0.5
NOTICE_S = 1.0
HOLD_S = 1.0
LOOK_S = 20.0
"""How often the keeper looks whether the day's work is due."""


class Keeper:
    """Runs the rounds.

    Parameters
    ----------
    keeping
        What it works with.
    app
        Rings the bells.
    clock
        The time against which quiet times are measured.
    """

    def __init__(self, keeping: Keeping, app: Celery, clock: Clock) -> None:
        self._keeping = keeping
        self._app = app
        self._clock = clock
        self._apart = Apart(clock)
        self._stop = threading.Event()
        self._held = threading.Event()
        self._failed = False
        self._night = Night(keeping.nights, clock, self._stop.is_set)

    def run(self) -> bool:
        """Keep until `stop`; False when it ended by a bug, and the process should be started again.

        Preparation has a thread of its own, so that a slow EHR delays nobody else; so have the reports of
        Storage Commitment, whose peers answer when they like, each archive that is asked, or confirms, and who
        is asked for orders.
        """
        works: tuple[Callable[[], None], ...] = (
            self._hold,
            lambda: self._repeat(self._prepare, ROUND_S),
            lambda: self._repeat(self._sweep, SWEEP_S),
            lambda: self._repeat(self._report_commitment, REPORT_S),
            *(partial(self._ask, archive) for archive in self._keeping.archives),
            *(partial(self._confirm, step) for step in self._keeping.confirmers),
            *(partial(self._repeat, work, ORDER_S) for work in self._keeping.ordering.works),
            *(partial(self._verify, archive) for archive in self._keeping.archives),
            *(partial(self._search, archive) for archive in self._keeping.archives),
            lambda: self._repeat(self._notify, NOTICE_S),
            lambda: self._repeat(self._night.look, LOOK_S),
        )
        threads = [threading.Thread(target=self._guard, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        # here, because this thread must come round to look at signals
        self._guard(lambda: self._repeat(self._round, ROUND_S))
        for thread in threads:
            thread.join()
        return not self._failed

    def stop(self) -> None:
        """End the rounds; the current one is finished."""
        self._stop.set()

    def _guard(self, work: Callable[[], None]) -> None:
        # the outermost frame of a thread: one that is dead would leave a keeper that holds its lease, and
        # so keeps others away, and does half of its work
        try:
            work()
        except Exception as error:
            self._failed = True
            log_failure("keeper fails", error)
        finally:
            self._stop.set()

    def _hold(self) -> None:
        while not self._stop.is_set():
            try:
                held = self._keeping.lease.hold()
            except OutOfResources as error:
                log_failure("keeper's lease not prolonged", error)
                held = False
            if held != self._held.is_set():
                log("keeper" if held else "keeper waits", state="held" if held else "not held")
            (self._held.set if held else self._held.clear)()
            self._stop.wait(HOLD_S)
        if self._held.is_set():
            self._keeping.lease.let_go()

    def _repeat(self, work: Callable[[], object], every_s: float) -> None:
        while not self._stop.is_set():
            begun = time.monotonic()
            if self._held.is_set():
                try:
                    work()
                except OutOfResources as error:
                    log_failure("round not finished", error)
            self._stop.wait(max(0.0, every_s - (time.monotonic() - begun)))

    def _round(self) -> None:
        keeping = self._keeping
        assemble(keeping.intake, keeping.quiet_of, self._clock, self._apart, keeping.frames)
        dispatch(keeping.intake, keeping.jobs, keeping.routes, self._apart)
        keeping.outbox.ring_due(lambda queue: ring(self._app, queue))

    def _prepare(self) -> None:
        keeping = self._keeping
        cards = keeping.routes.cards
        prepare(
            keeping.jobs,
            cards,
            keeping.record_for,
            keeping.source_of,
            self._apart,
            keeping.merged_to,
            keeping.await_priors or no_priors,
        )

    def _notify(self) -> None:
        if self._keeping.notify is not None:
            self._keeping.notify(self._apart)

    def _report_commitment(self) -> None:
        self._exhaust(self._keeping.report_commitment)

    def _confirm(self, step: Step) -> None:
        self._repeat(partial(self._exhaust, step), CONFIRM_S)

    def _exhaust(self, step: Step) -> None:
        hold = holding(HOLD_S)
        while self._held.is_set() and not self._stop.is_set():
            if not step(hold):
                return

    def _ask(self, archive: Archive) -> None:
        keeping, apart = self._keeping, Apart(self._clock)
        recovered = False

        def again_of(source: str) -> float:
            return keeping.quiet_of(source).apart_s

        def ask() -> None:
            nonlocal recovered
            if not recovered:  # under the lease: before it, another keeper may be fetching
                archive.recover()
                recovered = True
            complete_from(archive, keeping.evidences, again_of, apart)

        self._repeat(ask, ASK_S)

    def _verify(self, archive: Archive) -> None:
        """Ask an archive whose studies they are: results wait, so a thread of its own that looks often."""
        verifier, apart = self._keeping.verifier, Apart(self._clock)
        if verifier is not None:
            self._repeat(lambda: verifier.look(archive, apart), ROUND_S)

    def _search(self, archive: Archive) -> None:
        """Look for earlier studies in an archive: a whole series is fetched, so a thread of its own."""
        searcher, apart = self._keeping.searcher, Apart(self._clock)
        if searcher is not None:
            self._repeat(lambda: searcher.look(archive, apart), ASK_S)

    def _sweep(self) -> None:
        keeping = self._keeping
        swept = keeping.outbox.sweep()
        if swept:
            log("bells put back", count=swept)
        expect(keeping.expectations, keeping.routes, self._apart)
        if keeping.verifier is not None:
            keeping.verifier.let_go({name for one in keeping.archives for name in one.sources})
        judge_due(keeping.expectations, keeping.routes, self._apart)
