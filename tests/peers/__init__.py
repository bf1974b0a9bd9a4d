"""The real peers of the tests: each module starts one, on loopback and a free port, and stops it.

A peer that is not installed skips its tests at a desk and fails them in CI (``CI=true``).
"""

import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest


def absent(what: str, remedy: str) -> NoReturn:
    """Skip at a desk, fail in CI: `what` is not installed, and `remedy` would install it."""
    message = f"{what} is not installed ({remedy})"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def program(name: str, package: str) -> Path:
    """Full path of a program from Debian's `package`; never the one of the virtual environment."""
    path = shutil.which(name, path="/usr/bin:/usr/sbin:/usr/local/bin")
    if path is None:
        absent(name, f"apt-get install {package}")
    return Path(path)


def free_port() -> int:
    """Return a TCP port on loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(condition: Callable[[], object], *, timeout_s: float, what: str) -> None:
    """Wait until `condition` is truthy; fail with `what` when `timeout_s` has passed."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout_s:g} s for {what}")
        time.sleep(0.05)
