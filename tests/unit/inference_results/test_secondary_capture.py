"""Key slices as `build` captures them."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread

from inference.results.gate import check
from inference.results.objects import Kind, ResultObjects
from inference.results.profile import PROFILES, Profile
from inference.results.secondary_capture import (
    MULTI_FRAME_TRUE_COLOUR,
    SINGLE_FRAME,
    secondary_captures,
)
from inference.results.set import build
from tests.unit.inference_results.explained import TWO, explained, explained_two
from tests.unit.inference_results.studies import LESION, REQUEST, enhanced, result_on

PROFILE = Profile(name="with captures", capture=True)
SINGLE = replace(PROFILE, single_frames=True)


def captures(objects: ResultObjects) -> list[Dataset]:
    return [dcmread(io.BytesIO(item.encoded)) for item in objects if item.kind is Kind.SC]


def test_all_key_slices_stand_in_one_object_as_they_were_drawn(tmp_path: Path) -> None:
    result = explained_two(tmp_path)
    objects = build(result, REQUEST, PROFILE)
    check(objects, result.series)
    assert [item.kind for item in objects] == [Kind.SEG, Kind.PM, Kind.SC, Kind.SR]
    (dataset,) = captures(objects)
    assert dataset.SOPClassUID == MULTI_FRAME_TRUE_COLOUR
    drawn = np.stack([picture.pixels for picture in result.pictures])
    np.testing.assert_array_equal(dataset.pixel_array, drawn)
    assert list(dataset.PageNumberVector) == [1, 2]
    named = [str(item.ReferencedSOPInstanceUID) for item in dataset.SourceImageSequence]
    headers = result.series.headers
    assert named == [str(headers[one.index].SOPInstanceUID) for one in result.pictures]


def test_it_says_that_text_is_in_it_and_who_found_what_it_shows(tmp_path: Path) -> None:
    (dataset,) = captures(build(explained_two(tmp_path), REQUEST, PROFILE))
    assert dataset.BurnedInAnnotation == "YES"
    assert dataset.ConversionType == "WSD"
    assert list(dataset.ImageType) == ["DERIVED", "SECONDARY"]
    assert dataset.Modality == "OT"
    assert list(dataset.PatientOrientation) == ["L", "PH"]
    assert "AI, not for primary diagnosis" in dataset.DerivationDescription
    assert "AI, not for primary diagnosis · RESEARCH" in dataset.ImageComments
    assert "Lesion: Volume" in dataset.ImageComments
    assert dataset.SeriesNumber == REQUEST.first_series_number + 3
    assert dataset.SeriesDescription == "AI BrainExtr 1.0.2 SC (unreviewed)"


def test_single_frames_are_instances_of_one_series(tmp_path: Path) -> None:
    result = explained_two(tmp_path)
    objects = build(result, REQUEST, SINGLE)
    check(objects, result.series)
    single = captures(objects)
    assert [int(one.InstanceNumber) for one in single] == [1, 2]
    assert {str(one.SOPClassUID) for one in single} == {SINGLE_FRAME}
    assert len({str(one.SeriesInstanceUID) for one in single}) == 1
    assert len({str(one.SOPInstanceUID) for one in single}) == 2
    for one, picture in zip(single, result.pictures, strict=True):
        np.testing.assert_array_equal(one.pixel_array, picture.pixels)
        assert "NumberOfFrames" not in one


def test_the_frame_of_an_enhanced_source_is_named(tmp_path: Path) -> None:
    result = explained(result_on(enhanced(TWO, tmp_path), TWO, TWO.mask()), LESION.label)
    objects = build(result, REQUEST, PROFILE)
    check(objects, result.series)
    (dataset,) = captures(objects)
    numbers = [int(item.ReferencedFrameNumber) for item in dataset.SourceImageSequence]
    assert numbers == [result.series.frames[one.index][1] for one in result.pictures]


def test_the_same_pictures_have_the_same_bytes_and_others_another_name(tmp_path: Path) -> None:
    result = explained_two(tmp_path)
    first, again = (secondary_captures(result, REQUEST, PROFILE)[0] for _ in range(2))
    assert first.encoded == again.encoded
    painted = result.pictures[0].pixels.copy()
    painted[100, 100] = 9
    other = replace(
        result, pictures=(replace(result.pictures[0], pixels=painted), *result.pictures[1:])
    )
    changed = secondary_captures(other, REQUEST, PROFILE)[0]
    assert changed.sop_instance_uid != first.sop_instance_uid
    assert changed.series_instance_uid == first.series_instance_uid


def test_without_pictures_or_wish_there_is_none(tmp_path: Path) -> None:
    result = explained_two(tmp_path)
    assert secondary_captures(replace(result, pictures=()), REQUEST, PROFILE) == ()
    assert secondary_captures(result, REQUEST, replace(PROFILE, capture=False)) == ()


def test_what_loss_the_source_had_the_picture_has(tmp_path: Path) -> None:
    study = replace(TWO, header={"LossyImageCompression": "01"})
    result = explained(study.result(tmp_path), LESION.label)
    (dataset,) = captures(build(result, REQUEST, PROFILE))
    assert dataset.LossyImageCompression == "01"


def test_every_archive_that_takes_no_capture_of_several_frames_has_a_way_left() -> None:
    name: str | None = "pictures"
    seen = []
    while name is not None:
        seen.append(PROFILES[name])
        name = PROFILES[name].otherwise
    assert seen[-1].single_frames
    assert all(profile.capture for profile in seen)
