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


PRIOR = """
[[prior]]
name = "{name}"
within_days = {days}
select = {{ {select} }}
"""


def test_a_prior_is_a_series_of_an_earlier_study(tmp_path: Path) -> None:
    told = PRIOR.format(name="before", days=730, select='Modality = "MR"')
    (prior,) = load(card_with(tmp_path, told)).priors
    assert (prior.name, prior.within_days) == ("before", 730)
    assert prior.select.failures({"Modality": "CT"}) == ("Modality must be MR",)


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ({"days": 0}, "prior before: within_days is a number of days"),
        ({"days": "true"}, "prior before: within_days is a number of days"),
        ({"days": '"two"'}, "prior before: within_days is a number of days"),
        ({"days": 40_000}, "prior before: within_days is a number of days"),
        ({"select": 'BodyPartExamined = "HEAD"'}, "prior before: select must say which Modality"),
        ({"select": 'Modalty = "MR"'}, "prior before: select.Modalty"),
        ({"name": "volume"}, "no two of a card's inputs and priors have one name"),
    ],
    ids=str,
)
def test_a_prior_that_is_not_understood_is_refused(
    tmp_path: Path, told: dict[str, object], fault: str
) -> None:
    right = {"name": "before", "days": 730, "select": 'Modality = "MR"'}
    with pytest.raises(CardInvalid, match=fault):
        load(card_with(tmp_path, PRIOR.format(**right | told)))
