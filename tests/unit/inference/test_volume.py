from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedMRImageStorage,
)

from inference import instance, phantoms
from inference.errors import SeriesUnusable
from inference.phantoms import Phantom
from inference.volume import load_volume, read_series

SHAPE = (6, 7, 9)
STORED = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)


def phantom(**changes: Any) -> Phantom:
    given: dict[str, Any] = {
        "voxels": STORED,
        "affine": phantoms.grid(spacing_mm=(3.0, 0.5, 0.75), first_mm=(-10, 20, 30)),
    }
    return Phantom(**(given | changes))


def refusal(paths: Sequence[Path]) -> str:
    with pytest.raises(SeriesUnusable) as caught:
        load_volume(read_series(paths))
    return caught.value.reason


@pytest.mark.parametrize("compress", [False, True])
def test_voxels_and_their_places_come_back(tmp_path: Path, compress: bool) -> None:
    one = phantom()
    volume = load_volume(read_series(phantoms.write(one, tmp_path, compress=compress)))
    assert volume.voxels.dtype == np.float32
    np.testing.assert_array_equal(volume.voxels, STORED)
    np.testing.assert_allclose(volume.affine, one.affine, atol=1e-6)


def oblique() -> NDArray[np.float64]:
    return phantoms.grid(spacing_mm=(1.5, 0.9, 1.1), first_mm=(5, -40, 12), tilt_degrees=20)


@pytest.mark.parametrize(
    "affine",
    [phantoms.grid(plane="sagittal"), phantoms.grid(plane="coronal"), oblique()],
    ids=["sagittal", "coronal", "oblique"],
)
@pytest.mark.parametrize("order", [None, (5, 4, 3, 2, 1, 0), (3, 0, 5, 1, 4, 2)])
def test_geometry_alone_orders_the_slices(
    tmp_path: Path, affine: NDArray[np.float64], order: Sequence[int] | None
) -> None:
    paths = phantoms.write(phantom(affine=affine), tmp_path, order=order)
    series = read_series(paths)
    volume = load_volume(series)
    np.testing.assert_array_equal(volume.voxels, STORED)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-6)
    normal = affine[:3, 0] / np.linalg.norm(affine[:3, 0])
    np.testing.assert_allclose(series.stack.normal, normal, atol=1e-6)
    assert series.stack.slice_spacing_mm == pytest.approx(np.linalg.norm(affine[:3, 0]))


def test_headers_and_paths_follow_the_slices(tmp_path: Path) -> None:
    paths = phantoms.write(phantom(), tmp_path, order=(3, 0, 5, 1, 4, 2))
    series = read_series(paths)
    heights = [float(header.ImagePositionPatient[2]) for header in series.headers]
    assert heights == sorted(heights)
    assert series.frames == tuple((place, 1) for place in range(6))
    assert series.stack.order == tuple(range(6))
    assert series.shape == SHAPE
    for path, header in zip(series.paths, series.headers, strict=True):
        assert dcmread(path).SOPInstanceUID == header.SOPInstanceUID
        assert "PixelData" not in header


def test_each_slice_has_its_own_rescale(tmp_path: Path) -> None:
    rescale = [(1.0 + index / 2, -index) for index in range(6)]
    volume = load_volume(read_series(phantoms.write(phantom(rescale=rescale), tmp_path)))
    for index, (slope, intercept) in enumerate(rescale):
        np.testing.assert_allclose(volume.voxels[index], STORED[index] * slope + intercept)


def test_monochrome1_changes_no_value(tmp_path: Path) -> None:
    paths = phantoms.write(phantom(), tmp_path)
    for path in paths:
        edit(path, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(load_volume(read_series(paths)).voxels, STORED)


def edit(path: Path, **values: Any) -> None:
    dataset = dcmread(path)
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path)


@pytest.mark.parametrize("compress", [False, True])
def test_each_header_is_parsed_once(
    tmp_path: Path, compress: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []

    def counted(file: Any, **options: Any) -> Dataset:
        parsed.append(file.name)
        return dcmread(file, **options)

    monkeypatch.setattr(instance, "dcmread", counted)
    paths = phantoms.write(phantom(), tmp_path, compress=compress)
    load_volume(read_series(paths))
    assert parsed == [str(path) for path in paths]


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_pixels_are_found_in_every_encoding(tmp_path: Path, syntax: UID) -> None:
    paths = phantoms.write(phantom(), tmp_path)
    for path in paths:
        dataset = dcmread(path)
        words = np.frombuffer(dataset.PixelData, "<u2")
        if syntax == ExplicitVRBigEndian:
            dataset.PixelData = words.astype(">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
        dcmwrite(
            path,
            dataset,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=syntax != ExplicitVRBigEndian,
            force_encoding=True,
        )
    np.testing.assert_array_equal(load_volume(read_series(paths)).voxels, STORED)


def test_a_nonsensical_image_pixel_module_is_undecodable(tmp_path: Path) -> None:
    paths = phantoms.write(phantom(), tmp_path)
    edit(paths[2], BitsStored=99)
    assert refusal(paths) == "UNDECODABLE"


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ((0, 1, 2, 4, 5), "GAP"),
        ((0, 1, 2, 2, 3, 4, 5), "DUPLICATE-POSITION"),
        ((3,), "TOO-FEW-SLICES"),
        ((), "NO-INSTANCES"),
    ],
)
def test_missing_and_doubled_slices_are_refused(
    tmp_path: Path, order: Sequence[int], reason: str
) -> None:
    assert refusal(phantoms.write(phantom(), tmp_path, order=order)) == reason


def test_a_tilted_gantry_is_refused(tmp_path: Path) -> None:
    affine = phantoms.grid(spacing_mm=(3, 1, 1))
    affine[1, 0] = 3 * np.tan(np.deg2rad(15))
    assert refusal(phantoms.write(phantom(affine=affine), tmp_path)) == "SHEARED"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"PatientID": "OTHER"}, "MIXED-SERIES"),
        ({"SeriesInstanceUID": "1.2.3"}, "MIXED-SERIES"),
        ({"StudyInstanceUID": "1.2.3"}, "MIXED-SERIES"),
        ({"FrameOfReferenceUID": "1.2.3"}, "MIXED-SERIES"),
        ({"ImagePositionPatient": None}, "NO-GEOMETRY"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "MIXED-ORIENTATION"),
        ({"PixelSpacing": [1, 1]}, "MIXED-GRID"),
        ({"PixelData": None}, "NO-PIXELS"),
        ({"PixelData": b"\0\0"}, "UNDECODABLE"),
        ({"SamplesPerPixel": 3}, "NOT-ONE-SAMPLE"),
    ],
)
def test_one_instance_that_differs_is_refused(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    paths = phantoms.write(phantom(), tmp_path)
    edit(paths[2], **change)
    assert refusal(paths) == reason


def test_a_series_without_frame_of_reference_is_refused(tmp_path: Path) -> None:
    paths = phantoms.write(phantom(), tmp_path)
    for path in paths:
        edit(path, FrameOfReferenceUID=None)
    assert refusal(paths) == "NO-FRAME-OF-REFERENCE"


def test_a_damaged_compressed_frame_is_refused(tmp_path: Path) -> None:
    paths = phantoms.write(phantom(), tmp_path, compress=True)
    content = paths[0].read_bytes()
    assert b"\xff\xf7" in content  # the marker that begins a JPEG-LS frame
    paths[0].write_bytes(content.replace(b"\xff\xf7", b"\xff\x00"))
    assert refusal(paths) == "UNDECODABLE"


def test_what_is_no_dicom_file_is_refused(tmp_path: Path) -> None:
    paths = phantoms.write(phantom(), tmp_path)
    paths[1].write_text("Dear colleague,")
    assert refusal(paths) == "UNREADABLE"
    assert refusal([*paths[2:], tmp_path / "gone.dcm"]) == "UNREADABLE"


def test_refusals_name_no_patient(tmp_path: Path) -> None:
    paths = phantoms.write(phantom(), tmp_path)
    edit(paths[0], PatientID="SECRET-1", PatientName="Secret^Name")
    with pytest.raises(SeriesUnusable) as caught:
        read_series(paths)
    assert "secret" not in str(caught.value).casefold()


def enhanced(one: Phantom, folder: Path, order: Sequence[int]) -> Path:
    """Write a phantom as one multi-frame object, geometry in functional groups (PS3.3 C.7.6.16)."""
    dataset = phantoms.instance(one, 0, 1)
    shared, frames = Dataset(), []
    shared.PlaneOrientationSequence = [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = dataset.ImageOrientationPatient
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = dataset.PixelSpacing
    for index in order:
        own = Dataset()
        own.PlanePositionSequence = [Dataset()]
        position = phantoms.instance(one, index, 1).ImagePositionPatient
        own.PlanePositionSequence[0].ImagePositionPatient = position
        own.PixelValueTransformationSequence = [Dataset()]
        own.PixelValueTransformationSequence[0].RescaleSlope = 1 + index
        own.PixelValueTransformationSequence[0].RescaleIntercept = -index
        frames.append(own)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(dataset, keyword)
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.NumberOfFrames = len(frames)
    dataset.PixelData = one.voxels[list(order)].astype("<u2").tobytes()
    dataset.SOPClassUID = LegacyConvertedEnhancedMRImageStorage
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / "enhanced.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_an_enhanced_object_is_read_by_its_functional_groups(tmp_path: Path) -> None:
    one = phantom(affine=oblique())
    series = read_series([enhanced(one, tmp_path, (3, 0, 5, 1, 4, 2))])
    assert series.frames == ((0, 2), (0, 4), (0, 6), (0, 1), (0, 5), (0, 3))
    assert len(series.headers) == 1
    volume = load_volume(series)
    slopes = np.arange(6)[:, None, None]
    np.testing.assert_allclose(volume.voxels, STORED * (1.0 + slopes) - slopes)
    np.testing.assert_allclose(volume.affine, one.affine, atol=1e-6)


def test_an_enhanced_object_with_two_time_points_is_refused(tmp_path: Path) -> None:
    path = enhanced(phantom(), tmp_path, [*range(6), *range(6)])
    assert refusal([path]) == "DUPLICATE-POSITION"


def test_a_frame_without_functional_group_is_refused(tmp_path: Path) -> None:
    path = enhanced(phantom(), tmp_path, range(6))
    dataset = dcmread(path)
    dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:5]
    dataset.save_as(path)
    assert refusal([path]) == "NO-GEOMETRY"
