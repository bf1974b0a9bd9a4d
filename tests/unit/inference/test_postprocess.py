from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from inference import phantoms
from inference.card import Card
from inference.errors import ModelFailed
from inference.postprocess import clean, onto_source
from inference.preprocess import Grid, grid_for, onto
from inference.volume import Volume


@pytest.fixture
def two_segments(brain_card: Card) -> Card:
    first = brain_card.segments[0]
    return replace(brain_card, segments=(first, replace(first, number=2, label="Other")))


def blocks() -> NDArray[np.uint8]:
    """Mark a large block with a hole, a smaller one, and a speck that touches the large one by a corner."""
    mask = np.zeros((12, 12, 12), np.uint8)
    mask[1:7, 1:7, 1:7] = 1
    mask[3, 3, 3] = 0
    mask[7, 7, 7] = 1
    mask[9:11, 9:11, 9:11] = 1
    return mask


def test_the_largest_region_stays_and_its_holes_are_filled(brain_card: Card) -> None:
    expected = blocks()
    expected[9:, 9:, 9:] = 0
    expected[3, 3, 3] = 1
    np.testing.assert_array_equal(clean(brain_card, blocks()), expected)


def test_a_cavity_open_to_one_side_is_no_hole(brain_card: Card) -> None:
    mask = blocks()
    mask[3, 3, :4] = 0
    assert clean(brain_card, mask)[3, 3, :4].max() == 0


def test_what_the_card_does_not_want_is_left(brain_card: Card) -> None:
    untouched = replace(brain_card, largest_component=False, fill_holes=False)
    np.testing.assert_array_equal(clean(untouched, blocks()), blocks())


@pytest.mark.parametrize(("around", "within"), [(1, 2), (2, 1)])
def test_a_segment_inside_another_is_no_hole(two_segments: Card, around: int, within: int) -> None:
    mask = blocks() * np.uint8(around)
    mask[3, 3, 3] = within
    cleaned = clean(two_segments, mask)
    assert cleaned[3, 3, 3] == within
    assert cleaned[2, 3, 3] == around


def test_nothing_found_stays_nothing(brain_card: Card) -> None:
    assert clean(brain_card, np.zeros((3, 3, 3), np.uint8)).max() == 0


def test_a_segment_that_the_card_does_not_name_is_a_failed_model(brain_card: Card) -> None:
    with pytest.raises(ModelFailed, match="segment 2"):
        clean(brain_card, np.full((3, 3, 3), 2, np.uint8))


@pytest.mark.parametrize("spacing_mm", [(1, 1, 1), (2, 0.8, 1.2), (0.7, 0.7, 0.7)])
@pytest.mark.parametrize("tilt", [0.0, 20.0])
@pytest.mark.parametrize("plane", ["axial", "sagittal"])
def test_a_ball_keeps_its_place_and_its_volume(
    two_segments: Card, spacing_mm: tuple[float, float, float], tilt: float, plane: str
) -> None:
    affine = phantoms.grid(
        spacing_mm=spacing_mm, first_mm=(12, -30, 4), plane=plane, tilt_degrees=tilt
    )
    slices, rows, columns = (int(70 / spacing) for spacing in spacing_mm)
    shape = (slices, rows, columns)
    ball = phantoms.sphere(affine, shape, radius_mm=25, bright=1).astype(np.float32)
    grid = grid_for(two_segments, Volume(voxels=ball, affine=affine))
    inside = onto(grid, Volume(voxels=ball, affine=affine)) >= 0.5
    on_grid = np.where(inside, 2, 0).astype(np.uint8)
    back = onto_source(two_segments, on_grid, grid, Grid(affine=affine, shape=shape))
    assert back.shape == shape
    assert set(np.unique(back)) == {0, 2}
    overlap = 2 * np.count_nonzero((back == 2) & (ball > 0)) / ((back == 2).sum() + ball.sum())
    assert overlap > 0.98
    assert np.count_nonzero(back) == pytest.approx(ball.sum(), rel=0.01)
