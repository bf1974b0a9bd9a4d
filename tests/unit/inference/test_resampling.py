import numpy as np
import pytest
from numpy.typing import NDArray

from inference import phantoms
from inference.card import Card
from inference.preprocess import Grid, grid_for, onto
from inference.resampling import exact, sample
from inference.volume import Volume

SHAPE = (4, 5, 6)
VOXELS = np.random.default_rng(1).random(SHAPE, np.float32)


def matrix(linear: list[list[float]], start: tuple[float, float, float]) -> NDArray[np.float64]:
    into = np.eye(4)
    into[:3, :3] = linear
    into[:3, 3] = start
    return into


def test_axes_are_swapped_and_flipped_without_interpolation() -> None:
    # New axes: the third backwards, the first, the second backwards.
    into = matrix([[0, 1, 0], [0, 0, -1], [-1, 0, 0]], (0, 4, 5))
    answer = sample(VOXELS, into, (6, 4, 5), outside=0)
    np.testing.assert_array_equal(answer, VOXELS.transpose(2, 0, 1)[::-1, :, ::-1])
    assert answer.flags.c_contiguous
    assert not np.shares_memory(answer, VOXELS)
    assert exact(into, (6, 4, 5), SHAPE)


def test_a_part_is_cut_out() -> None:
    into = matrix([[1, 0, 0], [0, 1, 0], [0, 0, -1]], (1, 2, 4))
    answer = sample(VOXELS, into, (2, 3, 5), outside=0)
    np.testing.assert_array_equal(answer, VOXELS[1:3, 2:5, 4::-1])


def ramp(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Rise linearly along each axis, so that linear interpolation is exact."""
    z, y, x = np.indices(shape, np.float32)
    values: NDArray[np.float32] = 100 * z + 10 * y + x
    return values


def test_parallel_axes_are_interpolated_linearly() -> None:
    into = matrix([[0.5, 0, 0], [0, 0, -0.25], [0, 2, 0]], (0.25, 3, 1))
    answer = sample(ramp(SHAPE), into, (5, 2, 7), outside=0)
    i, j, k = np.indices((5, 2, 7))
    expected = 100 * (0.25 + i / 2) + 10 * (3 - k / 4) + (1 + 2 * j)
    np.testing.assert_allclose(answer, expected, rtol=1e-6)
    assert not exact(into, (5, 2, 7), SHAPE)


def test_beyond_the_last_centre_its_value_continues() -> None:
    into = matrix([[1, 0, 0], [0, 1, 0], [0, 0, 0.5]], (0, 0, -0.5))
    answer = sample(VOXELS, into, (4, 5, 13), outside=99)
    np.testing.assert_array_equal(answer[..., 0], VOXELS[..., 0])
    np.testing.assert_array_equal(answer[..., -1], VOXELS[..., -1])


def test_askew_axes_are_interpolated_and_what_is_outside_is_said() -> None:
    turn = phantoms.rotation(20)
    into = matrix(turn.tolist(), (1.0, 2.0, 0.5))
    answer = sample(ramp(SHAPE), into, (3, 3, 3), outside=-7)
    z, y, x = np.tensordot(turn, np.indices((3, 3, 3)), 1) + np.reshape([1, 2, 0.5], (3, 1, 1, 1))
    inside = (z >= 0) & (z <= 3) & (y >= 0) & (y <= 4) & (x >= 0) & (x <= 5)
    np.testing.assert_allclose(answer[inside], (100 * z + 10 * y + x)[inside], rtol=1e-5)
    assert inside.any()
    assert (answer[~inside] == -7).all()


def test_the_grid_of_a_volume_that_fits_is_its_own_points(brain_card: Card) -> None:
    affine = phantoms.grid(first_mm=(-3, 8, 5))
    volume = Volume(voxels=VOXELS, affine=affine)
    grid = grid_for(brain_card, volume)
    assert grid.shape == (6, 5, 4)
    # Axes of the grid grow right, front and up: columns and rows of an axial slice run the other way.
    np.testing.assert_array_equal(onto(grid, volume), VOXELS[:, ::-1, ::-1].transpose(2, 1, 0))
    np.testing.assert_allclose(grid.affine @ [0, 0, 0, 1], [2, 12, 5, 1])
    np.testing.assert_allclose(grid.affine[:3, :3], np.diag([-1, -1, 1]))


@pytest.mark.parametrize("plane", ["axial", "sagittal", "coronal"])
@pytest.mark.parametrize("tilt", [0.0, 20.0])
def test_the_grid_covers_the_field_of_view(brain_card: Card, plane: str, tilt: float) -> None:
    affine = phantoms.grid(
        spacing_mm=(2, 0.8, 1.2), first_mm=(7, -9, 3), plane=plane, tilt_degrees=tilt
    )
    grid = grid_for(brain_card, Volume(voxels=np.zeros((9, 30, 20), np.float32), affine=affine))
    assert_covers(grid, Grid(affine=affine, shape=(9, 30, 20)))


def assert_covers(grid: Grid, source: Grid) -> None:
    corners = np.array(np.meshgrid(*[(-0.5, count - 0.5) for count in source.shape])).reshape(3, -1)
    placed = np.linalg.inv(grid.affine) @ source.affine @ np.vstack([corners, np.ones(8)])
    edges = np.array(grid.shape)[:, None] - 0.5
    assert (placed[:3] >= -0.5 - 1e-2).all()
    assert (placed[:3] <= edges + 1e-2).all()
    # And no more of it than a voxel at each side.
    assert (placed[:3].min(axis=1) <= 0.5).all()
    assert (placed[:3].max(axis=1) >= edges[:, 0] - 1).all()


def test_a_landmark_stays_where_it_is_in_the_patient(brain_card: Card) -> None:
    affine = phantoms.grid(
        spacing_mm=(2, 0.8, 1.2), first_mm=(7, -9, 3), plane="sagittal", tilt_degrees=20
    )
    voxels = np.zeros((20, 50, 40), np.float32)
    voxels[8:11, 20:26, 15:19] = 1
    volume = Volume(voxels=voxels, affine=affine)
    grid = grid_for(brain_card, volume)
    on_grid = onto(grid, volume)
    np.testing.assert_allclose(
        centre_mm(on_grid, grid.affine), centre_mm(voxels, affine), atol=0.05
    )


def centre_mm(values: NDArray[np.float32], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    indices = np.indices(values.shape).reshape(3, -1)
    centre = (indices * values.ravel()).sum(axis=1) / values.sum()
    placed: NDArray[np.float64] = (affine @ [*centre, 1])[:3]
    return placed
