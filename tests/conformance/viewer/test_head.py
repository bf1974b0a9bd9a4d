"""The shipped model's brain on a real head in OHIF's own page, and the pictures of the documents."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser

from inference import card
from inference.analysis import analyse
from inference.context import Context
from inference.findings import Result
from inference.server import InProcessServer
from inference.volume import read_series
from tests.conformance.viewer.conftest import chosen
from tests.conformance.viewer.overlay import Compared, compare, corners
from tests.conformance.viewer.page import SEGMENTATIONS, Viewer, opened
from tests.conformance.viewer.studies import AXIAL, image, store, study_uid
from tests.peers.ohif import Ohif

ROOT = Path(__file__).parents[3]
REPOSITORY = ROOT / "inference" / "models"

pytestmark = [
    pytest.mark.peers,
    pytest.mark.slow,
    pytest.mark.skipif(not chosen([], [AXIAL]), reason="one of the long form: make viewer-test"),
]

SEGMENTATION_SERIES, REPORT_SERIES, CAPTURE_SERIES = 9000, 9001, 9003

FLAT, PLAIN = (-7500.0, 8500.0), (0.0, 1000.0)
"""Windows: one for `tests.conformance.viewer.overlay`, and the header's own."""

SLICES = (60, 85, 110)
"""Through the brain, its ventricles and its crown."""

ENOUGH = 50_000
"""Pixels of the canvas that the brain must cover on each of them."""


@pytest.fixture(scope="module")
def result() -> Result:
    model = card.load(REPOSITORY / "brain-extraction")
    series = read_series(sorted((ROOT / "node" / "demo" / "head").glob("*.dcm")))
    server = InProcessServer(REPOSITORY)
    return analyse(model, {"volume": series}, Context(), {}, server=server)


def test_the_brain_is_drawn_over_the_head_and_told(
    ohif: Ohif, chromium: Browser, result: Result, tmp_path: Path, shots: Path
) -> None:
    store(ohif.archive, "ohif", result, tmp_path)
    (finding,) = result.findings
    viewer = opened(chromium, ohif.url)
    viewer.open_study(study_uid(result))
    viewer.open_series(REPORT_SERIES)
    volume = f"Volume: {finding.measurements[0].value:.2f} {finding.measurements[0].unit.value}"
    assert viewer.wait_for(lambda: volume in viewer.text() and len(viewer.contours()) == 1)
    viewer.keep("head-report", shots)
    viewer.open_series(CAPTURE_SERIES)
    assert viewer.wait_for(lambda: viewer.image_count() == len(result.pictures))
    viewer.keep("head-capture", shots)
    viewer.open_panel(SEGMENTATIONS)
    viewer.open_series(SEGMENTATION_SERIES)
    assert viewer.wait_for(lambda: viewer.rows() == [finding.segment.label])
    for index in SLICES:
        assert drawn(viewer, result, index)
    viewer.show(image(result.series, SLICES[1]))
    viewer.window(*PLAIN)
    viewer.keep("head-segmentation", shots)
    assert viewer.errors == []
    viewer.close()


def drawn(viewer: Viewer, result: Result, index: int) -> bool:
    """Go to a slice; tell whether the brain, and only the brain, comes to be covered by its colour."""
    (finding,) = result.findings
    viewer.show(image(result.series, index))
    viewer.window(*FLAT)

    def seen(mask: NDArray[np.uint8]) -> Compared:
        return compare(viewer.look(corners(result.series, index)), mask)

    mask = result.mask[index]
    viewer.wait_for(lambda: not seen(mask).wrong, deadline_s=20)
    compared = seen(mask)
    return (
        compared.wrong == 0
        and compared.right[1] > ENOUGH
        and compared.drawn_in(1, finding.segment.colour_rgb)
        and seen(np.roll(mask, 10, axis=1)).wrong > ENOUGH // 10
    )
