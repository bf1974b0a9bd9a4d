"""What is said of each frame, and the bits of all of them, held against pydicom and against numpy."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from inference.results import explicit
from inference.results.concepts import SEGMENTATION, SOURCE_IMAGE, coded
from inference.results.frames import (
    Frame,
    by_segment,
    by_slice,
    functional_groups,
    survey,
)
from inference.results.pixel_data import Bits
from inference.volume import Series
from tests.unit.inference_results.studies import BRAIN, LESION, Study, enhanced


def _mask(shape: tuple[int, int, int] = (6, 9, 7)) -> NDArray[np.uint8]:
    """Blobs of three segments; slices 0 and 5 are empty, and segment 3 is on one slice only."""
    mask = np.zeros(shape, np.uint8)
    mask[1:4, 2:5, 1:6] = 1
    mask[2:5, 4:8, 0:2] = 2
    mask[3, 8, 6] = 3
    return mask


def test_a_survey_tells_the_rows_of_every_segment() -> None:
    assert survey(_mask()) == [
        {},
        {1: (2, 5)},
        {1: (2, 5), 2: (4, 8)},
        {1: (2, 5), 2: (4, 8), 3: (8, 9)},
        {2: (4, 8)},
        {},
    ]


@pytest.mark.parametrize("value", [0, 9])
def test_a_survey_of_one_value(value: int) -> None:
    mask = np.full((2, 3, 4), value, np.uint16)
    assert survey(mask) == [{9: (0, 3)} if value else {}] * 2


def test_frames_of_segments_follow_each_other_and_ascend() -> None:
    frames = by_segment(survey(_mask()), [1, 3], every_frame=False)
    assert [(frame.number, frame.index) for frame in frames] == [(1, 1), (1, 2), (1, 3), (3, 3)]


def test_every_frame_is_there_where_it_is_wanted() -> None:
    frames = by_segment(survey(_mask()), [1, 3], every_frame=True)
    assert [(f.number, f.index) for f in frames] == [(n, i) for n in (1, 3) for i in range(6)]
    assert [f.index for f in by_slice(survey(_mask()), [1, 3], every_frame=True)] == [*range(6)]


def test_a_slice_of_other_segments_makes_no_frame_of_a_label_map() -> None:
    frames = by_slice(survey(_mask()), [1, 3], every_frame=False)
    assert [(frame.index, frame.rows) for frame in frames] == [
        (1, (2, 5)),
        (2, (2, 5)),
        (3, (2, 9)),
    ]


@pytest.mark.parametrize("shape", [(6, 9, 7), (6, 9, 8), (6, 10, 12)])
@pytest.mark.parametrize("every_frame", [False, True])
def test_bits_are_those_of_all_frames_in_a_row(
    shape: tuple[int, int, int], every_frame: bool
) -> None:
    mask = _mask(shape)
    frames = by_segment(survey(mask), [1, 2, 3], every_frame=every_frame)
    buffer = io.BytesIO()
    Bits(mask=mask, frames=frames).write(buffer)
    whole = np.stack([mask[frame.index] == frame.number for frame in frames])
    expected = np.packbits(whole, axis=None, bitorder="little").tobytes()
    assert buffer.getvalue()[12:] == expected + b"\0" * (len(expected) % 2)


def test_a_byte_may_hold_the_end_of_one_frame_and_the_start_of_the_next() -> None:
    mask = np.ones((5, 3, 3), np.uint8)
    buffer = io.BytesIO()
    Bits(mask=mask, frames=by_segment(survey(mask), [1], every_frame=False)).write(buffer)
    assert buffer.getvalue()[12:] == bytes([255] * 5 + [0b11111])


def test_another_mask_has_another_digest() -> None:
    masks = [_mask() for _ in range(3)]
    masks[1][3, 8, 6] = 0
    masks[2][3, 8, 5:] = (3, 0)
    digests = {
        Bits(mask=mask, frames=by_segment(survey(mask), [1, 2, 3], every_frame=False)).digest()
        for mask in masks
    }
    assert len(digests) == 3


@pytest.mark.parametrize("number", [2, None])
@pytest.mark.parametrize("multi_frame", [False, True])
def test_functional_groups_are_as_pydicom_writes_them(
    tmp_path: Path, number: int | None, multi_frame: bool
) -> None:
    study = Study(segments=(BRAIN, LESION))
    series = enhanced(study, tmp_path) if multi_frame else study.result(tmp_path).series
    frames = [Frame(number=number, index=index, rows=(0, 1)) for index in (1, 4)]
    written = Dataset()
    written.PerFrameFunctionalGroupsSequence = [
        _item(series, frame, rank) for rank, frame in enumerate(frames, start=1)
    ]
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, written)
    assert functional_groups(series, frames) == buffer.getvalue()[12:]


def test_what_is_no_keyword_is_no_element() -> None:
    with pytest.raises(ValueError, match="no keyword"):
        explicit.text("SegmentNumer", "1")


def _item(series: Series, frame: Frame, rank: int) -> Dataset:
    item, content, position, derivation, source = (Dataset() for _ in range(5))
    where, frame_number = series.frames[frame.index]
    header = series.headers[where]
    source.ReferencedSOPClassUID = header.SOPClassUID
    source.ReferencedSOPInstanceUID = header.SOPInstanceUID
    if "NumberOfFrames" in header:
        source.ReferencedFrameNumber = frame_number
    source.SpatialLocationsPreserved = "YES"
    source.PurposeOfReferenceCodeSequence = [coded(SOURCE_IMAGE)]
    derivation.SourceImageSequence = [source]
    derivation.DerivationCodeSequence = [coded(SEGMENTATION)]
    content.DimensionIndexValues = [rank] if frame.number is None else [frame.number, rank]
    position.ImagePositionPatient = list(series.planes[frame.index].position_mm)
    item.DerivationImageSequence = [derivation]
    item.FrameContentSequence = [content]
    item.PlanePositionSequence = [position]
    if frame.number is not None:
        identification = Dataset()
        identification.ReferencedSegmentNumber = frame.number
        item.SegmentIdentificationSequence = [identification]
    return item
