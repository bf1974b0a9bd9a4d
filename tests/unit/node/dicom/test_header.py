import random
import tracemalloc
import warnings
from io import BytesIO
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from inference.private import PrivateTag, parse
from node.core.identifiers import is_uid
from node.core.study import HEADER_KEYWORDS, NO_NUMBER
from node.dicom.header import LONGEST_HEADER, HeaderReader
from node.errors import NotUnderstood
from tests.unit.node.samples import MR, PATIENT, SECRETS, SERIES, STUDY, dicom, encoded, header_of

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom's, about the wrong values sent here


def test_what_identifies_an_instance() -> None:
    header = header_of(dicom(7))
    assert header.sop_class_uid == MR
    assert header.sop_instance_uid == "2.25.3007"
    assert header.series_instance_uid == SERIES
    assert header.study_instance_uid == STUDY
    assert header.transfer_syntax_uid == "1.2.840.10008.1.2.1"
    assert header.identity == PATIENT
    assert header.is_image


def test_values_are_plain() -> None:
    values = header_of(dicom(7, ImageType=["ORIGINAL", "PRIMARY"], EchoTime="2.98")).values
    assert values["ImagePositionPatient"] == [0.0, 0.0, 7.0]
    assert values["InstanceNumber"] == 7
    assert values["EchoTime"] == 2.98
    assert values["ImageType"] == ["ORIGINAL", "PRIMARY"]
    assert {type(value) for value in values.values()} <= {str, int, float, list}
    assert set(values) <= set(HEADER_KEYWORDS)


def test_absent_and_empty_values_are_left_out() -> None:
    values = header_of(dicom(PatientSex="", IssuerOfPatientID=None, EchoTime=None)).values
    assert not {"PatientSex", "IssuerOfPatientID", "EchoTime"} & set(values)


def test_padding_does_not_belong_to_a_value() -> None:
    assert header_of(dicom(PatientID="OVR 1 ")).values["PatientID"] == "OVR 1"


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 100", "Müller^Jürgen"),
        ("ISO_IR 144", "Иванов^Иван"),
        ("ISO_IR 192", "王^小东"),
        ("GB18030", "王^小东"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_names_are_decoded(character_set: Any, name: str) -> None:
    header = header_of(dicom(SpecificCharacterSet=character_set, PatientName=name))
    assert header.values["PatientName"] == name


@pytest.mark.parametrize("character_set", ["ISO_IR 999", "utf8", "ISO 2022 IR 58\\NONSENSE"])
def test_an_unknown_character_set_is_no_reason_to_refuse(character_set: str) -> None:
    data = dicom(SpecificCharacterSet="ISO_IR 192", PatientName="Müller")
    padded = character_set + " " * (len(character_set) % 2)
    wrong = data.replace(_string(b"CS", "ISO_IR 192"), _string(b"CS", padded))
    assert wrong != data
    assert header_of(wrong).values["PatientID"] == PATIENT["PatientID"]


def _string(vr: bytes, text: str) -> bytes:
    return vr + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("keyword", "right", "wrong"),
    [
        ("RepetitionTime", "2300", b"n/a "),
        ("SliceThickness", "1.00", b"1,00"),
        ("EchoTime", "2.98", b"\xff\xfe\xfd\xfc"),
        ("MagneticFieldStrength", "3.00", b"3\\\\T"),
        ("SeriesNumber", "1234", b"12a4"),
        ("StudyDate", "20261015", b"tomorrow"),
        ("StudyTime", "101500", b"25:99 "),
    ],
)
def test_a_value_that_breaks_its_representation_is_no_reason_to_refuse(
    keyword: str, right: str, wrong: bytes
) -> None:
    data = dicom(1, **{keyword: right})
    assert data.count(right.encode()) >= 1
    header = header_of(data.replace(right.encode(), wrong))
    assert header.sop_instance_uid == "2.25.3001"
    assert header.values["PatientID"] == PATIENT["PatientID"]


def test_pixels_are_not_read() -> None:
    whole = dicom(PixelData=b"\0" * 32, BitsAllocated=16, SamplesPerPixel=1)
    assert header_of(whole[:-20]).sop_instance_uid == "2.25.3001"


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_other_transfer_syntaxes(syntax: UID) -> None:
    dataset = dcmread(BytesIO(dicom()))
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    dcmwrite(buffer, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=True)
    header = header_of(buffer.getvalue())
    assert header.transfer_syntax_uid == str(syntax)
    assert header.identity == PATIENT


@pytest.mark.parametrize(
    "keyword", ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"]
)
@pytest.mark.parametrize("uid", [None, "", "../../etc", "1.2/../3", "1.2/..", "1", "..", "1.02"])
def test_without_a_valid_uid_nothing_is_taken(keyword: str, uid: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = dicom(1, **{keyword: uid})
    with pytest.raises(NotUnderstood, match=keyword):
        header_of(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"DICM",
        b"\0" * 132,
        b"GET / HTTP/1.1\r\n\r\n" * 20,
        b"\0" * 128 + b"DICM",
        b"\0" * 128 + b"DICM" + b"\xff" * 300,
        dicom()[:132],
        dicom()[:200],
        dicom()[:400],
    ],
)
def test_garbage_and_fragments_are_not_understood(data: bytes) -> None:
    with pytest.raises(NotUnderstood):
        header_of(data)


def test_a_deflated_data_set_that_is_none() -> None:
    dataset = dcmread(BytesIO(dicom()))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    buffer = BytesIO()
    dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True)
    data = buffer.getvalue()
    start = 144 + int.from_bytes(data[140:144], "little")
    with pytest.raises(NotUnderstood):
        header_of(data[:start] + b"\xff" * (len(data) - start))


def test_damaged_files_are_understood_or_refused() -> None:
    chance = random.Random(20261015)  # noqa: S311 - damage, not a secret
    whole = dicom()
    understood, refusals = 0, set()
    for _ in range(2_000):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(132, len(data))] = chance.randrange(256)
        try:
            header = header_of(bytes(data[: chance.choice((len(data), chance.randint(132, 900)))]))
        except NotUnderstood as error:
            refusals.add(str(error))
        else:
            understood += 1
            assert is_uid(header.study_instance_uid)
    assert understood
    assert len(refusals) > 4
    assert not any(secret in refusal for secret in SECRETS for refusal in refusals)


def test_a_refusal_quotes_nothing() -> None:
    data = dicom(StudyInstanceUID=None, PatientName="Muster^Erika")
    with pytest.raises(NotUnderstood) as refused:
        header_of(data)
    assert "Muster" not in str(refused.value)


@pytest.mark.parametrize(("modality", "image"), [("MR", True), ("SR", False), ("SEG", False)])
def test_objects_about_images_are_no_images(modality: str, image: bool) -> None:
    assert header_of(dicom(Modality=modality)).is_image is image


def test_a_nested_data_set_does_not_answer_for_its_parent() -> None:
    inner = Dataset()
    inner.PatientID = "SOMEBODY-ELSE"
    inner.StudyInstanceUID = "1.2.3"
    header = header_of(dicom(ReferencedStudySequence=[inner]))
    assert header.identity["PatientID"] == PATIENT["PatientID"]
    assert header.study_instance_uid == STUDY


def test_a_bomb_is_inflated_no_further_than_its_header() -> None:
    """A hundred megabytes that are a hundred kilobytes on the wire."""
    dataset = dcmread(BytesIO(dicom(BitsAllocated=8)))
    dataset.add_new(0x7FE00010, "OB", bytes(100 << 20))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    buffer = BytesIO()
    dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True)
    whole = buffer.getvalue()
    del dataset
    tracemalloc.start()
    header = header_of(whole)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert header.identity == PATIENT
    assert peak < 8 << 20


def test_a_code_sequence_is_read_as_code_and_scheme() -> None:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "399162004", "SCT", "CC"
    header = header_of(dicom(ViewCodeSequence=[item]))
    assert header.values["ViewCodeSequence"] == ["399162004^SCT"]


B_VALUE = "0019,0c SIEMENS MR HEADER"


def private(
    block: int = 0x10, *, creator: str = "SIEMENS MR HEADER", vr: str = "IS", value: Any = "1000"
) -> bytes:
    """One image with a private b-value in a block, and another creator's element at the usual place."""
    dataset = dcmread(BytesIO(dicom(FlipAngle="9")))
    dataset.add_new(0x00190000 | block, "LO", creator)
    dataset.add_new(0x0019000C | block << 8, vr, value)
    if block != 0x10:
        dataset.add_new(0x00190010, "LO", "SOMEBODY ELSE")
        dataset.add_new(0x0019100C, "IS", "7")
    return encoded(dataset)


def read(data: bytes, *asked: str) -> Any:
    return HeaderReader(asked).read(BytesIO(data)).values


@pytest.mark.parametrize("block", [0x10, 0x11, 0xFF])
def test_a_private_element_is_read_from_its_creators_block(block: int) -> None:
    assert read(private(block), B_VALUE)[B_VALUE] == 1000


def test_a_private_element_is_the_creators_alone() -> None:
    assert B_VALUE not in read(private(creator="SIEMENS MR HEADER 2"), B_VALUE)
    assert B_VALUE not in read(dicom(), B_VALUE)


@pytest.mark.parametrize(
    ("vr", "value", "found"),
    [
        ("UN", b"1000", 1000),  # of which pydicom knows what it is
        ("OB", b"\0\1\2\3", None),
        ("LO", " LONG ", "LONG"),
        ("FD", [0.5, 1.5], [0.5, 1.5]),
        ("SQ", [], None),
    ],
)
def test_a_private_element_in_any_representation(vr: str, value: Any, found: Any) -> None:
    assert read(private(vr=vr, value=value), B_VALUE).get(B_VALUE) == found


def test_what_nobody_knows_is_read_as_text() -> None:
    data = private(creator="ACME", vr="UN", value=b"A\\B ")
    assert read(data, "0019,0c ACME")["0019,0c ACME"] == ["A", "B"]
    assert "0019,0c ACME" not in read(
        private(creator="ACME", vr="UN", value=b"\x80\0"), "0019,0c ACME"
    )


def test_what_nobody_asks_for_is_not_kept() -> None:
    assert set(read(private())) == set(read(dicom()))
    assert read(private(), "FlipAngle")["FlipAngle"] == 9


def test_a_private_element_in_implicit_vr() -> None:
    dataset = dcmread(BytesIO(private(0x12)))
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    buffer = BytesIO()
    dcmwrite(buffer, dataset, implicit_vr=True, little_endian=True)
    assert float(read(buffer.getvalue(), B_VALUE)[B_VALUE]) == 1000


FAR = "5533,01 VISUS CHANGE"


def far(length: int) -> bytes:
    dataset = dcmread(BytesIO(dicom()))
    dataset.add_new(0x55330010, "LO", "VISUS CHANGE")
    dataset.add_new(0x55331001, "UT", "x" * length)
    return encoded(dataset)


def test_what_a_rule_asks_for_far_behind_is_no_reason_to_refuse_an_image() -> None:
    assert read(far(100), FAR)[FAR] == "x" * 100
    values = read(far(2 * LONGEST_HEADER), FAR)
    assert values["PatientID"] == PATIENT["PatientID"]
    assert FAR not in values


def test_an_early_header_has_all_that_is_asked_for_or_is_none() -> None:
    data = far(100_000)
    pixels = dicom(PixelData=b"\0" * 100_000, BitsAllocated=16, SamplesPerPixel=1)
    assert HeaderReader((FAR,)).read_early(data[: 64 * 1024]) is None
    early = HeaderReader((FAR,)).read_early(pixels[: 64 * 1024])
    assert early == header_of(pixels)


IMAGES_IN_SERIES = parse("0025,07 GEMS_SERS_01")
NUMBER_OF_SLICES = parse("2001,18 Philips Imaging DD 001")


def counted(
    *elements: tuple[int, int, str, Any], creators: tuple[tuple[int, int, str], ...]
) -> bytes:
    dataset = dcmread(BytesIO(dicom()))
    for group, number, creator in creators:
        dataset.add_new((group, number), "LO", creator)
    for group, number, representation, value in elements:
        dataset.add_new((group, number), representation, value)
    return encoded(dataset)


def counts_of(data: bytes, *private: PrivateTag) -> dict[str, Any]:
    return dict(HeaderReader((), private or (IMAGES_IN_SERIES,)).read(BytesIO(data)).counts)


@pytest.mark.parametrize("block", [0x10, 0x11, 0xFF])
def test_a_vendors_count_is_found_by_its_creators_block(block: int) -> None:
    number = block << 8 | 0x07
    data = counted((0x0025, number, "SL", 181), creators=((0x0025, block, "GEMS_SERS_01"),))
    assert counts_of(data) == {"0025,07 GEMS_SERS_01": 181}
    assert header_of(data).counts == {}  # not asked for, not kept


def test_the_same_element_of_another_creator_is_no_count() -> None:
    data = counted(
        (0x0025, 0x1007, "SL", 7),
        (0x0025, 0x1107, "SL", 181),
        creators=((0x0025, 0x10, "SOMEBODY"), (0x0025, 0x11, "GEMS_SERS_01")),
    )
    assert counts_of(data) == {"0025,07 GEMS_SERS_01": 181}
    assert counts_of(counted((0x0025, 0x1007, "SL", 7), creators=())) == {}
    assert counts_of(counted(creators=((0x0025, 0x10, "GEMS_SERS_01"),))) == {}


def test_counts_behind_everything_else_are_reached() -> None:
    data = counted((0x2001, 0x1018, "SL", 24), creators=((0x2001, 0x10, "Philips Imaging DD 001"),))
    both = counts_of(data, IMAGES_IN_SERIES, NUMBER_OF_SLICES)
    assert both == {"2001,18 Philips Imaging DD 001": 24}


@pytest.mark.parametrize(
    ("representation", "value", "count"),
    [
        ("SL", 181, 181),
        ("US", 181, 181),
        ("IS", "181", 181),
        ("DS", "181.0", 181),
        ("DS", "181.5", NO_NUMBER),
        ("DS", "nan", NO_NUMBER),
        ("LO", "181", NO_NUMBER),
        ("LO", "Muster^Erika", NO_NUMBER),
        ("SL", [181, 182], NO_NUMBER),
        ("OB", b"\xb5\0\0\0", NO_NUMBER),
        ("SL", None, NO_NUMBER),
    ],
)
def test_a_count_is_a_whole_number_or_none(representation: str, value: Any, count: Any) -> None:
    data = counted(
        (0x0025, 0x1007, representation, value), creators=((0x0025, 0x10, "GEMS_SERS_01"),)
    )
    assert counts_of(data) == {"0025,07 GEMS_SERS_01": count}


def test_in_implicit_vr_a_known_vendors_count_is_understood() -> None:
    dataset = dcmread(
        BytesIO(counted((0x0025, 0x1007, "SL", 181), creators=((0x0025, 0x10, "GEMS_SERS_01"),)))
    )
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    buffer = BytesIO()
    dcmwrite(buffer, dataset, implicit_vr=True, little_endian=True)
    assert counts_of(buffer.getvalue()) == {"0025,07 GEMS_SERS_01": 181}
