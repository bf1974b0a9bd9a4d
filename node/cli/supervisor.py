"""Runs every role as a child process, restarts what ends, and ends all of them together."""

import os
import subprocess
import sys
import threading
import time
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


@dataclass(slots=True)
class _Child:
    arguments: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    due: float = field(default=0.0)


class Supervisor:
    """The parent of all roles on one machine.

    Parameters
    ----------
    config
        The TOML file that every role reads.
    settings
        The same, read.
    """

    def __init__(self, config: Path, settings: Settings) -> None:
        self._config = config
        self._stopping = threading.Event()
        roles: list[tuple[str, ...]] = [
            ("listener",),
            ("keeper",),
            ("worker", "--queue", "analyse"),
            ("worker", "--queue", "deliver"),
            ("web",),
        ]
        if settings.inference.server == "triton" and _triton_is_ours(settings):
            roles.insert(0, ("triton",))
        self._children = [_Child(role) for role in roles]

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
            log("role ended", status=child.process.returncode, detail=" ".join(child.arguments))
            child.process = None
        if child.process is None and now >= child.due:
            child.process = self._start(child.arguments)
            child.started = now

    def _start(self, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "node", *arguments, "--config", str(self._config)]
        environment = {**os.environ, PARENT: str(os.getpid())}
        process = subprocess.Popen(command, env=environment)  # noqa: S603 - our own module
        log("role started", pid=process.pid, detail=" ".join(arguments))
        return process

    def _end(self) -> None:
        running = [child.process for child in self._children if child.process is not None]
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
