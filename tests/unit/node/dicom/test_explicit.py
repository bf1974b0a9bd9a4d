"""What is found without pydicom is what pydicom finds, in every head that is read so."""

import random
from io import BytesIO
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ImplicitVRLittleEndian

from node.core.study import Header
from node.dicom.header import HeaderReader
from node.errors import NotUnderstood
from tests.unit.node.samples import MR, dicom, encoded

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom's, about the wrong values sent here

READER = HeaderReader(asked=("KVP", "ContentDate"))
PIXELS = bytes(64)


def with_pixels(**attributes: Any) -> bytes:
    dataset = dcmread(BytesIO(dicom(BitsAllocated=8, **attributes)))
    dataset.add_new(0x7FE00010, "OB", PIXELS)
    return encoded(dataset)


def by_pydicom(head: bytes) -> Header | None:
    try:
        return READER._read(BytesIO(head))
    except NotUnderstood:
        return None


def quickly(head: bytes) -> Header | None:
    return READER._read_explicit(head)


def code(value: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", "a meaning"
    return item


HEADS: dict[str, dict[str, Any]] = {
    "plain": {},
    "latin": {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jürgen"},
    "escapes": {
        "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
        "PatientName": "Yamada^Tarou=山田^太郎",
    },
    "no character set": {"SpecificCharacterSet": None, "PatientName": "Muster^Erika"},
    "empty": {"PatientSex": "", "EchoTime": None, "ImageType": []},
    "several": {"ImageType": ["ORIGINAL", "PRIMARY"], "EchoTime": "2.98"},
    "codes": {"ProcedureCodeSequence": [code("1"), code("2")]},
    "a long value": {"ProtocolName": "x" * 300},
    "a long code": {"ProcedureCodeSequence": [code("9" * 16) for _ in range(20)]},
    "numbers": {"ImagePositionPatient": ["-1.5", "+2", "3e1"], "InstanceNumber": "-7"},
    "more numbers": {"PixelSpacing": ["0.4882812", "0.4882812"], "EchoTime": "2.98"},
    "long numbers": {"SliceThickness": "1234567890.12345", "InstanceNumber": "2147483647"},
    "binary": {"NumberOfFrames": 3, "DiffusionBValue": 1000.0},
    "asked for": {"KVP": "120", "ContentDate": "20261015"},
}


@pytest.mark.parametrize("attributes", HEADS.values(), ids=HEADS.keys())
def test_the_same_is_found(attributes: dict[str, Any]) -> None:
    head = with_pixels(**attributes)
    assert quickly(head) is not None
    assert quickly(head) == by_pydicom(head)


def test_what_is_unusual_is_left_to_pydicom() -> None:
    dataset = dcmread(BytesIO(with_pixels(ProcedureCodeSequence=[code("1")])))
    dataset["ProcedureCodeSequence"].is_undefined_length = True
    assert quickly(encoded(dataset)) is None
    dataset = dcmread(BytesIO(with_pixels()))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = UID(MR)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID("2.25.1")
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True, implicit_vr=True, little_endian=True)
    assert quickly(buffer.getvalue()) is None
    assert READER.read_early(buffer.getvalue()) == by_pydicom(buffer.getvalue()) is not None


def test_a_head_that_does_not_end_is_none_at_every_cut() -> None:
    head = with_pixels()
    whole = by_pydicom(head)
    for cut in range(len(head)):
        assert quickly(head[:cut]) in (None, whole)
    assert quickly(head[: -len(PIXELS) - 12]) is None


def test_whatever_is_wrong_it_is_no_other_header() -> None:
    """Bytes are changed at random: what is found in them is what pydicom finds, or nothing."""
    chance = random.Random(20261127)  # noqa: S311 - repeatable on purpose
    heads = [with_pixels(**attributes) for attributes in HEADS.values()]
    found = 0
    for _ in range(6000):
        head = bytearray(chance.choice(heads))
        for _ in range(chance.randint(1, 3)):
            head[chance.randrange(132, len(head))] = chance.choice([0, 32, 92, 255, 65, 49, 46])
        quick = quickly(bytes(head))
        if quick is not None:
            found += 1
            assert quick == by_pydicom(bytes(head))
    assert found > 3000


def test_a_sequence_that_breaks_off_is_no_reason_to_refuse() -> None:
    head = with_pixels()
    at = head.index(b"\x08\x00\x3e\x10LO")  # Series Description, behind Procedure Code Sequence
    broken = b"\x08\x00\x32\x10SQ\0\0\x04\0\0\0" + b"\xfe\xff\x00\xe0"
    for found in (
        quickly(head[:at] + broken + head[at:]),
        by_pydicom(head[:at] + broken + head[at:]),
    ):
        assert found is not None
        assert found == by_pydicom(head)
