"""HTTP exchanges that are over in time: httpx bounds each read, and a server may send a byte at each.

What is late ends as httpx's own time-outs do, wherever it is: while it is asked, within the head or the body.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpx

PATIENCE = 4
"""An exchange may take so many times as long as one read of its answer."""
_PIECE = 1 << 14
"""Bytes that are written at a time: each may take as long as is left."""

_until: ContextVar[float | None] = ContextVar("until", default=None)
"""When all that this thread asks for has to be over, by `time.monotonic`."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Bound all exchanges of a block together, whichever of our clients they are with."""
    until = time.monotonic() + seconds
    outer = _until.get()
    token = _until.set(until if outer is None else min(outer, until))
    try:
        yield
    finally:
        _until.reset(token)


class InTime:
    """The hook of a client by which each of its exchanges is bounded as a whole.

    Parameters
    ----------
    longest_s
        How long one may take, from when it is begun.
    """

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        # several lanes may share a client, and a connection goes from one to the other
        self._own = threading.local()

    def __call__(self, request: httpx.Request) -> None:
        """Begin with a request."""
        until, bound = time.monotonic() + self._longest_s, _until.get()
        self._own.until = until if bound is None else min(until, bound)
        waits = {of: self._shorter(wait) for of, wait in request.extensions["timeout"].items()}
        request.extensions = {**request.extensions, "timeout": waits, "trace": self._watch}

    def left_s(self) -> float:
        """Return how long the exchange that this thread has begun may still take; 0 or less when it is late."""
        return float(self._own.until - time.monotonic())

    def _watch(self, event: str, told: Mapping[str, Any]) -> None:
        # of httpcore's events those that bring a stream, with TLS one around the other
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._bound(told["return_value"])

    def _bound(self, stream: Any) -> None:
        read, write = stream.read, stream.write

        def read_in_time(max_bytes: int, timeout: float | None = None) -> bytes:
            return bytes(read(max_bytes, self._shorter(timeout, httpx.ReadTimeout)))

        def write_in_time(buffer: bytes, timeout: float | None = None) -> None:
            for start in range(0, len(buffer), _PIECE):
                shorter = self._shorter(timeout, httpx.WriteTimeout)
                write(buffer[start : start + _PIECE], shorter)

        stream.read, stream.write = read_in_time, write_in_time

    def _shorter(
        self, timeout: float | None, late: type[httpx.TimeoutException] = httpx.PoolTimeout
    ) -> float:
        left = self.left_s()
        if left <= 0:
            raise late("no time is left")
        return left if timeout is None else min(timeout, left)
