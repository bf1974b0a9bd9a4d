"""How long the demo study takes beside the networks: ``python -m tests.benchmarks.bench_analysis [RUNS]``.

Triton's own binary serves the shipped model; tensors go by system shared memory. The first run warms both
processes up and does not count. The last line is one JSON object.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from inference import card
from inference.analysis import analyse
from inference.context import Context
from inference.server import TritonServer
from inference.triton import Ports, start
from inference.volume import read_series

ROOT = Path(__file__).parents[2]
REPOSITORY = ROOT / "inference" / "models"
STUDY = ROOT / "node" / "demo" / "head"
STAGES = ("headers", "read", "preprocess", "server less forward", "postprocess", "measure")
BUDGET_S = 1.2
"""Of the 2.5 s from claim to stored results; SEG, SR, gate and database have the rest."""


def once(model: card.Card, server: TritonServer) -> dict[str, float]:
    began = time.perf_counter()
    series = read_series(sorted(STUDY.glob("*.dcm")))
    headers = time.perf_counter() - began
    seconds = dict(analyse(model, {"volume": series}, Context(), {}, server=server).seconds)
    forward = seconds.pop("forward")
    stages = {"headers": headers, "server less forward": seconds.pop("server") - forward} | seconds
    return stages | {"total less forward": sum(stages.values()), "forward": forward}


def spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median_s": round(statistics.median(values), 3),
        "min_s": round(min(values), 3),
        "max_s": round(max(values), 3),
    }


def main(runs: int) -> None:
    model = card.load(REPOSITORY / "brain-extraction")
    with (
        tempfile.TemporaryDirectory() as folder,
        start(REPOSITORY, Path(folder), Ports.free()) as process,
    ):
        process.wait_ready(60)
        server = TritonServer(process.url, shared_memory=True)
        once(model, server)
        samples = [once(model, server) for _ in range(runs)]
        name = server.name
    figures = {
        stage: spread([sample[stage] for sample in samples])
        for stage in (*STAGES, "total less forward", "forward")
    }
    print(f"{runs} runs, {name}, seconds\n{'stage':<20}{'median':>8}{'min':>8}{'max':>8}")
    for stage, figure in figures.items():
        print(f"{stage:<20}" + "".join(f"{value:>8.3f}" for value in figure.values()))
    within = figures["total less forward"]["median_s"] <= BUDGET_S
    print(json.dumps({"runs": runs, "budget_s": BUDGET_S, "within": within, "stages": figures}))
    sys.exit(0 if within else 1)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
