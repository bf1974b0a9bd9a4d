import pytest

from node.core.counts import PrivateAttribute, count_name


@pytest.mark.parametrize(
    "text",
    [
        "0025,1007 GEMS_SERS_01",
        "0025,1107 GEMS_SERS_01",
        "0025,xx07 GEMS_SERS_01",
        "(0025,xx07) GEMS_SERS_01",
        "(0025, 1007)  GEMS_SERS_01 ",
    ],
)
def test_a_block_has_no_meaning(text: str) -> None:
    assert count_name(text) == "0025,xx07 GEMS_SERS_01"


@pytest.mark.parametrize("name", ["ImagesInAcquisition", "NumberOfSlices"])
def test_the_standards_own_counts_are_named_by_keyword(name: str) -> None:
    assert count_name(name) == name


@pytest.mark.parametrize(
    "text",
    ["PatientID", "", "0025,1007", "0024,1007 EVEN", "0007,1007 LOW", "FFFF,1007 X", "0025,107 X"],
)
def test_what_names_no_count(text: str) -> None:
    with pytest.raises(ValueError, match=text or "private"):
        count_name(text)


def test_a_name_reads_as_what_it_names() -> None:
    one = PrivateAttribute(group=0x2001, creator="Philips Imaging DD 001", element=0x18)
    assert PrivateAttribute.parse(str(one)) == one
