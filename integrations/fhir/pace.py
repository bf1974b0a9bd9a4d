"""How fast requests may follow each other: an EHR has other guests."""

import threading
import time
from collections.abc import Callable


class Pace:
    """Lets requests pass at an even rate, after a first second's worth at once.

    Parameters
    ----------
    per_s
        Requests in a second; None for any number.
    clock, sleep
        Monotonic seconds, and what waits for some.
    """

    def __init__(
        self,
        per_s: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._apart_s = 0.0 if per_s is None else 1.0 / per_s
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._full_at = clock()
        """When everything that has passed would have passed evenly."""

    def wait(self) -> None:
        """Return when one more request may leave."""
        if not self._apart_s:
            return
        with self._lock:
            now = self._clock()
            self._full_at = max(self._full_at, now) + self._apart_s
            ahead_s = self._full_at - now - max(1.0, self._apart_s)
        if ahead_s > 0:
            self._sleep(ahead_s)
