"""NVIDIA's Triton server from the wheel ``nvidia-pytriton``, as a child process on this machine.

The wheel carries the server's binary and its Python backend; only those files are used. Run as a module,
this file turns itself into the command that it is given, once the kernel has promised to end it with its
parent: see `start`.
"""

import ctypes
import http.client
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from inference.errors import ServerUnavailable, TritonAbsent

ADDRESS = "127.0.0.1"
"""The server has no authentication: it is for this machine alone."""

STOP_TIMEOUT_S = 15.0
"""How long the server may take to finish what it runs, before it is killed."""

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """TCP ports on loopback for the server's three services."""

    http: int
    grpc: int
    metrics: int

    @classmethod
    def free(cls) -> Self:
        """Three ports that nobody listens on at this moment."""
        with socket.socket() as a, socket.socket() as b, socket.socket() as c:
            for probe in (a, b, c):
                probe.bind((ADDRESS, 0))
            return cls(http=a.getsockname()[1], grpc=b.getsockname()[1], metrics=c.getsockname()[1])


class TritonProcess:
    """A running server; ends with the `with` block, or by `stop`.

    Parameters
    ----------
    process
        The server.
    ports
        Where it listens.
    log
        What it writes goes there.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", ports: Ports, log: Path) -> None:
        self._process = process
        self.ports = ports
        self.log = log

    @property
    def url(self) -> str:
        """``host:port`` of the gRPC service, as `inference.server.TritonServer` takes it."""
        return f"{ADDRESS}:{self.ports.grpc}"

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there; it may still be loading models."""
        return self._process.poll() is None

    def wait_ready(self, timeout_s: float) -> None:
        """Return as soon as all models are loaded.

        Raises
        ------
        ServerUnavailable
            The server ended by itself, or is not ready in time; the caller stops it and runs the models
            in process.
        """
        deadline = time.monotonic() + timeout_s
        while not self._ready():
            if not self.running:
                raise ServerUnavailable(
                    f"Triton ended with status {self._process.returncode}: see {self.log}"
                )
            if time.monotonic() > deadline:
                raise ServerUnavailable(f"Triton is not ready in {timeout_s:g} s: see {self.log}")
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """End the server: politely, then by force. Does nothing when it is gone already."""
        if self.running:
            self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection(ADDRESS, self.ports.http, timeout=_POLL_S * 10)
        try:
            connection.request("GET", "/v2/health/ready")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def start(repository: Path, folder: Path, ports: Ports) -> TritonProcess:
    """Start the server; it is not ready yet.

    The kernel ends the server when the thread that called this function ends (PR_SET_PDEATHSIG), however
    it ends: call it from a thread that lives as long as the server shall.

    Parameters
    ----------
    repository
        Model repository.
    folder
        Kept for the server: its backend and its log, ``triton.log``.
    ports
        Where it shall listen.

    Raises
    ------
    TritonAbsent
        The wheel is not installed, or not usable with this Python; the caller runs the models in process.
    """
    served = command(repository, prepare_backends(folder), ports)
    log = folder / "triton.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own files and numbers, no shell
            [sys.executable, "-m", "inference.triton", str(os.getpid()), *served],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return TritonProcess(process, ports, log)


def command(repository: Path, backends: Path, ports: Ports) -> list[str]:
    """Command line of the server, for `start` or for a process that turns itself into it.

    Every folder of the repository with a ``config.pbtxt`` is served, and nothing else in it is looked at.

    Raises
    ------
    TritonAbsent
        The wheel is not installed.
    """
    models = sorted(path.parent.name for path in repository.glob("*/config.pbtxt"))
    return [
        str(_wheel() / "bin" / "tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={backends}",
        "--model-control-mode=explicit",
        *(f"--load-model={model}" for model in models),
        "--disable-auto-complete-config",
        *(f"--{service}-address={ADDRESS}" for service in ("http", "grpc", "metrics")),
        f"--http-port={ports.http}",
        f"--grpc-port={ports.grpc}",
        f"--metrics-port={ports.metrics}",
        f"--exit-timeout-secs={STOP_TIMEOUT_S * 2 / 3:.0f}",
    ]


def environment() -> dict[str, str]:
    """Environment of the server: this process's, with what the Python backend's stub needs to start.

    Raises
    ------
    TritonAbsent
        The wheel is not installed.
    """
    site = _wheel().parent.parent
    python = Path(sysconfig.get_config_var("LIBDIR"))
    libraries = [str(python), str(site / "nvidia_pytriton.libs")]
    return {
        **os.environ,
        "LD_LIBRARY_PATH": os.pathsep.join([*libraries, *_set("LD_LIBRARY_PATH")]),
        # The stub ignores PYTHONPATH; the first python3 on the PATH tells it whose packages to use.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), *_set("PATH")]),
    }


def prepare_backends(folder: Path) -> Path:
    """Put the Python backend and the stub for this Python side by side, where the server finds both.

    Files that are there already stay; others replace theirs as a whole, under a running server too.

    Raises
    ------
    TritonAbsent
        The wheel is not installed, or has no stub for this Python.
    """
    wheel = _wheel()
    stub = _stub(wheel)
    if not stub.is_file():
        raise TritonAbsent(f"nvidia-pytriton has no Python backend for Python {stub.parent.name}")
    backends = folder / "backends"
    (backends / "python").mkdir(parents=True, exist_ok=True)
    files = [path for path in (wheel / "backends" / "python").iterdir() if path.is_file()]
    for source in (*files, stub):
        target = backends / "python" / source.name
        if not target.exists() or target.stat().st_mtime != source.stat().st_mtime:
            fresh = target.with_name(f"{target.name}.{os.getpid()}")
            shutil.copy2(source, fresh)
            fresh.replace(target)
    return backends


def installed() -> bool:
    """Whether the wheel is there and usable with this Python."""
    try:
        return _stub(_wheel()).is_file()
    except TritonAbsent:
        return False


def end_with_parent(parent: int) -> None:
    """Ask the kernel to end this process with the process `parent` that started it (Linux; PR_SET_PDEATHSIG).

    The promise survives an exec. Elsewhere than on Linux nothing happens.
    """
    if sys.platform != "linux":
        return
    # a preexec_fn would do this between fork and exec, where a process with threads may deadlock
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("the parent ended before this process began")


def _stub(wheel: Path) -> Path:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return wheel / "python_backend_stubs" / version / "triton_python_backend_stub"


def _wheel() -> Path:
    spec = importlib.util.find_spec("pytriton")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        server = Path(place) / "tritonserver"
        if (server / "bin" / "tritonserver").is_file():
            return server
    raise TritonAbsent("the wheel nvidia-pytriton is not installed (Linux on x86-64 only)")


def _set(variable: str) -> list[str]:
    return [value] if (value := os.environ.get(variable)) else []


def _become(parent: int, served: list[str]) -> None:
    end_with_parent(parent)
    os.execv(served[0], served)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
