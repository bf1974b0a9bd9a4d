"""Private elements: one way to write them, and the place that each object gives them."""

import pytest

from inference.private import PrivateTag, PrivateTagInvalid, is_private, parse

B_VALUE = PrivateTag(group=0x0019, creator="SIEMENS MR HEADER", element=0x0C)


@pytest.mark.parametrize(
    "text",
    [
        "0019,0c SIEMENS MR HEADER",
        "0019,0C SIEMENS MR HEADER",
        "0019,xx0c SIEMENS MR HEADER",
        "(0019,xx0C) SIEMENS MR HEADER",
        "  0019,0c   SIEMENS MR HEADER  ",
    ],
)
def test_one_element_may_be_written_in_several_ways_and_has_one_text(text: str) -> None:
    assert parse(text) == B_VALUE
    assert str(parse(text)) == "0019,0c SIEMENS MR HEADER"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SeriesDescription", "expected group, element and creator"),
        ("0019,100c SIEMENS MR HEADER", "write 0019,0c and the creator"),
        ("0018,0c SIEMENS MR HEADER", "0018 is no group of private elements"),
        ("0007,0c SIEMENS MR HEADER", "0007 is no group of private elements"),
        ("ffff,0c SIEMENS MR HEADER", "ffff is no group of private elements"),
        ("0019,0x SIEMENS MR HEADER", "must be hexadecimal"),
        ("0019,0c", "needs its creator"),
        ("0019,0c " + "A" * 65, "at most 64 characters"),
        ("0019,0c A\\B", "no backslash"),
        ("0019,c SIEMENS", "expected group, element and creator"),
    ],
)
def test_what_names_no_private_element_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(PrivateTagInvalid, match=why.replace("\\", "\\\\")):
        parse(text)


def test_a_keyword_is_not_taken_for_a_private_element() -> None:
    assert is_private("0019,0c SIEMENS MR HEADER")
    assert is_private("0019,")
    assert not is_private("FaceABCD,")
    assert not is_private("SeriesDescription")


def test_the_block_is_that_of_the_object() -> None:
    """PS3.5 7.8.1: whoever writes the object chooses the block."""
    reserved = [(0x00190010, "OTHER"), (0x00190011, "SIEMENS MR HEADER "), (0x00510010, "OTHER")]
    assert B_VALUE.places(reserved) == [0x0019110C]


def test_the_creator_counts_with_its_group_and_its_letters() -> None:
    elsewhere = [(0x00510010, "SIEMENS MR HEADER"), (0x00190010, "Siemens MR Header")]
    assert B_VALUE.places(elsewhere) == []


def test_a_creator_may_have_two_blocks() -> None:
    reserved = [(0x00190010, "SIEMENS MR HEADER"), (0x001900FF, "SIEMENS MR HEADER")]
    assert B_VALUE.places(reserved) == [0x0019100C, 0x0019FF0C]


def test_nothing_but_a_reservation_is_one() -> None:
    """(0019,100C) with the creator's name as its value reserves nothing."""
    assert (
        B_VALUE.places([(0x0019100C, "SIEMENS MR HEADER"), (0x0019000F, "SIEMENS MR HEADER")]) == []
    )
