"""What a card may say of its segments."""

from pathlib import Path

import pytest

from inference.card import load
from inference.codes import Code
from inference.errors import CardInvalid

SHIPPED = Path(__file__).parents[3] / "inference" / "models" / "brain-extraction" / "card.toml"
SITE = 'finding_site = ["64033007", "SCT", "Kidney"]\n'
SIDE = 'laterality = ["7771000", "SCT", "Left"]\n'
MODIFIER = 'type_modifier = ["88850006", "SCT", "Chronic"]\n'


def card_with(folder: Path, *lines: str) -> Path:
    before, after = SHIPPED.read_text(encoding="utf-8").split("[weights]")
    (folder / "card.toml").write_text(before + "".join(lines) + "[weights]" + after, "utf-8")
    return folder


def test_a_segment_has_a_side_and_a_modifier(tmp_path: Path) -> None:
    segment = load(card_with(tmp_path, SITE, SIDE, MODIFIER)).segments[0]
    assert segment.laterality == Code("7771000", "SCT", "Left")
    assert segment.type_modifier == Code("88850006", "SCT", "Chronic")


def test_what_is_left_out_is_none() -> None:
    segment = load(SHIPPED.parent).segments[0]
    assert (segment.laterality, segment.type_modifier) == (None, None)


def test_a_side_is_the_side_of_something(tmp_path: Path) -> None:
    with pytest.raises(CardInvalid, match="segment 1: laterality needs a finding_site"):
        load(card_with(tmp_path, SIDE))
