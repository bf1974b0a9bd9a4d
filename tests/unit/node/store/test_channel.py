from collections.abc import Iterator
from socket import socket

import pytest

from node.store import channel

Pair = tuple[socket, socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    reader, writer = channel.pair()
    with reader, writer:
        yield reader, writer


def test_messages_come_whole_and_in_order(pair: Pair) -> None:
    reader, writer = pair
    messages = [("one", 1), {"two": 2}, "x" * 50_000]
    assert all(channel.tell(writer, message) for message in messages)
    assert channel.hear(reader, 5) == messages
    assert channel.hear(reader, 0) == []


def test_who_finds_no_room_waits_for_nobody(pair: Pair) -> None:
    reader, writer = pair
    told = 0
    while channel.tell(writer, (told, "x" * 10_000)):
        told += 1
    assert told > 10
    assert [number for number, _ in channel.hear(reader, 0)] == list(range(told))
    assert channel.tell(writer, "again")


def test_a_message_that_is_too_long_is_dropped(pair: Pair) -> None:
    assert not channel.tell(pair[1], "x" * channel.LONGEST)


def test_who_has_no_listener_left(pair: Pair) -> None:
    reader, writer = pair
    reader.close()
    assert not channel.tell(writer, "anybody?")


def test_who_is_told_nothing_any_more(pair: Pair) -> None:
    reader, writer = pair
    channel.tell(writer, "last")
    writer.close()
    assert channel.hear(reader, 5) == ["last"]
    with pytest.raises(EOFError):
        channel.hear(reader, 5)
