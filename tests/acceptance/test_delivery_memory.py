"""A worker that delivers to five destinations at once stays as large as it is; `bench_delivery` looks on."""

from pathlib import Path

import pytest

from tests.benchmarks.bench_delivery import NAMES, measure

pytestmark = [pytest.mark.peers, pytest.mark.slow, pytest.mark.long]

RESULTS = 100
GROWTH_MB = 12.0
"""Of the last nine tenths: the rest of what fills once, and a good part of it is the allocator's."""


@pytest.mark.timeout(900)
def test_a_hundred_results_for_five_destinations(tmp_path: Path) -> None:
    measured = measure(tmp_path, RESULTS)
    print("\n".join(measured.table()))
    assert measured.deliveries == RESULTS * len(NAMES)
    for name in measured.samples:
        told = measured.figures(name)
        assert told["end_mb"] - told["warm_mb"] <= GROWTH_MB, (name, told)
