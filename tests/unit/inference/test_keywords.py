"""Keys of a selection that nobody could ever ask for are refused with what was probably meant."""

from pathlib import Path
from typing import Any

import pytest

from inference.card import load
from inference.errors import CardInvalid
from inference.keywords import understood
from inference.selection import OWN_FACTS, SelectionInvalid
from node.core.exclusion import EVERY_KIND
from node.core.study import HEADER_KEYWORDS, IDENTITY_KEYWORDS, SERIES_KEYWORDS, STUDY_KEYWORDS

SHIPPED = Path(__file__).parents[3] / "inference" / "models" / "brain-extraction"


def faults(table: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(SelectionInvalid) as refused:
        understood(table)
    return refused.value.faults


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        (
            "SeriesDescripton",
            "SeriesDescripton: no such DICOM keyword; did you mean SeriesDescription?",
        ),
        ("modality", "modality: no such DICOM keyword; did you mean Modality?"),
        (
            "SeriesInstance",
            "SeriesInstance: no such DICOM keyword; did you mean SeriesInstances?",
        ),
        ("Zzzzzzzzzz", "Zzzzzzzzzz: no such DICOM keyword"),
        ("", ": no such DICOM keyword"),
        ("PatientName", "PatientName: says whose study it is: no rule may ask for that"),
        ("PixelData", "PixelData: holds data (OB or OW), not a value"),
        (
            "PerFrameFunctionalGroupsSequence",
            "PerFrameFunctionalGroupsSequence: is a sequence without coded values",
        ),
        ("TransferSyntaxUID", "TransferSyntaxUID: is no attribute of the data set"),
        (
            "0019,100c SIEMENS MR HEADER",
            "0019,100c SIEMENS MR HEADER: the block is each object's own: write 0019,0c and the creator",
        ),
        (
            "7fe1,01 GEMS_Ultrasound_MovieGroup_001",
            "7fe1,01 GEMS_Ultrasound_MovieGroup_001: stands behind the pixels, which are not read",
        ),
    ],
)
def test_a_key_that_cannot_be_asked_for(key: str, fault: str) -> None:
    assert faults({key: 1}) == (fault,)


def test_all_faults_are_told_at_once() -> None:
    found = faults({"Modalty": "MR", "SliceThickness": {"mx": 3}})
    assert [fault.partition(":")[0] for fault in found] == ["Modalty", "SliceThickness.mx"]


@pytest.mark.parametrize(
    "key",
    [
        "FlipAngle",
        "SOPClassUID",
        "AnatomicRegionSequence",
        "0019,0C SIEMENS MR HEADER",
        *OWN_FACTS,
    ],
)
def test_a_key_that_exists(key: str) -> None:
    assert understood({key: {"present": True}}).criteria


def test_what_is_read_anyway_may_be_asked_for_and_a_patients_identity_may_not() -> None:
    understood({key: {"present": True} for key in (*STUDY_KEYWORDS, *SERIES_KEYWORDS)})
    assert len(faults(dict.fromkeys(IDENTITY_KEYWORDS, "x"))) == len(IDENTITY_KEYWORDS)


def test_the_nodes_own_exclusions_ask_for_what_is_read() -> None:
    asked = {key for one in EVERY_KIND for key in one.select.keys}
    assert asked <= set(HEADER_KEYWORDS)


def test_a_private_element_has_one_key_however_it_is_written() -> None:
    selection = understood({"(0019,xx0C) SIEMENS MR HEADER": {"min": 1}})
    assert selection.keys == {"0019,0c SIEMENS MR HEADER"}
    assert not selection.failures({"0019,0c SIEMENS MR HEADER": 1000})


def test_a_card_is_held_to_the_same_dictionary(tmp_path: Path) -> None:
    text = (SHIPPED / "card.toml").read_text(encoding="utf-8")
    assert "Modality" in text
    (tmp_path / "card.toml").write_text(text.replace("Modality", "Modalty"), encoding="utf-8")
    with pytest.raises(
        CardInvalid, match=r"card.toml: input \w+: select.Modalty: .* mean Modality"
    ):
        load(tmp_path)
