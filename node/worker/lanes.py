"""The threads of a worker that delivers: for each destination its own, so that none waits for another one's."""

import threading
import time
from collections.abc import Mapping

from node.bootstrap import LaneStep
from node.core.ports import Hold
from node.telemetry import log_failure

LOOK_S = 1.0
"""How often a lane without a bell looks: a circuit that may be tried, a maintenance window that is over."""

DRAIN_S = 15.0
"""How long what is under way may take when the process ends; the lease of what takes longer runs out."""


class Lanes:
    """Threads that take what is owed to their destination, one piece after the other.

    Parameters
    ----------
    threads
        How many there are for each destination; None stands for the destinations that are not configured.
    step
        Does one piece of a destination's owed work.
    hold
        Keeps what is under way from being taken by others.
    """

    def __init__(self, threads: Mapping[str | None, int], step: LaneStep, hold: Hold) -> None:
        self._step = step
        self._hold = hold
        self._stopping = threading.Event()
        # one bell for each thread: whoever hears his own takes nothing from the others
        self._bells: list[threading.Event] = []
        self._threads: list[threading.Thread] = []
        for destination, count in threads.items():
            for _ in range(count):
                bell = threading.Event()
                self._bells.append(bell)
                self._threads.append(
                    threading.Thread(target=self._run, args=(destination, bell), daemon=True)
                )

    def start(self) -> None:
        """Let every lane look what is owed to it."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Let every lane that waits look again."""
        for bell in self._bells:
            bell.set()

    def stop(self) -> None:
        """Begin nothing more, and wait a while for what is under way."""
        self._stopping.set()
        self.wake()
        deadline = time.monotonic() + DRAIN_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, destination: str | None, bell: threading.Event) -> None:
        while not self._stopping.is_set():
            bell.clear()  # before looking: what is owed from now on rings again
            if not self._look(destination):
                bell.wait(LOOK_S)

    def _look(self, destination: str | None) -> bool:
        try:
            return self._step(destination, self._hold)
        except Exception as error:
            # the outermost frame of a thread: told without its text, which may quote data. The lease of
            # what it held runs out, and the others' deliveries go on.
            log_failure("task failed", error, queue="deliver", destination=destination)
            return False
