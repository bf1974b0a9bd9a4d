import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from inference import phantoms
from inference.analysis import analyse
from inference.card import Card
from inference.context import Context
from inference.findings import Result, Saliency
from inference.phantoms import Phantom
from inference.rendering import WIDTH, overlay
from inference.testing import ThresholdServer
from inference.volume import Volume, load_volume, read_series

CUBE_MM = 96
TOWARDS_MM = np.array([-20, -24, 28])
"""From the middle of the head to the bright ball, LPS: to the right, the front and the top."""


def head(folder: Path, card: Card, affine: NDArray[np.float64]) -> tuple[Volume, Result]:
    """Analyse a dim cube with a bright ball in its right upper front."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    shape = tuple(round(CUBE_MM / one) for one in spacing)
    indices = np.indices(shape).reshape(3, -1)
    middle = (np.array(shape) - 1) / 2
    offsets = affine[:3, :3] @ (indices - middle[:, None]) - TOWARDS_MM[:, None]
    bright = np.linalg.norm(offsets, axis=0).reshape(shape) <= 14
    voxels = np.where(bright, 1000, 300).astype(np.uint16)
    series = read_series(phantoms.write(Phantom(voxels=voxels, affine=affine), folder))
    server = ThresholdServer()
    result = analyse(card, {"volume": series}, Context(), {}, server=server)
    return load_volume(series), result


def coloured(picture: bytes, colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), int)
    same: NDArray[np.bool_] = np.abs(pixels - np.array(colour)).max(axis=2) < 12
    same[:84] = False  # the caption's swatch
    return same


@pytest.mark.parametrize(
    "affine",
    [
        phantoms.grid(),
        phantoms.grid(spacing_mm=(3, 1, 2), plane="sagittal"),
        phantoms.grid(spacing_mm=(2, 1, 1), plane="coronal"),
    ],
    ids=["axial", "sagittal", "coronal"],
)
def test_right_is_left_front_and_head_are_up_however_it_was_scanned(
    tmp_path: Path, brain_card: Card, affine: NDArray[np.float64]
) -> None:
    volume, result = head(tmp_path, brain_card, affine)
    outline = coloured(overlay(volume, result), brain_card.segments[0].colour_rgb)
    panels = np.array_split(np.arange(28, WIDTH - 28), 3)
    middle_row = 84 + len(panels[0]) / 2
    scale = len(panels[0]) / CUBE_MM
    right, front, up = (-TOWARDS_MM[0], -TOWARDS_MM[1], TOWARDS_MM[2])
    expected = [(-right, -front), (-right, -up), (-front, -up)]
    for columns, (across_mm, down_mm) in zip(panels, expected, strict=True):
        rows_found, columns_found = np.nonzero(outline[:, columns])
        across = (columns_found.mean() - len(columns) / 2) / scale
        down = (rows_found.mean() - middle_row) / scale
        assert (across, down) == pytest.approx((across_mm, down_mm), abs=4)
        # One scale in millimetres: the ball is round and as large in each plane.
        assert np.ptp(columns_found) / scale == pytest.approx(28, abs=3)
        assert np.ptp(rows_found) / scale == pytest.approx(28, abs=3)


def test_nothing_found_has_no_outline(tmp_path: Path, brain_card: Card) -> None:
    volume, result = head(tmp_path, brain_card, phantoms.grid(spacing_mm=(2, 2, 2)))
    absent = replace(result.findings[0], present=False, measurements=(), key_slice=None)
    nothing = replace(result, findings=(absent,), mask=np.zeros_like(result.mask))
    picture = overlay(volume, nothing)
    assert Image.open(io.BytesIO(picture)).width == WIDTH
    assert not coloured(picture, brain_card.segments[0].colour_rgb).any()


def test_a_volume_that_shows_nothing_is_drawn(tmp_path: Path, brain_card: Card) -> None:
    volume, result = head(tmp_path, brain_card, phantoms.grid(spacing_mm=(2, 2, 2)))
    dark = Volume(voxels=np.zeros_like(volume.voxels), affine=volume.affine)
    assert Image.open(io.BytesIO(overlay(dark, result))).width == WIDTH


def test_the_same_result_gives_the_same_picture(tmp_path: Path, brain_card: Card) -> None:
    volume, result = head(tmp_path, brain_card, phantoms.grid(spacing_mm=(2, 2, 2)))
    assert overlay(volume, result) == overlay(volume, result)


def test_saliency_is_laid_over_each_plane_where_it_is(tmp_path: Path, brain_card: Card) -> None:
    volume, result = head(
        tmp_path, brain_card, phantoms.grid(spacing_mm=(3, 1, 2), plane="sagittal")
    )
    ball = result.mask == 1
    hot = Saliency(values=ball.astype(np.float32), explains=(result.findings[0].tracking_uid,))
    plain, heated = (
        np.asarray(Image.open(io.BytesIO(overlay(volume, one))), int)
        for one in (result, replace(result, saliency=hot))
    )
    changed = np.abs(plain - heated).max(axis=2) > 8
    inside = coloured(overlay(volume, result), brain_card.segments[0].colour_rgb)
    for columns in np.array_split(np.arange(28, WIDTH - 28), 3):
        rows_hot, columns_hot = np.nonzero(changed[:, columns])
        rows_drawn, columns_drawn = np.nonzero(inside[:, columns])
        assert rows_hot.mean() == pytest.approx(rows_drawn.mean(), abs=3)
        assert columns_hot.mean() == pytest.approx(columns_drawn.mean(), abs=3)


def test_the_bar_is_as_long_as_it_says(tmp_path: Path, brain_card: Card) -> None:
    volume, result = head(tmp_path, brain_card, phantoms.grid(spacing_mm=(2, 1, 1)))
    picture = overlay(volume, result)
    pixels = np.asarray(Image.open(io.BytesIO(picture)), int)
    last = np.array_split(np.arange(28, WIDTH - 28), 3)[2]
    columns = np.nonzero(coloured(picture, brain_card.segments[0].colour_rgb)[:, last])[1]
    ball_px = np.ptp(columns)
    white = (pixels[:, last] == 255).all(axis=2)
    row = white.sum(axis=1).argmax()
    assert white[row].sum() / ball_px * 28 == pytest.approx(20, rel=0.06)


def test_every_finding_is_told_as_far_as_there_is_room(tmp_path: Path, brain_card: Card) -> None:
    volume, result = head(tmp_path, brain_card, phantoms.grid(spacing_mm=(2, 2, 2)))
    many = replace(result, findings=result.findings * 30)
    pixels = np.asarray(Image.open(io.BytesIO(overlay(volume, many))), int)
    alone = np.asarray(Image.open(io.BytesIO(overlay(volume, result))), int)
    np.testing.assert_array_equal(pixels[:84, -400:], alone[:84, -400:])  # what must be said stays
