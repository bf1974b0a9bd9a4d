"""What a card may say that a model looks for beside its segments."""

from pathlib import Path

import pytest

from inference.card import Card, load
from inference.codes import Code
from inference.errors import CardInvalid

SHIPPED = Path(__file__).parents[3] / "inference" / "models" / "brain-extraction" / "card.toml"
CLASSIFICATION = """
[[classification]]
label = "Pneumothorax"
category = ["49755003", "SCT", "Morphologically Abnormal Structure"]
type = ["36118008", "SCT", "Pneumothorax"]
finding_site = ["39607008", "SCT", "Lung"]
laterality = ["7771000", "SCT", "Left"]
score = ["ptx-score", "99EXAMPLE", "Pneumothorax score"]
calibrated = false
threshold = 0.42
indeterminate_from = 0.3
"""
DETECTION = """
[[detection]]
label = "Nodule"
category = ["49755003", "SCT", "Morphologically Abnormal Structure"]
type = ["27925004", "SCT", "Nodule"]
colour_rgb = [30, 144, 255]
score = ["122157", "DCM", "Probability"]
calibrated = true
threshold = 0.5
"""
MEASUREMENT = """
[[measurement]]
label = "Midline shift"
concept = ["410668003", "SCT", "Length"]
unit = ["mm", "UCUM", "mm"]
derivation = ["56851009", "SCT", "Maximum"]
"""


def card_with(
    folder: Path, *tables: str, most_places: int | None = None, segments: bool = True
) -> Card:
    text = SHIPPED.read_text(encoding="utf-8")
    if not segments:
        before, after = text.split("[[segment]]")
        text = before + "[weights]" + after.split("[weights]")[1]
    if most_places is not None:
        text = text.replace("[postprocess]", f"[postprocess]\nmost_places = {most_places}")
    before, after = text.split("[weights]")
    (folder / "card.toml").write_text(before + "".join(tables) + "[weights]" + after, "utf-8")
    return load(folder)


def test_a_card_declares_findings_of_every_kind(tmp_path: Path) -> None:
    card = card_with(
        tmp_path, CLASSIFICATION, DETECTION, MEASUREMENT, most_places=8, segments=False
    )
    assert card.segments == ()
    (question,), (target,), (quantity,) = card.questions, card.targets, card.quantities
    assert question.type == Code("36118008", "SCT", "Pneumothorax")
    assert question.laterality == Code("7771000", "SCT", "Left")
    assert (question.decision.threshold, question.decision.indeterminate_from) == (0.42, 0.3)
    assert target.colour_rgb == (30, 144, 255)
    assert target.decision.calibrated
    assert quantity.derivation == Code("56851009", "SCT", "Maximum")
    assert card.most_places == 8


def test_the_shipped_card_declares_segments_alone() -> None:
    card = load(SHIPPED.parent)
    assert (card.questions, card.targets, card.quantities) == ((), (), ())
    assert (card.most_places, card.interpreted_by) == (0, ())


@pytest.mark.parametrize(
    ("wrong", "right", "fault"),
    [
        ('"ptx-score", "99EXAMPLE"', '"122157", "DCM"', "said of calibrated scores only"),
        ('"99EXAMPLE"', '"DCM"', "needs a private code"),
        ("indeterminate_from = 0.3", "indeterminate_from = 0.42", "below the threshold"),
        ('finding_site = ["39607008", "SCT", "Lung"]\n', "", "laterality needs a finding_site"),
        ("threshold = 0.42\n", "", "'threshold' is missing"),
        ("calibrated = false\n", "", "'calibrated' is missing"),
        ('label = "Pneumothorax"', 'label = "Brain"', "have one label"),
    ],
)
def test_a_classification_that_would_mislead_is_refused(
    tmp_path: Path, wrong: str, right: str, fault: str
) -> None:
    assert wrong in CLASSIFICATION
    with pytest.raises(CardInvalid, match=fault):
        card_with(tmp_path, CLASSIFICATION.replace(wrong, right))


def test_a_place_is_never_indeterminate(tmp_path: Path) -> None:
    with pytest.raises(CardInvalid, match="never indeterminate"):
        card_with(tmp_path, DETECTION + "indeterminate_from = 0.1\n", most_places=8)


@pytest.mark.parametrize(("tables", "most_places"), [((DETECTION,), None), ((), 8)])
def test_how_many_places_there_may_be_is_said_where_places_are_looked_for(
    tmp_path: Path, tables: tuple[str, ...], most_places: int | None
) -> None:
    with pytest.raises(CardInvalid, match="most_places"):
        card_with(tmp_path, *tables, most_places=most_places)


def test_a_measurement_has_a_unit_of_ucum(tmp_path: Path) -> None:
    with pytest.raises(CardInvalid, match="Midline shift: its unit must be a code of UCUM"):
        card_with(tmp_path, MEASUREMENT.replace('"UCUM"', '"DCM"'))


def test_a_card_looks_for_something(tmp_path: Path) -> None:
    with pytest.raises(CardInvalid, match="at least one segment"):
        card_with(tmp_path, segments=False)


def test_what_interprets_a_result_was_asked_for(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    wants = 'wants = ["age", "sex"]'
    asked = text.replace(wants, f'{wants}\ninterpreted_by = ["age"]')
    (tmp_path / "card.toml").write_text(asked, "utf-8")
    assert load(tmp_path).interpreted_by == ("age",)
    (tmp_path / "card.toml").write_text(asked.replace('["age"]', '["creatinine"]'), "utf-8")
    with pytest.raises(CardInvalid, match="only features that the model wants"):
        load(tmp_path)
