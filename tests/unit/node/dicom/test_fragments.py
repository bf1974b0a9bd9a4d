import random
import struct
from dataclasses import dataclass, field

import pytest

from node.dicom.command_set import LONGEST, StoreRequest
from node.dicom.fragments import LARGEST_FOREIGN_DATA_SET, StoreMessages, pdus, values
from node.errors import NotUnderstood
from tests.unit.node.dicom.test_command_set import REQUEST, by_pynetdicom

ECHO = struct.pack("<HHIH", 0, 0x0100, 2, 0x0030)
SYNTAX = "1.2.840.10008.1.2.1"


@dataclass
class Taken:
    """An instance that is being received."""

    data: bytearray = field(default_factory=bytearray)
    ended: str = ""

    def write(self, part: memoryview) -> None:
        self.data += part

    def finish(self) -> int:
        self.ended = "finished"
        return 0xA700

    def abandon(self) -> None:
        self.ended = "abandoned"


@dataclass
class Side:
    """Everything that an association's messages lead to."""

    begun: list[tuple[StoreRequest, str]] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    foreign: list[tuple[int, int, bytes]] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)

    def begin(self, request: StoreRequest, syntax: str) -> Taken:
        self.begun.append((request, syntax))
        self.taken.append(Taken())
        return self.taken[-1]

    def messages(self) -> StoreMessages:
        return StoreMessages(
            begin=self.begin,
            syntaxes={1: SYNTAX},
            hand_on=lambda *fragment: self.foreign.append(fragment),
            answer=lambda *answer: self.answers.append(answer),
        )


@pytest.fixture
def side() -> Side:
    return Side()


def item(control: int, fragment: bytes, context_id: int = 1) -> bytes:
    return struct.pack(">IBB", len(fragment) + 2, context_id, control) + fragment


def take(messages: StoreMessages, *items: bytes) -> None:
    messages.take(memoryview(b"".join(items)))


def test_a_message_in_one_pdu(side: Side) -> None:
    take(side.messages(), item(3, by_pynetdicom()), item(2, b"data"))
    assert side.begun == [(REQUEST, SYNTAX)]
    assert bytes(side.taken[0].data) == b"data"
    ((context_id, response),) = side.answers
    assert context_id == 1
    assert struct.pack("<H", 0xA700) in response


@pytest.mark.parametrize("seed", range(20))
def test_a_message_cut_anywhere(side: Side, seed: int) -> None:
    cuts = random.Random(seed)  # noqa: S311 - the same cuts every time
    messages = side.messages()
    for last, whole in ((1, by_pynetdicom()), (0, bytes(range(256)) * 8)):
        at = 0
        while at < len(whole):
            end = cuts.randint(at + 1, len(whole))
            take(messages, item(last | (2 if end == len(whole) else 0), whole[at:end]))
            at = end
    assert bytes(side.taken[0].data) == bytes(range(256)) * 8
    assert side.taken[0].ended == "finished"


def test_one_message_after_the_other(side: Side) -> None:
    messages = side.messages()
    for _ in range(3):
        take(messages, item(3, by_pynetdicom()), item(2, b"data"))
    assert len(side.answers) == 3


def test_another_command_is_handed_on_with_its_data(side: Side) -> None:
    take(side.messages(), item(3, ECHO), item(0, b"some"), item(2, b"more"))
    assert side.foreign == [(1, 3, ECHO), (1, 0, b"some"), (1, 2, b"more")]
    assert side.answers == []


def test_a_presentation_context_that_was_not_accepted_is_not_ours(side: Side) -> None:
    take(side.messages(), item(3, by_pynetdicom(), context_id=9))
    assert side.begun == []
    assert side.foreign[0][0] == 9


@pytest.mark.parametrize(
    "items",
    [
        (b"\0\0\0",),
        (struct.pack(">IBB", 1, 1, 3),),
        (struct.pack(">IBB", 1 << 31, 1, 3) + b"x",),
        (item(3, by_pynetdicom()), item(3, by_pynetdicom())),
        (item(1, by_pynetdicom()), item(2, b"data", context_id=3)),
        (item(3, b"\xff" * 40),),
    ],
)
def test_what_breaks_the_protocol_is_told(side: Side, items: tuple[bytes, ...]) -> None:
    with pytest.raises(NotUnderstood):
        take(side.messages(), *items)


def test_a_command_without_end(side: Side) -> None:
    messages = side.messages()
    for _ in range(LONGEST // 4096):
        take(messages, item(1, b"\0" * 4096))
    with pytest.raises(NotUnderstood, match="more than"):
        take(messages, item(1, b"\0"))


def test_a_list_without_end(side: Side) -> None:
    messages = side.messages()
    take(messages, item(3, ECHO))
    part = b"\0" * (1 << 20)
    for _ in range(LARGEST_FOREIGN_DATA_SET >> 20):
        take(messages, item(0, part))
    with pytest.raises(NotUnderstood, match="more than"):
        take(messages, item(0, b"\0"))


def test_an_association_that_ends_inside_an_instance(side: Side) -> None:
    messages = side.messages()
    take(messages, item(3, by_pynetdicom()), item(0, b"da"))
    messages.abandon()
    messages.abandon()
    assert side.taken[0].ended == "abandoned"
    assert side.answers == []


@pytest.mark.parametrize("longest", [0, 20, 64, 16384])
def test_a_response_fits_what_its_receiver_takes(longest: int) -> None:
    encoded = bytes(range(200))
    read = bytearray()
    sent = list(pdus(5, encoded, longest))
    for number, pdu in enumerate(sent, 1):
        kind, _, length = struct.unpack(">BBI", pdu[:6])
        assert kind == 4
        assert length == len(pdu) - 6
        assert not longest or length <= longest
        ((context_id, control, part),) = values(memoryview(pdu[6:]))
        assert context_id == 5
        assert control == (3 if number == len(sent) else 1)
        read += part
    assert bytes(read) == encoded
