import random
import struct
import tracemalloc
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.core.frames import Frame
from node.dicom.frames import MOST_FRAMES, frames_of, read_frames
from node.errors import NotUnderstood, OutOfResources
from tests.unit.node.enhanced import at, enhanced, enhanced_dataset, frames
from tests.unit.node.samples import dicom

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom's, about big endian and damage


def read(data: bytes) -> list[Frame]:
    return read_frames(BytesIO(data))


def written(dataset: Dataset, syntax: UID, *, undefined: bool = False) -> bytes:
    if undefined:
        _undefine(dataset)
    dataset.file_meta = dcmread(BytesIO(dicom())).file_meta
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    dcmwrite(
        buffer,
        dataset,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=syntax.is_little_endian,
        enforce_file_format=True,
    )
    return buffer.getvalue()


def _undefine(dataset: Dataset) -> None:
    for element in dataset:
        if isinstance(element.value, Sequence):
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                _undefine(item)


TOLD: dict[str, Any] = {
    "StackID": "1",
    "InStackPositionNumber": 3,
    "TemporalPositionIndex": 2,
    "EffectiveEchoTime": 2.5,
    "DiffusionBValue": 800.0,
    "DiffusionGradientOrientation": [0.0, 0.5, 1.0],
    "NominalPercentageOfCardiacPhase": 40.0,
    "FrameType": ["ORIGINAL", "PRIMARY", "M"],
}


@pytest.mark.parametrize("undefined", [False, True], ids=["lengths", "delimiters"])
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_what_is_told_of_a_frame(syntax: UID, undefined: bool) -> None:
    dataset = enhanced_dataset([at(1.5, **TOLD), at(2.5, PixelSpacing=[2, 3])])
    private = dataset.private_block(0x0021, "A VENDOR", create=True)
    private.add_new(0x01, "SQ", [enhanced_dataset(frames(2))])  # is skipped with all that is in it
    first, second = read(written(dataset, syntax, undefined=undefined))
    assert first == {
        "Rows": 4,
        "Columns": 4,
        "ImagePositionPatient": ["0.0", "0.0", "1.5"],
        "ImageOrientationPatient": ["1.0", "0.0", "0.0", "0.0", "1.0", "0.0"],
        "PixelSpacing": ["1.0", "1.0"],
        **{key: value for key, value in TOLD.items() if key != "InStackPositionNumber"},
    }
    assert second["PixelSpacing"] == ["2.0", "3.0"]  # its own, not the shared one
    assert "StackID" not in second


def test_a_dimension_in_space_tells_no_frames_apart() -> None:
    dimensions = ("StackID", "InStackPositionNumber", "TemporalPositionIndex")
    told = [at(0, DimensionIndexValues=[1, 7, 3]), at(1, DimensionIndexValues=[1, 8])]
    first, second = read(enhanced(told, dimensions=dimensions))
    assert first["DimensionIndexValues"] == [3]
    assert "DimensionIndexValues" not in second  # as many values as pointers, or none


def test_a_frame_that_is_not_described_is_a_frame() -> None:
    assert read(enhanced(frames(3), NumberOfFrames=5))[3:] == [{}, {}]


@pytest.mark.parametrize("data", [dicom(), enhanced([], shared={}, NumberOfFrames=None)])
def test_an_object_without_functional_groups_has_no_frames(data: bytes) -> None:
    assert read(data) == []


def test_pixels_are_not_read() -> None:
    whole = enhanced(frames(3), PixelData=bytes(64), BitsAllocated=16)
    assert len(read(whole[:-60])) == 3


def test_a_private_sequence_of_unknown_representation_is_skipped() -> None:
    """PS3.5 6.2.2 Note 2: UN of undefined length holds items in Implicit VR, whatever surrounds it."""
    item = struct.pack("<HHI", 0x0009, 0x1001, 4) + b"ABCD"
    items = struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
    unknown = struct.pack("<HH2sHI", 0x0021, 0x1001, b"UN", 0, 0xFFFFFFFF)
    unknown += items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    data = enhanced(frames(2))
    place = data.index(struct.pack("<HH", 0x0028, 0x0008))
    assert len(read(data[:place] + unknown + data[place:])) == 2


@pytest.mark.parametrize("value", [b"", b"\0" * 6])
def test_a_value_that_breaks_its_representation_is_left_out(value: bytes) -> None:
    dataset = enhanced_dataset([at(0, DiffusionBValue=800.0)])
    data = written(dataset, ExplicitVRLittleEndian, undefined=True)
    head = struct.pack("<HH2s", 0x0018, 0x9087, b"FD")
    right = head + struct.pack("<Hd", 8, 800.0)
    assert data.count(right) == 1
    (frame,) = read(data.replace(right, head + struct.pack("<H", len(value)) + value))
    assert "DiffusionBValue" not in frame
    assert frame["ImagePositionPatient"] == ["0.0", "0.0", "0.0"]


def test_many_frames_are_read_in_little_memory() -> None:
    macro = Dataset()
    macro.FrameComments = "x" * 4000  # what a vendor adds to every frame
    dataset = enhanced_dataset(frames(1500))
    for group in dataset.PerFrameFunctionalGroupsSequence:
        group.FrameVOILUTSequence = [macro]
    data = written(dataset, ExplicitVRLittleEndian)
    assert len(data) > 5 << 20
    source = BytesIO(data)
    tracemalloc.start()
    assert len(read_frames(source)) == 1500
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def test_too_many_frames_are_not_looked_at() -> None:
    empty = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    sequence = struct.pack("<HH2sHI", 0x5200, 0x9230, b"SQ", 0, len(empty) * (MOST_FRAMES + 1))
    with pytest.raises(NotUnderstood, match="frames"):
        read(dicom() + sequence + empty * (MOST_FRAMES + 1))


def test_sequences_nest_no_deeper_than_they_may() -> None:
    deep = b"".join(
        struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
        + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        for _ in range(5000)
    )
    with pytest.raises(NotUnderstood, match="sequences"):
        read(dicom() + deep)


def test_endless_items_are_given_up() -> None:
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    sequence = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF)
    with pytest.raises(NotUnderstood, match="more to read"):
        read(dicom() + sequence + item * (3 << 20))


def test_a_deflated_object_is_not_looked_at() -> None:
    with pytest.raises(NotUnderstood, match="deflated"):
        read(written(enhanced_dataset(frames(2)), DeflatedExplicitVRLittleEndian))


def test_damaged_objects_are_understood_or_refused() -> None:
    chance = random.Random(20261125)  # noqa: S311 - damage, not a secret
    whole = enhanced(frames(6, **TOLD), dimensions=("StackID",))
    understood = 0
    for _ in range(2_000):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(132, len(data))] = chance.randrange(256)
        try:
            read(bytes(data[: chance.choice((len(data), chance.randint(200, len(data))))]))
        except NotUnderstood:
            continue
        understood += 1
    assert 0 < understood < 2_000


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutOfResources, match="disk"):
        frames_of(tmp_path / "gone.dcm")
    (tmp_path / "garbage.dcm").write_bytes(b"GET / HTTP/1.1\r\n" * 40)
    with pytest.raises(NotUnderstood):
        frames_of(tmp_path / "garbage.dcm")
