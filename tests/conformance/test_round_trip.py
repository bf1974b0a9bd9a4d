"""Random masks on random grids come back voxel for voxel from every reader, each in its place.

``make property-test`` tries 2,000 cases, ``OVERREAD_CASES`` any number; ``OVERREAD_SEED`` is the number of the
first, and a case that fails tells its own: ``OVERREAD_SEED=17 OVERREAD_CASES=1`` is that one again.
"""

import os
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    RLELossless,
)

from inference.findings import Result
from inference.results.gate import check
from inference.results.objects import Kind
from inference.results.set import build, write
from tests.conformance import validators
from tests.conformance.random_masks import RandomCase, case
from tests.unit.inference_results.studies import REQUEST

CASES = int(os.environ.get("OVERREAD_CASES", "40"))
SEED = int(os.environ.get("OVERREAD_SEED", "1"))

pytestmark = [
    pytest.mark.peers,
    pytest.mark.slow,
    pytest.mark.timeout(60 + 2 * CASES),
    pytest.mark.filterwarnings(f"ignore:{validators.COUNTED_AS_RAW}:UserWarning"),
]


@pytest.mark.parametrize("number", range(SEED, SEED + CASES))
def test_a_mask_survives(number: int, tmp_path: Path) -> None:
    tried = case(number)
    print(tried.told)
    result = tried.result(tmp_path / "source")
    objects = build(result, REQUEST, tried.profile)
    check(objects, result.series)
    paths = {item.kind: item.path for item in write(objects, tmp_path)}
    if not tried.mask.any():
        assert Kind.SEG not in paths
        assert validators.dsrdump(paths[Kind.SR]).count("(272519000,SCT,") == len(result.findings)
        return
    assert validators.dciodvfy_errors(paths[Kind.SEG]) == [], tried.told
    _dcmqi(paths[Kind.SEG], tried, result, tmp_path)
    _highdicom(paths[Kind.SEG], tried, result)
    _gdcm(paths[Kind.SEG], tried, result, tmp_path)


def _dcmqi(path: Path, tried: RandomCase, result: Result, folder: Path) -> None:
    images = validators.segment_images(path, folder / "segments")
    present = {int(value) for value in np.unique(tried.mask)} - {0}
    assert present <= set(images), tried.told
    for number, image in images.items():
        region = tried.mask == number
        assert image.voxels.sum() == region.sum(), tried.told
        found = image.at(result.series.affine, region.shape)
        np.testing.assert_array_equal(found, region, tried.told)


def _highdicom(path: Path, tried: RandomCase, result: Result) -> None:
    read = hd.seg.segread(path)
    if tried.multi_frame:
        pixels = read.get_pixels_by_source_frame(
            str(result.series.headers[0].SOPInstanceUID),
            [number for _, number in result.series.frames],
            combine_segments=True,
            assert_missing_frames_are_empty=True,
        )
    else:
        pixels = read.get_pixels_by_source_instance(
            [str(header.SOPInstanceUID) for header in result.series.headers],
            combine_segments=True,
            assert_missing_frames_are_empty=True,
        )
    np.testing.assert_array_equal(pixels, tried.mask, tried.told)


def _gdcm(path: Path, tried: RandomCase, result: Result, folder: Path) -> None:
    """Hold GDCM's pixels against the mask, each frame at the place that it names."""
    described = dcmread(path, stop_before_pixels=True).PerFrameFunctionalGroupsSequence
    frames = validators.gdcm_frames(path, folder)
    found = np.zeros_like(tried.mask)
    for pixels, item in zip(frames, described, strict=True):
        shown = found[_slice(item, result)]
        named = item.get("SegmentIdentificationSequence")
        shown += pixels * named[0].ReferencedSegmentNumber if named else pixels
    np.testing.assert_array_equal(found, tried.mask, tried.told)


def _slice(item: Dataset, result: Result) -> int:
    positions = np.array([plane.position_mm for plane in result.series.planes])
    named = np.array(item.PlanePositionSequence[0].ImagePositionPatient, dtype=np.float64)
    distances = np.linalg.norm(positions - named, axis=1)
    assert distances.min() < 0.001
    return int(distances.argmin())


@pytest.mark.parametrize(("rows", "decoded"), [(4, False), (8, True)])
def test_gdcm_decodes_no_run_lengths_of_fewer_than_64_bytes(
    rows: int, decoded: bool, tmp_path: Path
) -> None:
    """Neither pydicom's run lengths; the same frame twice it does decode."""
    image = _encoded_by_pydicom(np.arange(rows * 8, dtype=np.uint8).reshape(1, rows, 8))
    pixels = image.pixel_array.tobytes()
    image.save_as(tmp_path / "once.dcm")
    assert validators.gdcm_buffer(tmp_path / "once.dcm") == (pixels if decoded else None)
    twice = _encoded_by_pydicom(np.stack([image.pixel_array] * 2))
    twice.save_as(tmp_path / "twice.dcm")
    assert validators.gdcm_buffer(tmp_path / "twice.dcm") == pixels * 2


def test_pydicom_takes_its_own_run_lengths_for_raw() -> None:
    """42 runs of four: 64 + 84 bytes of RLE and 20 of items are as many as pixels, and are decoded right."""
    runs = np.repeat(np.arange(42, dtype=np.uint8), 4)
    image = _encoded_by_pydicom(runs.reshape(1, 42, 4))
    with pytest.warns(UserWarning, match=validators.COUNTED_AS_RAW):
        pixels = image.pixel_array
    np.testing.assert_array_equal(pixels.reshape(-1), runs)


def _encoded_by_pydicom(frames: NDArray[np.uint8]) -> Dataset:
    """Return a secondary capture whose RLE Lossless is pydicom's."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = MultiFrameGrayscaleByteSecondaryCaptureImageStorage
    image.SOPInstanceUID = UID("2.25.1")
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.set_pixel_data(frames, "MONOCHROME2", 8, generate_instance_uid=False)
    image.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    return image
