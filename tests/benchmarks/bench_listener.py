"""Eight associations at once: ``python -m tests.benchmarks.bench_listener [IMAGES [RUNS]]``.

Every run sends the same images of 512 kB from eight processes of DCMTK's to our listener, and then to those
of the peers that are installed, each with a fresh store: DCMTK's ``storescp``, which makes nothing durable,
and Orthanc. The last line is one JSON object; the exit status is 1 when our listener needs too much memory.
"""

import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.acceptance.load import peak_mb, send_side_by_side, write_images
from tests.acceptance.site import Plan, peer_source, running_site
from tests.peers import free_port, wait_for
from tests.peers.orthanc import running_orthanc

ASSOCIATIONS = 8
IMAGES = 50
RUNS = 3
BOUND_MB = 200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A Storage SCP that runs; the peaks of its processes' memory are read at its end."""

    port: int
    called: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run against one SCP."""

    images_per_s: float
    peak_mb: float


@contextlib.contextmanager
def overread(folder: Path) -> Iterator[Serving]:
    with running_site(folder, Plan(peers=[peer_source(results_to=[])])) as site:
        process = site.start("listener")
        site.wait_listening()
        yield Serving(port=site.port, called="OVERREAD", pid=process.pid)


@contextlib.contextmanager
def storescp(folder: Path) -> Iterator[Serving]:
    (folder / "stored").mkdir(parents=True)
    port = free_port()
    command = ["/usr/bin/storescp", "--fork", "-pdu", "131072"]
    process = subprocess.Popen([*command, "-od", str(folder / "stored"), str(port)])
    try:
        wait_for(lambda: _listens(process.pid), timeout_s=20, what="storescp")
        yield Serving(port=port, called="STORESCP", pid=process.pid)
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextlib.contextmanager
def orthanc(folder: Path) -> Iterator[Serving]:
    with running_orthanc(folder) as server:
        (own,) = [
            child
            for child in psutil.Process().children()
            if str(folder / "orthanc.json") in child.cmdline()
        ]
        yield Serving(port=server.dicom_port, called=server.ae_title, pid=own.pid)


SCPS: dict[str, Callable[[Path], AbstractContextManager[Serving]]] = {
    "overread": overread,
    "storescp": storescp,
    "orthanc": orthanc,
}


def once(name: str, images: Path, count: int) -> Sample:
    with tempfile.TemporaryDirectory(prefix="bench-listener-") as folder:
        with SCPS[name](Path(folder) / name) as serving:
            seconds = send_side_by_side(
                images, port=serving.port, called=serving.called, associations=ASSOCIATIONS
            )
            peak = peak_mb(serving.pid)
        return Sample(images_per_s=ASSOCIATIONS * count / seconds, peak_mb=peak)


def figures(samples: list[Sample]) -> dict[str, float]:
    speeds = [sample.images_per_s for sample in samples]
    return {
        "median_images_per_s": round(statistics.median(speeds), 1),
        "min_images_per_s": round(min(speeds), 1),
        "max_images_per_s": round(max(speeds), 1),
        "peak_mb_per_process": round(max(sample.peak_mb for sample in samples), 1),
    }


def main(count: int, runs: int) -> int:
    found = {"storescp": "/usr/bin/storescp", "orthanc": shutil.which("Orthanc", path="/usr/sbin")}
    names = [name for name in SCPS if name == "overread" or Path(found[name] or "/-").exists()]
    samples: dict[str, list[Sample]] = {name: [] for name in names}
    print(f"{ASSOCIATIONS} associations, {count} images of 512 kB each, {runs} run(s) side by side")
    print(f"{'run':>4} {'':<10} {'images/s':>9} {'peak MB':>8}")
    with tempfile.TemporaryDirectory(prefix="bench-listener-") as folder:
        images = Path(folder) / "images"
        write_images(images, count)
        for run in range(1, runs + 1):
            for name in names:
                samples[name].append(once(name, images, count))
                latest = samples[name][-1]
                line = f"{run:>4} {name:<10} {latest.images_per_s:9.1f} {latest.peak_mb:8.1f}"
                print(line, flush=True)
    table = {name: figures(of) for name, of in samples.items()}
    ours = table["overread"]
    ratios = {
        f"to {name}": round(ours["median_images_per_s"] / of["median_images_per_s"], 2)
        for name, of in table.items()
        if name != "overread"
    }
    within = ours["peak_mb_per_process"] <= BOUND_MB
    summary = {"benchmark": "listener", "associations": ASSOCIATIONS, "images": count, **table}
    print(json.dumps({**summary, "ratios": ratios, "bound_mb": BOUND_MB, "within": within}))
    return 0 if within else 1


def _listens(pid: int) -> bool:
    return any(one.status == psutil.CONN_LISTEN for one in psutil.Process(pid).net_connections())


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:3]]
    sys.exit(main(*(numbers + [IMAGES, RUNS][len(numbers) :])))
