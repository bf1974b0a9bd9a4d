from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from inference import phantoms
from inference.codes import (
    AREA,
    LONG_AXIS,
    MAXIMUM,
    MILLILITRE,
    MILLIMETRE,
    SQUARE_MILLIMETRE,
    VOLUME,
    VOXEL_SUM,
)
from inference.measurements import key_slice, longest_axis, outline, volume


def polygon_area(points: NDArray[np.float64]) -> float:
    """Signed area; positive when the points run clockwise as seen on the screen, rows downwards."""
    x, y = points.T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)


@pytest.mark.parametrize(
    "affine",
    [
        phantoms.grid(),
        phantoms.grid(spacing_mm=(2, 0.8, 1.2)),
        phantoms.grid(spacing_mm=(2, 0.8, 1.2), plane="sagittal", tilt_degrees=20),
    ],
)
def test_a_ball_has_its_volume_and_its_largest_disc(affine: NDArray[np.float64]) -> None:
    shape = (45, 90, 90)
    ball = phantoms.sphere(affine, shape, radius_mm=20) > 0
    measured = volume(ball, affine)
    assert (measured.concept, measured.unit) == (VOLUME, MILLILITRE)
    assert (measured.method, measured.derivation) == (VOXEL_SUM, None)
    assert measured.value == pytest.approx(4 / 3 * np.pi * 20**3 / 1000, rel=0.01)
    best = key_slice(ball, affine)
    assert best.index == pytest.approx(22, abs=1)
    pixel_mm = np.linalg.norm(affine[:3, 1:3], axis=0)
    pixel_mm2 = np.prod(pixel_mm)
    area, longest = best.measurements
    assert (area.concept, area.unit) == (AREA, SQUARE_MILLIMETRE)
    assert area.value == pytest.approx(np.pi * 20**2, rel=0.01)
    assert (longest.concept, longest.unit, longest.derivation) == (LONG_AXIS, MILLIMETRE, MAXIMUM)
    assert longest.value == pytest.approx(40, abs=np.hypot(*pixel_mm))
    assert polygon_area(best.contour) * pixel_mm2 == pytest.approx(area.value, rel=0.02)
    np.testing.assert_allclose(best.contour.mean(axis=0), [45, 45], atol=0.6)


def test_the_slice_with_most_of_it_is_the_key_slice_and_its_largest_part_is_outlined() -> None:
    region = np.zeros((3, 10, 20), bool)
    region[0, 2:6, 2:6] = True
    region[1, 1:6, 1:6] = True
    region[1, 7:9, 12:19] = True
    best = key_slice(region, phantoms.grid(spacing_mm=(1, 2, 3)))
    assert best.index == 1
    assert best.measurements[0].value == pytest.approx(25 * 6)
    assert best.contour.max() <= 6


def test_one_pixel_is_outlined_round_its_centre() -> None:
    part = np.zeros((5, 5), bool)
    part[2, 3] = True
    contour = outline(part)
    np.testing.assert_array_equal(contour[0], contour[-1])
    # (column, row) with (0.5, 0.5) at the centre of the first pixel (PS3.3 C.18.6.1.2).
    np.testing.assert_allclose(contour[:-1].mean(axis=0), [3.5, 2.5])
    assert polygon_area(contour) == pytest.approx(0.5)


def test_a_whole_image_stays_within_its_borders() -> None:
    contour = outline(np.ones((4, 6), bool))
    assert contour.min() == 0
    assert contour.max(axis=0).tolist() == [6, 4]
    assert polygon_area(contour) == pytest.approx(24 - 4 / 8)


@pytest.mark.parametrize(
    "pixels",
    [
        [(1, 1), (1, 2), (2, 2), (3, 2), (3, 1)],
        [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (3, 2), (3, 3), (2, 3)],
        [(2, 1), (2, 2), (2, 3), (1, 2), (3, 2)],
        [(1, 1), (2, 1), (2, 2), (2, 3), (1, 3), (3, 3), (4, 3)],
    ],
    ids=["hook", "ring", "cross", "touches itself by a corner"],
)
def test_the_outline_goes_clockwise_once_round(pixels: Sequence[tuple[int, int]]) -> None:
    part = np.zeros((6, 6), bool)
    part[tuple(np.transpose(pixels))] = True
    contour = outline(part)
    np.testing.assert_array_equal(contour[0], contour[-1])
    assert polygon_area(contour) > 0
    for row, column in pixels:
        assert inside(contour, column + 0.5, row + 0.5)


def test_a_region_that_touches_itself_by_a_corner_encloses_nothing() -> None:
    part = np.zeros((5, 5), bool)
    part[1:4, 1:4] = True
    part[2, 2] = part[1, 3] = False
    contour = outline(part)
    assert not inside(contour, 2.5, 2.5)
    assert polygon_area(contour) == pytest.approx(7 - 6 / 8, abs=0.5)


def inside(polygon: NDArray[np.float64], x: float, y: float) -> bool:
    crossings = 0
    for (x1, y1), (x2, y2) in pairwise(polygon):
        if (y1 > y) != (y2 > y):
            crossings += x < x1 + (y - y1) / (y2 - y1) * (x2 - x1)
    return crossings % 2 == 1


def test_a_large_outline_has_few_points_and_stays_close() -> None:
    rows, columns = np.indices((256, 256))
    part = ((rows - 120) / 90) ** 2 + ((columns - 130) / 70) ** 2 <= 1
    contour = outline(part)
    assert len(contour) <= 400
    radius = np.hypot((contour[:, 1] - 120.5) / 90, (contour[:, 0] - 130.5) / 70)
    assert abs(radius - 1).max() < 1 / 70
    assert polygon_area(contour) == pytest.approx(part.sum(), rel=0.005)


@pytest.mark.parametrize(
    ("points", "length"),
    [
        ([(1, 1), (1, 1)], 0.0),
        ([(1, 1), (4, 3), (1, 1)], np.hypot(3 * 0.5, 2 * 2)),
        ([(0, 0), (4, 0), (4, 3), (0, 3), (0, 0)], np.hypot(4 * 0.5, 3 * 2)),
    ],
    ids=["a point", "a line", "a box of pixels that are not square"],
)
def test_the_longest_axis_is_measured_in_millimetres(
    points: list[tuple[float, float]], length: float
) -> None:
    measured = longest_axis(np.array(points, np.float64), (0.5, 2.0))
    assert measured.value == pytest.approx(length, abs=1e-3)
