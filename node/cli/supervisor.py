"""Runs every role as a child process, restarts what ends, and ends all of them together."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from node.settings import Settings
from node.telemetry import log

RESTART_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Pauses before a role that ended is started again; the last one repeats."""

STEADY_S = 60.0
"""A role that ran this long starts at the shortest pause again."""

STOP_S = 20.0
"""How long roles may drain before they are killed."""

PARENT = "OVERREAD_PARENT_PID"
"""Environment variable that tells a role whose end is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One child process.

    Parameters
    ----------
    arguments
        ``overread …``, without the configuration.
    descriptors
        Open files that it inherits.
    last
        It ends when the others have ended: they need it until then.
    """

    arguments: tuple[str, ...]
    descriptors: tuple[int, ...] = ()
    last: bool = False

    def __str__(self) -> str:
        return " ".join(self.arguments)


def roles(settings: Settings) -> list[Role]:
    """Return every role of one machine."""
    named: list[tuple[str, ...]] = [
        ("listener",),
        ("keeper",),
        ("worker", "--queue", "analyse"),
        ("worker", "--queue", "deliver"),
        ("web",),
    ]
    if settings.hl7.enabled:
        named.append(("hl7",))
    if settings.inference.server == "triton" and _triton_is_ours(settings):
        named.insert(0, ("triton",))
    return [Role(arguments=arguments) for arguments in named]


def listeners(
    listening: socket.socket, count: int, channel: tuple[socket.socket, socket.socket]
) -> list[Role]:
    """Return the recorder, and the processes that share a listening socket.

    The sockets stay open in their parent: while one of the processes is started again, the kernel holds new
    connections for it, which the others take, and what was told.

    Parameters
    ----------
    channel
        The recorder's end, and that of the others.
    """
    hearing, telling = (end.fileno() for end in channel)
    descriptor = listening.fileno()
    sockets = ("--socket-fd", str(descriptor), "--told-fd", str(telling))
    receiving = [
        Role(
            arguments=("listener", *sockets, "--number", str(number)),
            descriptors=(descriptor, telling),
        )
        for number in range(count)
    ]
    recorder = Role(
        arguments=("recorder", "--told-fd", str(hearing)), descriptors=(hearing,), last=True
    )
    return [recorder, *receiving]


@dataclass(slots=True)
class _Child:
    role: Role
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    due: float = field(default=0.0)


class Supervisor:
    """The parent of roles on one machine.

    Parameters
    ----------
    config
        The TOML file that every role reads.
    children
        What it runs.
    before_last
        Called at the end, when all have ended but the last.
    """

    def __init__(
        self,
        config: Path,
        children: Sequence[Role],
        before_last: Callable[[], object] = lambda: None,
    ) -> None:
        self._config = config
        self._stopping = threading.Event()
        self._before_last = before_last
        self._children = [_Child(role) for role in children]

    def run(self) -> None:
        """Keep every role running until `stop`."""
        while not self._stopping.wait(0.1):
            for child in self._children:
                self._tend(child)
        self._end()

    def stop(self) -> None:
        """End `run`: every role drains."""
        self._stopping.set()

    def _tend(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process is not None and child.process.poll() is not None:
            steady = now - child.started > STEADY_S
            child.failures = 0 if steady else child.failures + 1
            child.due = now + RESTART_S[min(child.failures, len(RESTART_S) - 1)]
            log("role ended", status=child.process.returncode, detail=str(child.role))
            child.process = None
        if child.process is None and now >= child.due:
            child.process = self._start(child.role)
            child.started = now

    def _start(self, role: Role) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "node", *role.arguments, "--config", str(self._config)]
        environment = {**os.environ, PARENT: str(os.getpid())}
        process = subprocess.Popen(  # noqa: S603 - our own module
            command, env=environment, pass_fds=role.descriptors
        )
        log("role started", pid=process.pid, detail=str(role))
        return process

    def _end(self) -> None:
        self._end_all(last=False)
        self._before_last()
        self._end_all(last=True)

    def _end_all(self, *, last: bool) -> None:
        children = [child for child in self._children if child.role.last is last]
        running = [child.process for child in children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _triton_is_ours(settings: Settings) -> bool:
    from inference.triton import installed

    return settings.inference.host in {"127.0.0.1", "localhost"} and installed()
