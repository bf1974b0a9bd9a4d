"""Grey as the header says, held against pydicom's own reading of the same header."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels.processing import apply_voi_lut

from inference import phantoms
from inference.phantoms import Phantom
from inference.rendering.window import window_for
from inference.volume import Series, Volume, load_volume, read_series

NONE: Mapping[str, Any] = {"WindowCenter": None, "WindowWidth": None}


def ramp(folder: Path, header: Mapping[str, Any]) -> tuple[Series, Volume]:
    voxels = np.arange(4 * 16 * 16, dtype=np.uint16).reshape(4, 16, 16) * 4
    phantom = Phantom(voxels=voxels, affine=phantoms.grid(), header=header)
    series = read_series(phantoms.write(phantom, folder))
    return series, load_volume(series)


def grey(folder: Path, header: Mapping[str, Any], index: int = 2) -> NDArray[np.float32]:
    series, volume = ramp(folder, header)
    return window_for(series, volume, index).grey(volume.voxels[index])


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("width", [20, 20.5, 700])
def test_a_window_is_read_as_pydicom_reads_it(
    tmp_path: Path, function: str | None, width: float
) -> None:
    header = {"WindowCenter": 2500, "WindowWidth": width, "VOILUTFunction": function}
    shown = grey(tmp_path, header)
    dataset = dcmread(tmp_path / "IM0003.dcm")
    expected = apply_voi_lut(dataset.pixel_array, dataset) / (2**dataset.BitsStored - 1)
    np.testing.assert_allclose(shown, expected, atol=1e-5)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_the_narrowest_window_is_a_step(tmp_path: Path, function: str) -> None:
    header = {"WindowCenter": 2500, "WindowWidth": 1, "VOILUTFunction": function}
    shown = grey(tmp_path, header)
    stored = dcmread(tmp_path / "IM0003.dcm").pixel_array
    np.testing.assert_allclose(shown[stored != 2500], (stored > 2500)[stored != 2500], atol=1e-6)


def test_of_several_windows_the_first_counts(tmp_path: Path) -> None:
    several = {"WindowCenter": [500, 9000], "WindowWidth": [1000, 10]}
    one = {"WindowCenter": 500, "WindowWidth": 1000}
    np.testing.assert_array_equal(grey(tmp_path / "a", several), grey(tmp_path / "b", one))


def test_a_table_is_looked_up(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor = [1000, 2100, 12]
    entries = [int(4095 * (step / 999) ** 2) for step in range(1000)]
    table.LUTData = np.array(entries, "<u2").tobytes()
    shown = grey(tmp_path, {**NONE, "VOILUTSequence": [table]})
    dataset = dcmread(tmp_path / "IM0003.dcm")
    np.testing.assert_allclose(shown, apply_voi_lut(dataset.pixel_array, dataset) / 4095, atol=1e-6)
    assert 0.2 < float(shown.mean()) < 0.8


def test_monochrome1_is_bright_where_it_is_low(tmp_path: Path) -> None:
    header = {"WindowCenter": 2500, "WindowWidth": 700}
    straight = grey(tmp_path / "a", header)
    series, volume = ramp(tmp_path / "b", header)
    for one in series.headers:
        one.PhotometricInterpretation = "MONOCHROME1"
    window = window_for(series, volume, 2)
    np.testing.assert_allclose(window.grey(volume.voxels[2]), 1 - straight, atol=1e-6)
    assert window.grey(np.full(1, window.black(volume.voxels), np.float32)) == 0


@pytest.mark.parametrize(
    "header",
    [
        NONE,
        {"WindowCenter": 500, "WindowWidth": 0},
        {"WindowCenter": 500, "WindowWidth": None},
        {"WindowCenter": "", "WindowWidth": ""},
    ],
)
def test_without_a_window_the_values_that_are_there_are_shown(
    tmp_path: Path, header: Mapping[str, Any]
) -> None:
    series, volume = ramp(tmp_path, header)
    shown = window_for(series, volume, 2).grey(volume.voxels)
    assert shown.min() == 0
    assert shown.max() == 1
    assert float(np.median(shown)) == pytest.approx(0.5, abs=0.2)


def test_a_volume_of_one_value_is_shown(tmp_path: Path) -> None:
    series, volume = ramp(tmp_path, NONE)
    flat = Volume(voxels=np.full_like(volume.voxels, 7), affine=volume.affine)
    assert np.isfinite(window_for(series, flat, 0).grey(flat.voxels)).all()
