"""Twenty features are read while a radiologist would not notice; `make bench-context` has the figures."""

import pytest

from tests.benchmarks.bench_context import BOUND_S, fill, measure
from tests.peers.sekmet import Sekmet

pytestmark = pytest.mark.peers


def test_twenty_features_of_a_patient_with_a_history(sekmet: Sekmet) -> None:
    fill(sekmet)
    measured = measure(sekmet, 5)
    assert len(measured.context.values) == 20, measured.context.missing
    assert measured.context.values["2160-0"].value == "1"
    assert measured.requests <= 10
    assert min(measured.seconds) < 2 * BOUND_S
