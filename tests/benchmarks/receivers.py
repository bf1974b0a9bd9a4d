"""The Storage SCPs that the intake is measured against, each by its default settings and tuned.

Tuned means for DCMTK, and for Orthanc which stands on it: PDUs of 131072 bytes, ``TCP_NODELAY=1`` and
``TCP_BUFFER_LENGTH=262144`` in the environment (DCMTK's ``envvars.txt``), and no fsync.
"""

import contextlib
import json
import os
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.acceptance.site import Plan, peer_source, running_site
from tests.acceptance.wire import echo_within
from tests.peers import free_port, program, wait_for

PDU = "131072"
ECHOES = 8
TUNED_ENVIRONMENT = {"TCP_NODELAY": "1", "TCP_BUFFER_LENGTH": "262144"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A Storage SCP that runs.

    Parameters
    ----------
    stored
        Counts what it holds; None for one that keeps nothing.
    """

    port: int
    called: str
    pid: int
    stored: Callable[[], int] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """One competitor: how it is started in an empty folder."""

    name: str
    start: Callable[[Path, bool], AbstractContextManager[Serving]]


def environment(*, tuned: bool) -> Mapping[str, str]:
    """Return the environment of a program that stands on DCMTK."""
    plain = {key: value for key, value in os.environ.items() if key not in TUNED_ENVIRONMENT}
    return {**plain, **TUNED_ENVIRONMENT} if tuned else plain


@contextlib.contextmanager
def overread(folder: Path, tuned: bool) -> Iterator[Serving]:
    """Run our listener; it has one way of working, durable and recorded."""
    del tuned  # its defaults are what it is judged by
    with running_site(folder, Plan(peers=[peer_source(results_to=[])])) as site:
        process = site.start("listener")
        # the port is open before the processes behind it are up; an echo by each of them tells
        site.wait(lambda: all(_echoes(site.port)), "every process of the listener")
        yield Serving(
            port=site.port,
            called="OVERREAD",
            pid=process.pid,
            stored=lambda: sum(
                row[0] for row in site.rows("select count(*) from journal where outcome='stored'")
            ),
        )


def dcmtk(*options: str) -> Callable[[Path, bool], AbstractContextManager[Serving]]:
    """Return DCMTK's ``storescp`` with these options; ``--ignore`` keeps nothing."""

    @contextlib.contextmanager
    def start(folder: Path, tuned: bool) -> Iterator[Serving]:
        stored = folder / "stored"
        stored.mkdir(parents=True)
        port = free_port()
        pdu = ["-pdu", PDU] if tuned else []
        command = [str(program("storescp", "dcmtk")), *options, *pdu, "-od", str(stored), str(port)]
        with _running(command, environment(tuned=tuned), folder / "storescp.log") as pid:
            wait_for(lambda: listens(pid), timeout_s=20, what="storescp")
            keeps = None if "--ignore" in options else lambda: len(list(stored.iterdir()))
            yield Serving(port=port, called="STORESCP", pid=pid, stored=keeps)

    return start


@contextlib.contextmanager
def orthanc(folder: Path, tuned: bool) -> Iterator[Serving]:
    """Run Orthanc with its own defaults, apart from names and ports."""
    folder.mkdir(parents=True)
    port, web = free_port(), free_port()
    settings: dict[str, object] = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "HttpPort": web,
        "RemoteAccessAllowed": False,
    }
    if tuned:
        settings |= {"MaximumPduLength": int(PDU), "SyncStorageArea": False}
    (folder / "orthanc.json").write_text(json.dumps(settings))
    command = [str(program("Orthanc", "orthanc")), str(folder / "orthanc.json")]

    def stored() -> int:
        url = f"http://127.0.0.1:{web}/statistics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(json.load(answer)["CountInstances"])

    with _running(command, environment(tuned=tuned), folder / "orthanc.log") as pid:
        wait_for(lambda: listens(pid, port), timeout_s=60, what="Orthanc")
        yield Serving(port=port, called="ORTHANC", pid=pid, stored=stored)


OURS = Receiver(name="overread", start=overread)
STORESCP = Receiver(name="storescp", start=dcmtk())
STORESCP_FORK = Receiver(name="storescp --fork", start=dcmtk("--fork"))
ORTHANC = Receiver(name="orthanc", start=orthanc)
CEILING = Receiver(name="nothing stored", start=dcmtk("--ignore"))
CEILING_FORK = Receiver(name="nothing stored", start=dcmtk("--fork", "--ignore"))


def receivers(associations: int) -> Sequence[Receiver]:
    """Return who is compared: with several associations, DCMTK forks."""
    if associations == 1:
        return (OURS, STORESCP, ORTHANC, CEILING)
    return (OURS, STORESCP_FORK, ORTHANC, CEILING_FORK)


def listens(pid: int, port: int | None = None) -> bool:
    """Whether a process listens on TCP."""
    return any(
        one.status == psutil.CONN_LISTEN and port in {None, one.laddr.port}
        for one in psutil.Process(pid).net_connections()
    )


def _echoes(port: int) -> list[bool]:
    """Ask for more echoes at one time than one process would take before the others."""
    with ThreadPoolExecutor(ECHOES) as pool:
        return list(pool.map(lambda _: echo_within(port, 0.5), range(ECHOES)))


@contextlib.contextmanager
def _running(command: Sequence[str], env: Mapping[str, str], log: Path) -> Iterator[int]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=env)
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
