"""Messages in a stream: whole, in pieces, together, too long, and none."""

import pytest

from integrations.hl7.mllp import FramingError, Unframer, framed

FIRST, SECOND = b"MSH|^~\\&|A\rPID|1", b"MSH|^~\\&|B"


def test_messages_come_out_as_they_went_in_wherever_the_stream_is_cut() -> None:
    stream = framed(FIRST) + framed(SECOND)
    for cut in range(len(stream)):
        unframer = Unframer()
        whole = [*unframer.feed(stream[:cut]), *unframer.feed(stream[cut:])]
        assert whole == [FIRST, SECOND], cut
        assert not unframer.within_message


def test_half_a_message_is_told_from_none() -> None:
    unframer = Unframer()
    assert list(unframer.feed(framed(FIRST)[:-1])) == []
    assert unframer.within_message


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", FIRST])
def test_what_is_no_block_is_refused_at_its_first_byte(garbage: bytes) -> None:
    with pytest.raises(FramingError, match=f"byte {garbage[0]:02X}"):
        list(Unframer().feed(garbage))


@pytest.mark.parametrize("stream", [b"\x0b" + b"x" * 11, b"\x0b" + b"x" * 11 + b"\x1c\r"])
def test_a_message_without_end_is_not_collected_for_ever(stream: bytes) -> None:
    with pytest.raises(FramingError, match="more than 10 bytes"):
        list(Unframer(largest=10).feed(stream))


def test_a_message_that_would_end_its_own_block_is_not_sent() -> None:
    with pytest.raises(FramingError, match="0B or 1C"):
        framed(b"MSH|\x1c\rMSH|forged")
