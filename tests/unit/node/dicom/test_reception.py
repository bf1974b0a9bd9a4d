import struct
from io import BytesIO

import pytest
from pydicom import dcmread

from node.core.study import Arrival, Outcome
from node.dicom.command_set import StoreRequest
from node.dicom.header import HeaderReader
from node.dicom.part10 import file_head
from node.dicom.reception import HEAD_BYTES, InstanceReception
from node.errors import NotUnderstood, OutOfResources, Rejected
from tests.unit.node.samples import MR, MemoryFile, dicom, digest_of, encoded, header_of

EXPLICIT = "1.2.840.10008.1.2.1"


class Node:
    """What stands behind a reception, with its failures."""

    def __init__(self) -> None:
        self.file = MemoryFile(b"")
        self.failure: Exception | None = None
        self.no_file: Exception | None = None
        self.received: list[Arrival] = []

    def incoming(self) -> MemoryFile:
        if self.no_file is not None:
            raise self.no_file
        return self.file

    def receive(self, arrival: Arrival) -> Outcome:
        if self.failure is not None:
            raise self.failure
        self.received.append(arrival)
        return Outcome.STORED

    def reception(
        self, sop_class_uid: str = MR, sop_instance_uid: str = "2.25.3001"
    ) -> InstanceReception:
        request = StoreRequest(
            message_id=1, sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid
        )
        return InstanceReception(
            request,
            EXPLICIT,
            "MODALITY",
            incoming=self.incoming,
            receive=self.receive,
            association=("a1", "modality"),
            reader=HeaderReader(),
        )


@pytest.fixture
def node() -> Node:
    return Node()


def data_set(whole: bytes) -> bytes:
    """Return the data set of a file: what a C-STORE brings."""
    return whole[144 + int.from_bytes(whole[140:144], "little") :]


def send(reception: InstanceReception, data: bytes, size: int = 700) -> int:
    for at in range(0, len(data), size):
        reception.write(memoryview(data[at : at + size]))
    return reception.finish()


def test_an_instance_that_is_safe_is_answered_success(node: Node) -> None:
    assert send(node.reception(), data_set(dicom())) == 0x0000
    (arrival,) = node.received
    assert (arrival.association_id, arrival.peer) == ("a1", "modality")
    assert arrival.header.sop_instance_uid == "2.25.3001"
    assert digest_of(node.file.data) == digest_of(dicom())


def test_the_file_is_part_10_and_its_data_set_is_as_received(node: Node) -> None:
    data = data_set(dicom())
    send(node.reception(), data)
    assert node.file.data == file_head(MR, "2.25.3001", EXPLICIT, "MODALITY") + data
    assert header_of(node.file.data).transfer_syntax_uid == EXPLICIT


def padded(before: int, pixels: int = 0) -> bytes:
    """Return a file with so many bytes before the patient and behind the header."""
    dataset = dcmread(BytesIO(dicom(BitsAllocated=8)))
    dataset.add_new(0x00090010, "LO", "OVERREAD TEST")
    dataset.add_new(0x00091010, "OB", b"\0" * (before & ~1))
    dataset.add_new(0x7FE00010, "OB", b"\0" * pixels)
    return encoded(dataset)


@pytest.mark.parametrize("pixels", [0, 100, HEAD_BYTES, 5 * HEAD_BYTES])
@pytest.mark.parametrize("before", [0, HEAD_BYTES - 2000, HEAD_BYTES, 3 * HEAD_BYTES])
def test_the_header_is_the_same_however_long_it_is(node: Node, pixels: int, before: int) -> None:
    whole = padded(before, pixels)
    assert send(node.reception(), data_set(whole), 4096) == 0
    assert node.received[0].header == header_of(whole)
    assert "Rows" in node.received[0].header.values


def test_a_header_that_is_cut_off_by_the_first_bytes_is_read_again(node: Node) -> None:
    """What stands behind the cut must not be taken for absent."""
    room = HEAD_BYTES - len(padded(0))
    for before in range(room - 900, room + 40, 26):
        node.received.clear()
        node.file.data = b""
        whole = padded(before, 4096)
        assert send(node.reception(), data_set(whole)) == 0
        assert node.received[0].header == header_of(whole), before


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (OutOfResources("disk"), 0xA700),
        (NotUnderstood("bytes"), 0xC000),
        (ZeroDivisionError("a bug"), 0x0110),
    ],
)
def test_what_was_not_received_is_not_success(node: Node, failure: Rejected, status: int) -> None:
    node.failure = failure
    assert send(node.reception(), data_set(dicom())) == status
    assert node.file.calls[-1] == ("discard",)


def test_a_disk_without_room_is_told_at_the_end(node: Node) -> None:
    node.no_file = OutOfResources("disk")
    assert send(node.reception(), data_set(dicom())) == 0xA700
    assert node.received == []


def test_a_disk_that_fails_in_between(node: Node) -> None:
    reception = node.reception()
    data = data_set(dicom())
    reception.write(memoryview(data[:100]))
    node.file.failure = OutOfResources("disk")
    reception.write(memoryview(data[100:]))
    assert node.file.calls == [("discard",)]
    assert reception.finish() == 0xA700
    assert node.received == []


@pytest.mark.filterwarnings("ignore")  # pydicom's, about what is sent here
@pytest.mark.parametrize("data", [b"", b"\0" * 200, b"\xff" * 200])
def test_a_data_set_that_cannot_be_read(node: Node, data: bytes) -> None:
    assert send(node.reception(), data) == 0xC000
    assert node.received == []


@pytest.mark.parametrize("announced", [{"sop_class_uid": "1.2.3"}, {"sop_instance_uid": "1.2.3"}])
def test_a_data_set_that_is_not_what_its_command_announced(
    node: Node, announced: dict[str, str]
) -> None:
    assert send(node.reception(**announced), data_set(dicom())) == 0xA900
    assert node.received == []


@pytest.mark.parametrize("uid", ["", "../../etc/passwd", "1.2/3", "1..2", "1." + "2" * 64])
def test_a_name_that_is_no_uid_opens_no_file(node: Node, uid: str) -> None:
    assert send(node.reception(sop_instance_uid=uid), data_set(dicom())) == 0xC000
    assert node.file.data == b""


def test_a_sequence_of_a_billion_items_is_not_read(node: Node) -> None:
    bomb = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    bomb += struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 200_000
    assert send(node.reception(), bomb, 1 << 16) == 0xC000
