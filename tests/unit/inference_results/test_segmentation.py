"""The forms of a Segmentation: which one a profile gets, and what it says of segments and background."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from inference.codes import Code
from inference.findings import Result
from inference.results.profile import PROFILES, Profile, Segments
from inference.results.segmentation import segmentation
from tests.unit.inference_results.studies import (
    BRAIN,
    LESION,
    REQUEST,
    Study,
    result_on,
    without,
)

TWO = (BRAIN, LESION)
BINARY = Profile(name="binary")
LABELMAP = Profile(name="labelmap", segments=Segments.LABELMAP)
BINARY_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
LABELMAP_CLASS = "1.2.840.10008.5.1.4.1.1.66.7"


def made(result: Result, profile: Profile) -> Dataset:
    segments = segmentation(result, REQUEST, profile)
    assert segments is not None
    return dcmread(io.BytesIO(segments.encoded))


def pixels(dataset: Dataset, result: Result) -> NDArray[Any]:
    read = hd.seg.Segmentation.from_dataset(dataset)
    uids = [str(header.SOPInstanceUID) for header in result.series.headers]
    found: NDArray[Any] = read.get_pixels_by_source_instance(
        uids, combine_segments=True, assert_missing_frames_are_empty=True
    )
    return found


@pytest.mark.parametrize(
    ("profile", "shape", "sop_class", "syntax"),
    [
        ("generic-pacs", (12, 48, 40), BINARY_CLASS, ExplicitVRLittleEndian),
        ("generic-pacs", (12, 47, 39), BINARY_CLASS, ExplicitVRLittleEndian),
        ("ohif", (12, 48, 40), BINARY_CLASS, ExplicitVRLittleEndian),
        ("ohif", (12, 47, 39), LABELMAP_CLASS, RLELossless),
        ("ohif-binary", (12, 47, 39), BINARY_CLASS, ExplicitVRLittleEndian),
        ("labelmap", (12, 48, 40), LABELMAP_CLASS, RLELossless),
    ],
)
def test_the_profile_and_the_matrix_decide_the_form(
    tmp_path: Path, profile: str, shape: tuple[int, int, int], sop_class: str, syntax: str
) -> None:
    result = Study(shape=shape, segments=TWO).result(tmp_path)
    dataset = made(result, PROFILES[profile])
    assert (dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID) == (sop_class, syntax)
    np.testing.assert_array_equal(pixels(dataset, result), result.mask)


@pytest.mark.parametrize("profile", [BINARY, LABELMAP])
def test_an_empty_mask_makes_no_segmentation(tmp_path: Path, profile: Profile) -> None:
    assert segmentation(without(Study().result(tmp_path), 1), REQUEST, profile) is None


def test_a_destination_may_want_none(tmp_path: Path) -> None:
    assert segmentation(Study().result(tmp_path), REQUEST, PROFILES["pictures"]) is None


def test_a_label_map_has_its_background_first(tmp_path: Path) -> None:
    dataset = made(Study(segments=TWO).result(tmp_path), LABELMAP)
    assert [item.SegmentNumber for item in dataset.SegmentSequence] == [0, 1, 2]
    assert dataset.SegmentSequence[0].SegmentLabel == "Background"
    assert dataset.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue == "125040"
    assert (dataset.PixelPaddingValue, dataset.BitsAllocated) == (0, 8)


def test_a_label_map_has_one_frame_for_each_slice_with_something_on_it(tmp_path: Path) -> None:
    result = Study(segments=TWO).result(tmp_path)
    assert made(result, LABELMAP).NumberOfFrames == 7
    assert made(result, replace(LABELMAP, every_frame=True)).NumberOfFrames == 12


def test_every_frame_of_a_present_segment_is_there_where_it_is_wanted(tmp_path: Path) -> None:
    result = without(Study(segments=TWO).result(tmp_path), BRAIN.number)
    dataset = made(result, replace(BINARY, every_frame=True))
    assert dataset.NumberOfFrames == 12
    np.testing.assert_array_equal(pixels(dataset, result), result.mask)


@pytest.mark.parametrize("profile", [BINARY, LABELMAP])
def test_what_is_no_present_finding_is_not_shown(tmp_path: Path, profile: Profile) -> None:
    whole = Study(segments=TWO).result(tmp_path)
    absent = replace(without(whole, BRAIN.number), mask=whole.mask)
    expected = np.where(whole.mask == LESION.number, LESION.number, 0)
    np.testing.assert_array_equal(pixels(made(absent, profile), absent), expected)


def test_more_than_255_segments_have_16_bits(tmp_path: Path) -> None:
    segments = tuple(replace(BRAIN, number=n, label=f"Region {n}") for n in range(1, 301))
    study = Study(shape=(3, 20, 15), segments=segments)
    mask = np.arange(900, dtype=np.uint16).reshape(study.shape) % 301
    empty = study.result(tmp_path, mask=np.zeros(study.shape, np.uint8))
    # A network's mask has 8 bits today; what is written does not depend on it.
    result = result_on(empty.series, study, cast(NDArray[np.uint8], mask))
    for profile in (LABELMAP, BINARY):
        dataset = made(result, profile)
        np.testing.assert_array_equal(pixels(dataset, result), mask)
    assert made(result, LABELMAP).BitsAllocated == 16


def test_a_mask_of_16_bits_with_few_segments_has_8_bits(tmp_path: Path) -> None:
    result = Study(segments=TWO).result(tmp_path)
    wide = replace(result, mask=cast(NDArray[np.uint8], result.mask.astype(np.uint16)))
    dataset = made(wide, LABELMAP)
    assert dataset.BitsAllocated == 8
    np.testing.assert_array_equal(pixels(dataset, wide), result.mask)


def test_a_mask_may_lie_anyhow_in_memory(tmp_path: Path) -> None:
    result = Study(segments=TWO).result(tmp_path)
    turned = replace(result, mask=np.asfortranarray(result.mask))
    for profile in (BINARY, LABELMAP):
        first, second = (segmentation(one, REQUEST, profile) for one in (result, turned))
        assert first is not None
        assert second is not None
        assert first.encoded == second.encoded


@pytest.mark.parametrize("profile", [BINARY, LABELMAP])
def test_a_segment_says_what_its_card_says(tmp_path: Path, profile: Profile) -> None:
    right = Code("24028007", "SCT", "Right")
    lesion = replace(
        LESION,
        number=1,
        laterality=right,
        type_modifier=Code("88850006", "SCT", "Chronic"),
    )
    item = made(Study(segments=(lesion,)).result(tmp_path), profile).SegmentSequence[-1]
    kind = item.SegmentedPropertyTypeCodeSequence[0]
    region = item.AnatomicRegionSequence[0]
    assert item.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert kind.CodeValue == "52988006"
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue == "88850006"
    assert region.CodeValue == "12738006"
    assert region.AnatomicRegionModifierSequence[0].CodeValue == right.value
    assert item.SegmentAlgorithmType == "AUTOMATIC"
    assert item.SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion == "1.0.2"
    colour = hd.color.CIELabColor.from_dicom_value(item.RecommendedDisplayCIELabValue)
    np.testing.assert_allclose(colour.to_rgb(), LESION.colour_rgb, atol=1)
