"""Child processes of the demo: started with their output in a file, waited for, ended."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from node.errors import NodeError

STOP_S = 25.0
"""How long a process may take to end before it is killed."""


class DemoFailed(NodeError):
    """A part of the demo did not come up or did not answer; the message names its log."""


def free_ports(count: int) -> list[int]:
    """Return TCP ports on loopback that nobody listens on at this moment."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` with its output in `log`; end it on leaving."""
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - commands of this package
            list(command), stdout=output, stderr=subprocess.STDOUT, env=environment
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(condition: Callable[[], bool], *, timeout_s: float, what: str) -> None:
    """Wait until `condition` holds.

    Raises
    ------
    DemoFailed
        It did not hold within `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise DemoFailed(f"waited {timeout_s:.0f} s for {what}")
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Whether something on loopback accepts connections on `port`."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
