"""Keeps a lease alive while a step works."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from node.core.ports import Hold
from node.errors import LeaseLost, OutOfResources
from node.telemetry import log, log_failure


def holding(every_s: float) -> Hold:
    """Return a `Hold` that renews every `every_s` seconds, from a thread of its own.

    A lease that is lost is not an error here: the write that is conditional on it will say so.
    """

    @contextmanager
    def hold(renew: Callable[[], None]) -> Iterator[None]:
        done = threading.Event()
        thread = threading.Thread(target=_renew, args=(renew, every_s, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    return hold


def _renew(renew: Callable[[], None], every_s: float, done: threading.Event) -> None:
    while not done.wait(every_s):
        try:
            renew()
        except LeaseLost:
            log("lease not renewed")
            return
        except OutOfResources as error:
            log_failure("lease not renewed yet", error)
