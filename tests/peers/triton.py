"""A Triton server with models of a test's choice."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inference.errors import TritonAbsent
from inference.triton import Ports, TritonProcess, start
from tests.peers import absent

READY_TIMEOUT_S = 60.0


@contextmanager
def serving(repository: Path, folder: Path) -> Iterator[TritonProcess]:
    """Serve a repository while the block runs; the log stays in `folder`."""
    try:
        process = start(repository, folder, Ports.free())
    except TritonAbsent as error:
        absent(str(error), "pip install nvidia-pytriton on Linux x86-64")
    with process:
        process.wait_ready(READY_TIMEOUT_S)
        yield process
