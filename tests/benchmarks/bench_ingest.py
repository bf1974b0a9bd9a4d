"""The intake against its peers: ``python -m tests.benchmarks.bench_ingest [--runs 7] [--images 400] …``.

The same images are sent by DCMTK's own ``storescu`` to Overread, DCMTK's ``storescp``, Orthanc, and a
``storescp --ignore`` that stores nothing and so shows what the senders can do; in turn, each time with an
empty store. Of Overread the time counts until the last image is durable and in the database; a row more tells
when the last one was answered: durable, with a receipt. Then the same node with a million instances on record
against an empty one, and the listener's memory. The last line is one JSON object; the exit status is 1 when a
bound does not hold.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.load import MATRIX, write_images
from tests.benchmarks.ingest_floor import floor
from tests.benchmarks.ingest_memory import memory
from tests.benchmarks.ingest_million import million
from tests.benchmarks.receivers import OURS, PDU, Receiver, Serving, environment, receivers
from tests.peers import program

SENDING_S = 600.0
KEEPING_S = 30.0
"""So long a receiver may take to have what it has answered."""
WAYS = ("default", "tuned")
MATRICES = {"CT 512 kB": MATRIX, "MR 128 kB": MATRIX // 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A ratio of medians that has to hold."""

    name: str
    ratio: float
    least: float

    @property
    def holds(self) -> bool:
        return self.ratio >= self.least


def send(serving: Serving, folders: Sequence[Path], *, tuned: bool) -> float:
    """Send each folder over an association of its own, all at once; return the seconds.

    Raises
    ------
    RuntimeError
        A sender failed, or had not ended in time.
    """
    pdu = ["-pdu", PDU, "--max-send-pdu", PDU] if tuned else []
    command = [str(program("storescu", "dcmtk")), "-R", "+sd", *pdu, "-aet", "MODALITY"]
    command += ["-aec", serving.called, "127.0.0.1", str(serving.port)]
    began = time.perf_counter()
    senders = [
        subprocess.Popen(
            [*command, str(folder)],
            env=environment(tuned=tuned),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for folder in folders
    ]
    # a wait with a timeout looks every 50 ms, which is a tenth of what is measured
    timer = threading.Timer(SENDING_S, _kill, [senders])
    timer.start()
    try:
        for one in senders:
            if one.wait() != 0:
                raise RuntimeError(f"a sender to {serving.called} ended with {one.returncode}")
    finally:
        timer.cancel()
        for one in senders:
            one.kill()
            one.wait()
    return time.perf_counter() - began


def _kill(senders: Sequence[subprocess.Popen[bytes]]) -> None:
    for one in senders:
        one.kill()


def once(
    receiver: Receiver, folders: Sequence[Path], count: int, *, tuned: bool
) -> tuple[float, float]:
    """Measure one run in images per second: until the last one is answered, and until the receiver has all.

    Raises
    ------
    RuntimeError
        It does not hold every image, even after a while.
    """
    with (
        tempfile.TemporaryDirectory(prefix="bench-ingest-") as folder,
        receiver.start(Path(folder) / "peer", tuned) as serving,
    ):
        answered = kept = send(serving, folders, tuned=tuned)
        began = time.perf_counter()
        while serving.stored is not None and serving.stored() != count:
            kept = answered + time.perf_counter() - began
            if kept > answered + KEEPING_S:
                raise RuntimeError(f"{receiver.name} holds {serving.stored()} of {count}")
            time.sleep(0.002)
    return count / answered, count / kept


def compare(images: Path, count: int, runs: int, associations: int) -> dict[str, list[float]]:
    """Measure everybody in turn; return the speeds by ``name, way``."""
    folders = _shares(images, associations)
    speeds: dict[str, list[float]] = {}
    for _ in range(runs):
        for way in WAYS:
            for receiver in receivers(associations):
                if receiver.name == "nothing stored" and way == "default":
                    continue
                answers, speed = once(receiver, folders, count, tuned=way == "tuned")
                speeds.setdefault(f"{receiver.name}, {way}", []).append(speed)
                if receiver is OURS:
                    speeds.setdefault(f"overread, {way}, answers", []).append(answers)
    return speeds


def bounds(median: Mapping[str, float], associations: int, kind: str) -> list[Bound]:
    """Hold our medians against the issue's ratios."""
    if associations == 1:
        better = max(median["storescp, tuned"], median["orthanc, tuned"])
        pairs = [
            ("storescp by default", median["overread, default"], median["storescp, default"], 4.0),
            ("Orthanc by default", median["overread, default"], median["orthanc, default"], 4.0),
            ("the better tuned peer", median["overread, tuned"], better, 1.0),
        ]
    else:
        ours = max(median[f"overread, {way}"] for way in WAYS)
        fork = max(median[f"storescp --fork, {way}"] for way in WAYS)
        orthanc = max(median[f"orthanc, {way}"] for way in WAYS)
        pairs = [
            ("storescp --fork at its best", ours, fork, 1.15),
            ("Orthanc at its best", ours, orthanc, 1.5),
        ]
    return [
        Bound(name=f"{kind}, {associations}: to {name}", ratio=us / them, least=least)
        for name, us, them, least in pairs
    ]


def report(kind: str, associations: int, speeds: Mapping[str, Sequence[float]]) -> None:
    """Print one table."""
    print(f"\n{kind}, {associations} association(s)")
    print(f"  {'':<28}{'median/s':>9}{'least':>8}{'most':>8}")
    for name, values in speeds.items():
        middle = statistics.median(values)
        print(f"  {name:<28}{middle:9.1f}{min(values):8.1f}{max(values):8.1f}", flush=True)


def main(arguments: argparse.Namespace) -> int:
    """Run what is asked for; return the exit status."""
    found: list[Bound] = []
    tables: dict[str, Mapping[str, float]] = {}
    more: dict[str, object] = {}
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as folder:
        for kind in () if "peers" in arguments.skip else MATRICES:
            images = Path(folder) / kind.split()[0]
            write_images(images, arguments.images, matrix=MATRICES[kind])
            for associations in (1, 8):
                speeds = compare(images, arguments.images, arguments.runs, associations)
                report(kind, associations, speeds)
                median = {name: statistics.median(values) for name, values in speeds.items()}
                tables[f"{kind}, {associations}"] = {n: round(v, 1) for n, v in median.items()}
                found += bounds(median, associations, kind)
        if "floor" not in arguments.skip:
            alone = floor(Path(folder), arguments.images, arguments.runs)
            more["syncs alone"] = round(statistics.median(alone), 1)
        if "million" not in arguments.skip:
            more["million"], told = million(Path(folder), arguments.rows, arguments.runs)
            faults += told
        if "memory" not in arguments.skip:
            more["memory"], told = memory(Path(folder), arguments.memory_images, arguments.large_mb)
            faults += told
    for bound in found:
        verdict = "holds" if bound.holds else "DOES NOT HOLD"
        print(f"  {bound.name:<48}{bound.ratio:7.2f}  (≥ {bound.least:g}) {verdict}")
    faults += [bound.name for bound in found if not bound.holds]
    for fault in faults:
        print(f"  does not hold: {fault}")
    ratios = {bound.name: round(bound.ratio, 2) for bound in found}
    summary = {"benchmark": "ingest", "runs": arguments.runs, "images": arguments.images}
    print(
        json.dumps({**summary, "images_per_s": tables, "ratios": ratios, **more, "faults": faults})
    )
    return 1 if faults else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench_ingest")
    parser.add_argument("--runs", type=int, default=7, help="of each measurement, or pairs")
    parser.add_argument("--images", type=int, default=400, help="sent in each run; a multiple of 8")
    parser.add_argument("--rows", type=int, default=1_000_000, help="instances already on record")
    parser.add_argument("--memory-images", type=int, default=20_000)
    parser.add_argument("--large-mb", type=int, default=2048, help="of the multi-frame object")
    parts = ("peers", "floor", "million", "memory")
    parser.add_argument("--skip", nargs="*", default=(), choices=parts)
    return parser.parse_args(arguments)


def _shares(images: Path, associations: int) -> list[Path]:
    if associations == 1:
        return [images]
    shares = []
    for number in range(associations):
        share = images.with_name(f"{images.name}-{number}")
        share.mkdir(exist_ok=True)
        for path in sorted(images.iterdir())[number::associations]:
            if not (share / path.name).exists():
                (share / path.name).hardlink_to(path)
        shares.append(share)
    return shares


if __name__ == "__main__":
    sys.exit(main(parse(sys.argv[1:])))
