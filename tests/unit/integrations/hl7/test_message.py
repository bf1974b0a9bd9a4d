"""What is read of a message, whatever its delimiters and characters, and what is said of one that is none."""

import pytest

from integrations.hl7.message import MessageRefused, parse
from tests.unit.integrations.hl7.messages import message, pid

NAMES = {
    "UNICODE UTF-8": ("Müller^Jürgen", "Müller"),
    "8859/1": ("Müller^Jürgen", "Müller"),
    "ISO IR87": ("山田^太郎^^^^^^I", "山田"),
    "GB 18030-2000": ("王小东^^^^^^^I", "王小东"),
}


@pytest.mark.parametrize("character_set", NAMES)
def test_names_are_read_in_the_character_set_of_the_message(character_set: str) -> None:
    written, family = NAMES[character_set]
    found = parse(message(pid(name=written), f18=character_set)).first("PID")
    assert found is not None
    assert found.text(5) == family


def test_japanese_senders_name_two_sets() -> None:
    raw = message(pid(name="ヤマダ"), f18="ISO IR87").replace(b"ISO IR87", b"ASCII~ISO IR87")
    found = parse(raw).first("PID")
    assert found is not None
    assert found.text(5) == "ヤマダ"


@pytest.mark.parametrize(
    ("raw", "condition"),
    [
        (message(pid(name="Müller"), f18="ASCII"), 102),
        (message(pid(name="Müller"), f18=""), 102),
        (message(pid(), f18="UNICODE UTF-16"), 103),
        (message(pid(name="M"), f18="UNICODE UTF-8").replace(b"|M|", b"|M\xfc|"), 102),
    ],
)
def test_characters_that_cannot_be_read_are_refused_and_never_guessed(
    raw: bytes, condition: int
) -> None:
    with pytest.raises(MessageRefused) as told:
        parse(raw)
    assert (told.value.condition, told.value.place) == (condition, "MSH^1^18")


def test_a_site_says_what_is_meant_by_no_character_set() -> None:
    raw = message(pid(name="M"), f18="").replace(b"|M|", b"|M\xfcller|")
    found = parse(raw, "8859/1").first("PID")
    assert found is not None
    assert found.text(5) == "Müller"


def test_escaped_delimiters_and_bytes_are_text() -> None:
    found = parse(message(pid(name="A\\T\\B \\XC3A9\\\\E\\\\S\\"))).first("PID")
    assert found is not None
    assert found.text(5) == "A&B é\\^"


def test_delimiters_are_those_of_the_message() -> None:
    usual = message(pid("M1^^^A&1.2.3&ISO", "M2"))
    others = usual.translate(bytes.maketrans(b"|^~&", b"#*:%"))
    found = parse(others).first("PID")
    assert found is not None
    assert found.repetitions(3) == [["M1", "", "", "A%1.2.3%ISO"], ["M2", "", "", "EXAMPLE", "MR"]]
    assert found.text(3, 4, 2) == "1.2.3"


def test_a_null_is_no_value() -> None:
    found = parse(message('PID|1||""||""^""')).first("PID")
    assert found is not None
    assert (found.repetitions(3), found.text(5), found.text(5, 2), found.text(40)) == (
        [],
        "",
        "",
        "",
    )


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_segments_end_as_the_sender_ends_them(end: bytes) -> None:
    read = parse(message(pid(), "ORC|NW").replace(b"\r", end))
    assert [one.name for one in read.segments] == ["MSH", "PID", "ORC"]
    assert read.kind == "ORM^O01"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"MSH",
        b"MSH|^~\\",
        b"PID|1||M1",
        b"MSH|^^\\&|A",
        b"MSHABCDE",
        b"FHS|^~\\&|A",
        b"GET / HTTP/1.1",
    ],
)
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(MessageRefused) as told:
        parse(raw)
    assert told.value.reason == "NOT-HL7"


def test_a_message_of_endless_segments_is_not_read() -> None:
    with pytest.raises(MessageRefused, match="NOT-HL7"):
        parse(message(*["NTE|1"] * 1000))
