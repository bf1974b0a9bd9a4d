"""Segmentations in OHIF's own page: names, colours, and the overlay against the mask."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from inference.findings import Result
from tests.conformance.viewer.conftest import chosen
from tests.conformance.viewer.overlay import Compared, compare, corners
from tests.conformance.viewer.page import SEGMENTATIONS, Seen, Viewer, opened
from tests.conformance.viewer.studies import (
    AXIAL,
    CHECKED,
    ENHANCED,
    OBLIQUE,
    ODD_BINARY,
    ODD_LABEL_MAP,
    SAGITTAL,
    Case,
    image,
    result_of,
    store,
    study_uid,
)
from tests.peers.ohif import Ohif
from tests.unit.inference_results.studies import BRAIN, LESION

pytestmark = [pytest.mark.peers, pytest.mark.slow]

SEGMENTATION_SERIES = 9000

DRAWN_S = 60
"""How long an overlay may take to be what it should be."""

ENOUGH = 500
"""Pixels of the canvas that a segment must at least cover, so that a picture of nothing does not pass."""

NO_FRAMES = (
    "Failed to load resource: the server responded with a status of 400",
    "error in event listener of type:  CORNERSTONE_IMAGE_LOAD_FAILED",
    "XMLHttpRequest",
)
"""What the console is told when the archive cannot cut a frame of bits that begins within a byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the page showed of a segmentation.

    Parameters
    ----------
    names, colours
        Of the rows of the panel.
    slices
        What was drawn, by slice, against the mask there.
    mirrored
        The same against the mask upside down.
    """

    names: list[str]
    colours: list[tuple[int, int, int]]
    slices: dict[int, Compared]
    mirrored: dict[int, Compared]
    errors: list[str]


def look(ohif: Ohif, chromium: Browser, case: Case, folder: Path, shots: Path) -> Sight:
    """Store a case, open its study and its segmentation, and look at three slices."""
    result = result_of(case, folder)
    store(ohif.archive, case.profile, result, folder)
    viewer = opened(chromium, ohif.url)
    viewer.open_study(study_uid(result))
    viewer.open_panel(SEGMENTATIONS)
    viewer.open_series(SEGMENTATION_SERIES)
    viewer.wait_for(lambda: bool(viewer.rows()))
    seen = {index: _slice(viewer, result, index) for index in CHECKED}
    sight = Sight(
        names=viewer.rows(),
        colours=viewer.colours(),
        slices={index: compare(seen[index], result.mask[index]) for index in CHECKED},
        mirrored={index: compare(seen[index], np.flipud(result.mask[index])) for index in CHECKED},
        errors=list(viewer.errors),
    )
    viewer.show(image(result.series, CHECKED[1]))
    viewer.keep(f"{case.name}-segmentation", shots)
    viewer.close()
    return sight


def _slice(viewer: Viewer, result: Result, index: int) -> Seen:
    places = corners(result.series, index)
    viewer.show(image(result.series, index))
    viewer.wait_for(
        lambda: not compare(viewer.look(places), result.mask[index]).wrong, deadline_s=DRAWN_S
    )
    return viewer.look(places)


@pytest.fixture(
    scope="module",
    params=chosen([OBLIQUE], [AXIAL, SAGITTAL, ENHANCED]),
    ids=lambda case: case.name,
)
def sight(
    request: pytest.FixtureRequest,
    ohif: Ohif,
    chromium: Browser,
    tmp_path_factory: pytest.TempPathFactory,
    shots: Path,
) -> Sight:
    return look(ohif, chromium, request.param, tmp_path_factory.mktemp("case"), shots)


def test_segments_are_listed_by_their_names(sight: Sight) -> None:
    assert sight.names == [BRAIN.label, LESION.label]


def test_segments_are_listed_in_their_colours(sight: Sight) -> None:
    assert sight.colours == [BRAIN.colour_rgb, LESION.colour_rgb]


def test_the_overlay_is_the_mask(sight: Sight) -> None:
    for index, compared in sight.slices.items():
        assert compared.wrong == 0, f"slice {index}"
        assert min(compared.right.values()) > ENOUGH, f"slice {index}"
    assert [set(compared.right) for compared in sight.slices.values()] == [{1}, {1, 2}, {2}]


def test_the_overlay_has_the_colours_of_the_segments(sight: Sight) -> None:
    for compared in sight.slices.values():
        for number in compared.right:
            right, other = (BRAIN, LESION) if number == 1 else (LESION, BRAIN)
            assert compared.drawn_in(number, right.colour_rgb)
            assert not compared.drawn_in(number, other.colour_rgb)


def test_another_mask_would_not_pass(sight: Sight) -> None:
    assert all(compared.wrong > ENOUGH for compared in sight.mirrored.values())


def test_the_console_is_told_of_no_error(sight: Sight) -> None:
    assert sight.errors == []


@pytest.fixture(scope="module")
def label_map(
    ohif: Ohif, chromium: Browser, tmp_path_factory: pytest.TempPathFactory, shots: Path
) -> Sight:
    folder = tmp_path_factory.mktemp("label-map")
    return look(ohif, chromium, ODD_LABEL_MAP, folder, shots)


def test_a_label_map_of_an_odd_matrix_has_shape_and_names(label_map: Sight) -> None:
    assert label_map.names == ["Background", BRAIN.label, LESION.label]
    for index, compared in label_map.slices.items():
        assert compared.wrong == 0, f"slice {index}"
        assert min(compared.right.values()) > ENOUGH, f"slice {index}"
    assert all(compared.wrong > ENOUGH for compared in label_map.mirrored.values())
    assert label_map.errors == []


def test_ohif_shifts_the_colours_of_a_label_map_by_one(label_map: Sight) -> None:
    """Fails when OHIF mends it: then say so in docs/conformance/viewers.md, and expect the right ones here."""
    black = (0, 0, 0)  # of the item "Background"
    assert label_map.colours == [black, black, BRAIN.colour_rgb]
    both = label_map.slices[CHECKED[1]]
    assert both.drawn_in(1, black)
    assert both.drawn_in(2, BRAIN.colour_rgb)
    assert not both.drawn_in(2, LESION.colour_rgb)


@pytest.mark.skipif(not chosen([], [ODD_BINARY]), reason="one of the long form: make viewer-test")
def test_bits_of_an_odd_matrix_are_not_shown(
    ohif: Ohif, chromium: Browser, tmp_path: Path, shots: Path
) -> None:
    """The reason for label maps in the profile `ohif`; fails when archive and viewer have learnt it."""
    result = result_of(ODD_BINARY, tmp_path)
    store(ohif.archive, ODD_BINARY.profile, result, tmp_path)
    viewer = opened(chromium, ohif.url)
    viewer.open_study(study_uid(result))
    viewer.open_panel(SEGMENTATIONS)
    viewer.open_series(SEGMENTATION_SERIES)
    frames = int(
        np.any(result.mask == 1, axis=(1, 2)).sum() + np.any(result.mask == 2, axis=(1, 2)).sum()
    )
    assert viewer.wait_for(lambda: len(viewer.errors) >= 2 * frames), viewer.errors
    assert viewer.rows() == []
    viewer.show(image(result.series, CHECKED[1]))
    seen = viewer.look(corners(result.series, CHECKED[1]))
    assert sum(compare(seen, result.mask[CHECKED[1]]).right.values()) == 0
    viewer.keep(f"{ODD_BINARY.name}-segmentation", shots)
    assert [error for error in viewer.errors if not error.startswith(NO_FRAMES)] == []
    viewer.close()
