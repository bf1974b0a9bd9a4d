"""Debian's Redis as the broker, on loopback and a free port, without a file."""

import contextlib
import importlib.util
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.peers import absent, free_port, program, wait_for


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run a server while the block runs; give its URL as Celery takes it."""
    if importlib.util.find_spec("redis") is None:
        absent("redis", "pip install redis")
    server, port = program("redis-server", "redis-server"), free_port()
    command = [str(server), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--appendonly", "no", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: _answers(port), timeout_s=20, what="redis-server")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(timeout=20)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as probe:
        probe.sendall(b"PING\r\n")
        return probe.recv(16).startswith(b"+PONG")
    return False
