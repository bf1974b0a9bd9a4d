"""RLE Lossless frames: read by pydicom, packet by packet, and no longer than pydicom's own."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import RLELossless

from inference.results.run_lengths import compressed, packed_rows


def _planes() -> dict[str, NDArray[np.uint8]]:
    random = np.random.default_rng(243)
    bar = np.zeros((9, 700), np.uint8)
    bar[2:5, 129:387] = 7
    patches = random.integers(0, 9, (6, 7), dtype=np.uint8)
    return {
        "empty": np.zeros((12, 40), np.uint8),
        "full": np.full((3, 129), 255, np.uint8),
        "one pixel": np.array([[4]], np.uint8),
        "one column": np.array([[4], [4], [5]], np.uint8),
        "noise": random.integers(0, 3, (40, 301), dtype=np.uint8),
        "long runs": bar,
        "stripes": np.tile(np.array([0, 1], np.uint8), (5, 200)),
        "pairs between single pixels": np.tile(np.array([1, 2, 2], np.uint8), (3, 90)),
        "patches": np.kron(patches, np.ones((11, 13), np.uint8)),
    }


PLANES = _planes()


@pytest.mark.parametrize("name", PLANES)
def test_pydicom_decodes_what_was_compressed(name: str) -> None:
    np.testing.assert_array_equal(_decoded(compressed(PLANES[name]), PLANES[name]), PLANES[name])


@pytest.mark.parametrize("name", PLANES)
def test_sixteen_bits_are_two_segments(name: str) -> None:
    plane = PLANES[name].astype(np.uint16)
    plane *= 251
    np.testing.assert_array_equal(_decoded(compressed(plane), plane), plane)


@pytest.mark.parametrize("name", PLANES)
def test_no_packet_leaves_its_row(name: str) -> None:
    plane = PLANES[name]
    packed, at, pixels, ends = packed_rows(plane), 0, 0, set()
    while pixels < plane.size:
        assert packed[at] != 128, "PS3.5 G.3.2: -128 is not written"
        length = packed[at] + 1 if packed[at] < 128 else 257 - packed[at]
        at += 1 + (length if packed[at] < 128 else 1)
        pixels += length
        ends.add(pixels)
    rows, columns = plane.shape
    assert ends >= {row * columns for row in range(1, rows + 1)}
    assert len(packed) == at + at % 2
    assert packed[at:] in {b"", b"\0"}


@pytest.mark.parametrize("name", PLANES)
def test_it_is_no_longer_than_pydicoms(name: str) -> None:
    plane = PLANES[name]
    assert len(compressed(plane)) <= len(_by_pydicom(plane))


def test_a_pair_between_single_pixels_stays_among_them() -> None:
    assert packed_rows(np.array([[5, 6, 6, 7]], np.uint8)) == bytes([3, 5, 6, 6, 7, 0])


def _decoded(frame: bytes, plane: NDArray[np.unsignedinteger[Any]]) -> NDArray[Any]:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = RLELossless
    for keyword, value in _described(plane).items():
        setattr(dataset, keyword, value)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    dataset.pixel_array_options(decoding_plugin="pydicom")
    return dataset.pixel_array


def _by_pydicom(plane: NDArray[np.uint8]) -> bytes:
    described: dict[str, Any] = {
        "rows": plane.shape[0],
        "columns": plane.shape[1],
        "samples_per_pixel": 1,
        "number_of_frames": 1,
        "bits_allocated": 8,
        "bits_stored": 8,
        "pixel_representation": 0,
        "photometric_interpretation": "MONOCHROME2",
    }
    return get_encoder(RLELossless).encode(plane, encoding_plugin="pydicom", **described)


def _described(plane: NDArray[np.unsignedinteger[Any]]) -> dict[str, Any]:
    bits = plane.dtype.itemsize * 8
    return {
        "Rows": plane.shape[0],
        "Columns": plane.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
    }
