"""How long result objects take, beside highdicom's own: ``python -m tests.benchmarks.bench_results [RUNS]``.

A mask of 400 × 512 × 512 with 1, 12 and 104 segments becomes a file, BINARY and LABELMAP: ours by
`segmentation` and `write`, highdicom's by ``Segmentation(...)`` and ``save_as``, in turn in one process. Memory
is measured by tracemalloc, each in a process of its own. The last line is one JSON object; the exit status
is 1 when a bound does not hold.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.results import SHAPE, Case, findings_study, highdicom, ours, report_of

SEGMENTS = (1, 12, 104)
FASTER = {"BINARY": 2.5, "LABELMAP": 1.5}
"""How many times as fast as highdicom a Segmentation is to be, at least."""

FINDINGS = 100
REPORT_S = 0.3
MASK_SHARE = 0.5
"""Memory beside the encoded object and the mask itself, as a share of the mask."""

FEWER_RUNS = {("BINARY", 104): 3}
"""highdicom takes a quarter of a minute for these."""

Way = Callable[[Case, Path], Path]


def seconds(way: Way, case: Case, folder: Path) -> tuple[float, int]:
    """Return how long one file took, and its size."""
    began = time.perf_counter()
    path = way(case, folder)
    taken = time.perf_counter() - began
    size = path.stat().st_size
    path.unlink()
    return taken, size


def compare(case: Case, runs: int, folder: Path) -> dict[str, Any]:
    samples: dict[str, list[float]] = {"ours": [], "highdicom": []}
    sizes: dict[str, int] = {}
    for run in range(runs + 1):
        # Who is first changes, so that neither has the warmer caches; the first round does not count.
        ways = [("ours", ours), ("highdicom", highdicom)][:: 1 if run % 2 else -1]
        for name, way in ways:
            taken, sizes[name] = seconds(way, case, folder)
            samples[name] += [taken] if run else []
    figures = {name: spread(values) for name, values in samples.items()}
    ratio = figures["highdicom"]["median_s"] / figures["ours"]["median_s"]
    return {"form": case.form, "segments": case.segments, "sizes": sizes, "ratio": ratio} | figures


def spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median_s": statistics.median(values),
        "min_s": min(values),
        "max_s": max(values),
        "runs": len(values),
    }


def memory(form: str, segments: int) -> dict[str, int]:
    """Return peak and size of one object, made in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.results", form, str(segments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return measured


def report_seconds(runs: int, folder: Path) -> dict[str, float]:
    study = findings_study(FINDINGS, folder)
    report_of(study)
    samples = []
    for _ in range(runs):
        began = time.perf_counter()
        report_of(study)
        samples.append(time.perf_counter() - began)
    return spread(samples)


def failures(rows: Sequence[dict[str, Any]], report: dict[str, float]) -> list[str]:
    mask = SHAPE[0] * SHAPE[1] * SHAPE[2]
    failed = []
    for row in rows:
        name = f"{row['form']} {row['segments']}"
        if row["ratio"] < FASTER[row["form"]]:
            failed.append(f"{name}: {row['ratio']:.2f} times as fast")
        if row["sizes"]["ours"] > row["sizes"]["highdicom"]:
            failed.append(f"{name}: larger")
        if row["memory"]["peak"] > row["memory"]["size"] + MASK_SHARE * mask:
            failed.append(f"{name}: {row['memory']['peak'] / 1e6:.0f} MB")
    if report["median_s"] > REPORT_S:
        failed.append(f"report: {report['median_s']:.2f} s")
    return failed


def main(runs: int) -> None:
    rows = []
    print(f"{'':<16}{'ours, s':>20}{'highdicom, s':>22}{'ratio':>7}{'ours, kB':>10}", end="")
    print(f"{'theirs, kB':>12}{'peak, MB':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for form in FASTER:
            for segments in SEGMENTS:
                case = Case.of(form, segments)
                fewer = FEWER_RUNS.get((form, segments), runs)
                row = compare(case, min(runs, fewer), Path(folder))
                row["memory"] = memory(form, segments)
                rows.append(row)
                print(line(row), flush=True)
        report = report_seconds(runs, Path(folder))
    print(f"report with {FINDINGS} findings: {_told(report)} s")
    failed = failures(rows, report)
    for failure in failed:
        print(f"FAILED {failure}")
    print(json.dumps({"segmentations": rows, "report": report, "failed": failed}))
    sys.exit(1 if failed else 0)


def line(row: dict[str, Any]) -> str:
    sizes = row["sizes"]
    return (
        f"{row['form']:<9}{row['segments']:>4}   {_told(row['ours']):>20}"
        f"{_told(row['highdicom']):>22}{row['ratio']:>7.2f}{sizes['ours'] / 1e3:>10.0f}"
        f"{sizes['highdicom'] / 1e3:>12.0f}{row['memory']['peak'] / 1e6:>10.1f}"
    )


def _told(figures: dict[str, float]) -> str:
    return f"{figures['median_s']:.3f} ({figures['min_s']:.3f}–{figures['max_s']:.3f})"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
