import pytest

from node.core.counts import count_name


@pytest.mark.parametrize(
    "text",
    ["0025,07 GEMS_SERS_01", "0025,xx07 GEMS_SERS_01", "(0025,xx07) GEMS_SERS_01"],
)
def test_a_count_has_one_name(text: str) -> None:
    assert count_name(text) == "0025,07 GEMS_SERS_01"


@pytest.mark.parametrize("name", ["ImagesInAcquisition", "NumberOfSlices"])
def test_the_standards_own_counts_are_named_by_keyword(name: str) -> None:
    assert count_name(name) == name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("PatientID", "'PatientID' is neither ImagesInAcquisition nor NumberOfSlices"),
        ("", "gggg,ee CREATOR"),
        ("0025,1007 GEMS_SERS_01", "the block is each object's own: write 0025,07"),
        ("0025,07", "needs its creator"),
        ("0024,07 EVEN", "no group of private elements"),
    ],
)
def test_what_names_no_count(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        count_name(text)
