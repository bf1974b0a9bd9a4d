"""Key slices by their pixels: sides, shape, scale and colours on phantoms whose answers are known."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from inference import phantoms
from inference.analysis import analyse
from inference.card import Card
from inference.context import Context
from inference.findings import KeyPicture, Result, Saliency
from inference.phantoms import Phantom
from inference.rendering import key_pictures
from inference.rendering.key_slices import MOST_PICTURES, SIDE, Layout
from inference.rendering.marks import BAR_PIXELS, font, opposite, side
from inference.rendering.paint import HEAT, HOT, TINT
from inference.testing import ThresholdServer
from inference.volume import Volume, load_volume, read_series
from tests.unit.inference_results.studies import NODULE, Study, with_everything

CUBE_MM = 96
TOWARDS_MM = np.array([-20.0, -24.0, 28.0])
"""From the middle of the head to the bright ball, LPS: to the right, the front and the top."""
BALL_MM = 28.0
WINDOW: Mapping[str, Any] = {"WindowCenter": 500, "WindowWidth": 1001}
DIM, BRIGHT = 300, 1000
REACH = 60
"""Pixels round a mark's place in which all of it lies."""


def flipped(affine: NDArray[np.float64], *axes: int) -> NDArray[np.float64]:
    """Let rows (1) or columns (2) run the other way; slices follow, so that the axes stay right-handed."""
    turned = affine.copy()
    for axis in axes:
        turned[:3, axis] *= -1
    if len(axes) % 2:
        turned[:3, 0] *= -1
    return turned


STACKS = {
    "axial": phantoms.grid(spacing_mm=(3, 1, 1)),
    "sagittal": phantoms.grid(spacing_mm=(2, 1, 1), plane="sagittal"),
    "coronal": phantoms.grid(spacing_mm=(2, 1, 1), plane="coronal"),
    "oblique": phantoms.grid(spacing_mm=(3, 1, 1), tilt_degrees=25),
    "steep": phantoms.grid(spacing_mm=(3, 1, 1), plane="coronal", tilt_degrees=-40),
    "anisotropic": phantoms.grid(spacing_mm=(3, 2, 0.75)),
    "columns from left": flipped(phantoms.grid(spacing_mm=(3, 1, 1)), 2),
    "rows from behind": flipped(phantoms.grid(spacing_mm=(3, 1, 1)), 1),
    "both": flipped(phantoms.grid(spacing_mm=(3, 1, 1)), 1, 2),
}


def head(
    folder: Path, card: Card, affine: NDArray[np.float64], **header: Any
) -> tuple[Volume, Result]:
    """Analyse a dim cube with a bright ball in its right upper front."""
    shape = tuple(round(CUBE_MM / one) for one in np.linalg.norm(affine[:3, :3], axis=0))
    indices = np.indices(shape).reshape(3, -1)
    middle = (np.array(shape) - 1) / 2
    offsets = affine[:3, :3] @ (indices - middle[:, None]) - TOWARDS_MM[:, None]
    bright = np.linalg.norm(offsets, axis=0).reshape(shape) <= BALL_MM / 2
    voxels = np.where(bright, BRIGHT, DIM).astype(np.uint16)
    phantom = Phantom(voxels=voxels, affine=affine, header={**WINDOW, **header})
    series = read_series(phantoms.write(phantom, folder))
    result = analyse(card, {"volume": series}, Context(), {}, server=ThresholdServer())
    return load_volume(series), result


def layout(result: Result) -> Layout:
    return Layout.of(result.series.planes[0], 1)


def image(picture: KeyPicture, result: Result) -> NDArray[np.int64]:
    """Cut the image out of a picture, without the rows and columns that marks stand in."""
    left, top, right, bottom = layout(result).box
    return picture.pixels[top:bottom, left:right].astype(np.int64)


def coloured(pixels: NDArray[np.int64], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = np.abs(pixels - np.array(colour)).max(axis=2) < 12
    return same


def mark_at(pixels: NDArray[np.int64], place: tuple[float, float], anchor: str) -> str:
    """Read the letters at a place: those whose white pixels are the ones that are there."""
    left, top = int(place[0]) - REACH, int(place[1]) - REACH
    white = np.pad((pixels == 255).all(axis=2), REACH)  # a mark may stand near the edge
    around = white[top + REACH : top + 3 * REACH, left + REACH : left + 3 * REACH]
    directions = np.random.default_rng(1).normal(size=(4000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    fitting = []
    for name in {side(v) for v in directions}:
        blank = Image.new("L", (2 * REACH, 2 * REACH), 0)
        where = (place[0] - left, place[1] - top)
        ImageDraw.Draw(blank).text(
            where, name, 255, font(20), anchor, stroke_width=2, stroke_fill=0
        )
        drawn = np.asarray(blank) == 255
        box = tuple(slice_of(np.flatnonzero(drawn.any(axis=axis))) for axis in (1, 0))
        if (around[box] == drawn[box]).all():
            fitting.append((int(drawn.sum()), name))
    assert fitting, "no mark is there"
    return max(fitting)[1]


def slice_of(found: NDArray[np.int64]) -> slice:
    return slice(max(0, int(found[0]) - 3), int(found[-1]) + 4)


@pytest.mark.parametrize("stack", STACKS)
def test_the_ball_lies_towards_the_sides_that_are_marked(
    tmp_path: Path, brain_card: Card, stack: str
) -> None:
    affine = STACKS[stack]
    _, result = head(tmp_path, brain_card, affine)
    (picture,) = result.pictures
    pixels = image(picture, result)
    rows, columns = pixels.shape[:2]
    marks = {
        (0, -1): mark_at(pixels, (8, rows / 2), "lm"),
        (0, 1): mark_at(pixels, (columns - 8, rows / 2), "rm"),
        (-1, 0): mark_at(pixels, (columns / 2, 6), "ma"),
        (1, 0): mark_at(pixels, (columns / 2, rows - 6), "md"),
    }
    towards = {"L": 0, "R": 0, "P": 1, "A": 1, "H": 2, "F": 2}
    found = np.argwhere(coloured(pixels, brain_card.segments[0].colour_rgb))
    off_mm = (found.mean(axis=0) - np.array([rows, columns]) / 2) / layout(result).pixels_per_mm
    for axis, direction in enumerate((affine[:3, 1], affine[:3, 2])):
        along = direction / np.linalg.norm(direction)
        assert off_mm[axis] == pytest.approx(along @ TOWARDS_MM, abs=2)
        for sign in (-1, 1):
            place = (sign, 0) if axis == 0 else (0, sign)
            letters = marks[place]
            parts = [abs(along[towards[letter]]) for letter in letters]
            assert parts == sorted(parts, reverse=True)
            assert min(parts) >= 0.2
            for letter in letters:  # the letter's own direction is the one in which it stands
                positive = letter in "LPH"
                assert (along[towards[letter]] * sign > 0) == positive


@pytest.mark.parametrize(
    ("direction", "letters"),
    [
        ((1, 0, 0), "L"),
        ((-1, 0, 0), "R"),
        ((0, 1, 0), "P"),
        ((0, -1, 0), "A"),
        ((0, 0, 1), "H"),
        ((0, 0, -1), "F"),
        ((0, 0.906, 0.423), "PH"),
        ((0.15, -0.99, 0.0), "A"),
        ((-0.3, 0.5, -0.81), "FPR"),
    ],
)
def test_sides_are_told_as_the_standard_tells_them(
    direction: tuple[float, float, float], letters: str
) -> None:
    assert side(direction) == letters
    assert side([-part for part in direction]) == opposite(letters)


@pytest.mark.parametrize("stack", STACKS)
def test_a_ball_is_round_and_the_bar_is_as_long_as_it_says(
    tmp_path: Path, brain_card: Card, stack: str
) -> None:
    _, result = head(tmp_path, brain_card, STACKS[stack])
    (picture,) = result.pictures
    pixels = image(picture, result)
    rows, columns = np.nonzero(coloured(pixels, brain_card.segments[0].colour_rgb))
    height, width = np.ptp(rows), np.ptp(columns)
    spacing = np.linalg.norm(STACKS[stack][:3, 1:3], axis=0).max()
    assert height / width == pytest.approx(1, abs=0.02 + 2 * spacing / BALL_MM)
    corner = pixels[:, pixels.shape[1] * 3 // 5 :]  # without the mark in the middle of the edge
    bar = (corner == 255).all(axis=2)[-12 - BAR_PIXELS : -12]
    assert (bar == bar[0]).all()
    long = np.ptp(np.flatnonzero(bar[0])) + 1
    bar_mm = long / ((height + width) / 2) * BALL_MM
    assert bar_mm == pytest.approx(20, rel=0.02 + spacing / BALL_MM)
    assert long / layout(result).pixels_per_mm == pytest.approx(20, abs=0.2)


def test_the_picture_is_as_wide_and_high_as_the_slice_in_millimetres(
    tmp_path: Path, brain_card: Card
) -> None:
    _, result = head(tmp_path, brain_card, phantoms.grid(spacing_mm=(3, 2, 0.75)))
    plane = replace(result.series.planes[0], rows=30)  # 60 mm high, 96 mm wide
    narrow = Layout.of(plane, 1)
    assert narrow.size == (SIDE, round(SIDE * 60 / 96))
    tall = Layout.of(replace(plane, rows=96), 1)
    assert tall.size == (SIDE // 2, SIDE)
    assert tall.box[0] == SIDE // 4


def test_grey_outline_and_inside_have_their_colours(tmp_path: Path, brain_card: Card) -> None:
    _, result = head(tmp_path, brain_card, STACKS["axial"])
    (picture,) = result.pictures
    pixels = image(picture, result)
    colour = np.array(brain_card.segments[0].colour_rgb)
    dim = 255 * DIM / 1000
    assert pixels[-100, 100].tolist() == pytest.approx([dim] * 3, abs=1)
    inside = np.argwhere(coloured(pixels, tuple(colour)))
    middle = inside.mean(axis=0).round().astype(int)
    expected = 255 * (1 - TINT) + colour * TINT
    assert pixels[tuple(middle)].tolist() == pytest.approx(expected.tolist(), abs=1.5)


def test_heat_lies_where_the_saliency_is_and_is_as_strong(tmp_path: Path, brain_card: Card) -> None:
    volume, result = head(tmp_path, brain_card, STACKS["axial"])
    index = result.pictures[0].index
    values = np.zeros(result.mask.shape, np.float32)
    values[index, 70:90, 10:20], values[index, 70:90, 30:40] = 1.0, 0.5
    values[index - 1, 40:60] = 1.0  # another slice
    explains = (result.findings[0].tracking_uid,)
    hot = replace(result, saliency=Saliency(values=values, explains=explains))
    pixels = image(key_pictures(volume, hot)[0], hot)
    scale = layout(hot).pixels_per_mm
    dim = 255 * DIM / 1000
    for column, value, colour in ((15, 1.0, HOT[4]), (35, 0.5, HOT[2]), (60, 0.0, HOT[0])):
        expected = dim * (1 - HEAT * value) + colour * HEAT * value
        found = pixels[round(80 * scale), round(column * scale)]
        assert found.tolist() == pytest.approx(expected.tolist(), abs=1.5)


def test_the_key_slice_is_the_largest_section(tmp_path: Path, brain_card: Card) -> None:
    _, result = head(tmp_path, brain_card, STACKS["axial"])
    areas = np.count_nonzero(result.mask, axis=(1, 2))
    (picture,) = result.pictures
    assert areas[picture.index] == areas.max()
    assert picture.shows == (result.findings[0].tracking_uid,)
    assert picture.lines[0] == "AI, not for primary diagnosis · RESEARCH"
    (volume,) = result.findings[0].measurements
    assert f"Volume {volume.value} ml" in picture.lines[1]
    assert "Area" in picture.lines[1]


def test_pixels_do_not_tell_whose_they_are(tmp_path: Path, brain_card: Card) -> None:
    pictures = [
        head(tmp_path / name, brain_card, STACKS["axial"], PatientName=name, PatientID=name)[1]
        for name in ("Muster^Anna", "Beispiel^Bernd")
    ]
    first, second = (result.pictures[0].pixels for result in pictures)
    np.testing.assert_array_equal(first, second)


def test_nothing_found_has_no_picture(tmp_path: Path, brain_card: Card) -> None:
    volume, result = head(tmp_path, brain_card, STACKS["axial"])
    absent = replace(result.findings[0], present=False, measurements=(), key_slice=None)
    nothing = replace(result, findings=(absent,), mask=np.zeros_like(result.mask))
    assert key_pictures(volume, nothing) == ()


def test_findings_of_one_slice_share_a_picture_and_there_are_not_too_many(
    tmp_path: Path, brain_card: Card
) -> None:
    volume, result = head(tmp_path, brain_card, STACKS["axial"])
    key = result.findings[0].key_slice
    assert key is not None
    many = [
        replace(result.findings[0], tracking_uid=f"2.25.{n}", key_slice=replace(key, index=n // 8))
        for n in range(8 * (MOST_PICTURES + 3))
    ]
    pictures = key_pictures(volume, replace(result, findings=tuple(many)))
    assert [picture.index for picture in pictures] == list(range(MOST_PICTURES))
    assert {len(picture.shows) for picture in pictures} == {8}
    assert pictures[0].lines[-1] == "and 4 more on this slice"
    assert len({picture.pixels.shape for picture in pictures}) == 1


def test_a_finding_without_a_mask_is_drawn_by_its_contour(tmp_path: Path, brain_card: Card) -> None:
    volume, result = head(tmp_path, brain_card, STACKS["axial"])
    key = result.findings[0].key_slice
    assert key is not None
    other = replace(brain_card.segments[0], number=9, colour_rgb=(0, 255, 0))
    box = np.array([(10.0, 60.0), (30.0, 60.0), (30.0, 80.0), (10.0, 80.0), (10.0, 60.0)])
    boxed = replace(result.findings[0], segment=other, key_slice=replace(key, contour=box))
    pixels = image(key_pictures(volume, replace(result, findings=(boxed,)))[0], result)
    rows, columns = np.nonzero(coloured(pixels, (0, 255, 0)))
    scale = layout(result).pixels_per_mm
    extent = (columns.min(), columns.max(), rows.min(), rows.max())
    assert [one / scale for one in extent] == pytest.approx([10, 30, 60, 80], abs=0.5)


def test_places_of_a_detection_are_drawn_in_their_colour(tmp_path: Path) -> None:
    result = with_everything(Study(segments=()).result(tmp_path))
    (picture,) = key_pictures(load_volume(result.series), result)
    assert picture.index == 3
    assert picture.shows == tuple(one.tracking_uid for one in result.detections)
    assert np.count_nonzero((picture.pixels == NODULE.colour_rgb).all(axis=2)) > 500
    assert sum("probability 0.75 (threshold 0.25)" in line for line in picture.lines) == 3
    nothing = replace(result, detections=())
    assert key_pictures(load_volume(result.series), nothing) == ()
