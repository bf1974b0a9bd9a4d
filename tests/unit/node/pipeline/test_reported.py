"""What a model found, as reports and people are told it."""

from dataclasses import replace
from pathlib import Path

import pytest

from inference.findings import Result
from integrations.report import ReportedFinding
from node.pipeline.reported import conclusion, reported
from tests.unit.inference_results.studies import BRAIN, LESION, Study, with_everything, without


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Result:
    study = Study(segments=(BRAIN, LESION))
    return with_everything(study.result(tmp_path_factory.mktemp("source")))


def values(finding: ReportedFinding) -> list[tuple[str, str]]:
    return [(one.concept.meaning, one.value) for one in finding.quantities]


def test_findings_of_every_kind_are_reported(everything: Result) -> None:
    found = reported(everything)
    assert [(one.label, one.present) for one in found] == [
        ("Brain", True),
        ("Lesion", True),
        ("Hemorrhage", True),
        ("Nodule", True),
        ("Nodule", True),
        ("Nodule", True),
        ("Mean cortical thickness", True),
    ]
    assert [name for name, _ in values(found[0])] == ["Volume", "Area", "Long axis"]
    assert values(found[2]) == []
    assert values(found[5]) == [("Long axis", "14.2")]
    assert values(found[6]) == [("Thickness", "2.51")]
    assert len({one.tracking_uid for one in found}) == 7
    assert [one.is_number for one in found] == [*[False] * 6, True]


def test_scores_are_reported_with_what_they_were_held_against(everything: Result) -> None:
    found = reported(everything)
    assert [one.score is None for one in found] == [True, True, *[False] * 4, True]
    score = found[2].score
    assert score is not None
    assert (score.value, score.threshold, score.calibrated) == ("0.83", "0.5", False)
    assert score.concept.scheme.startswith("99")
    assert (score.unit.value, replace(score, calibrated=True).unit.value) == ("1", "{0:1}")


def test_a_value_says_how_it_follows_from_others(everything: Result) -> None:
    found = reported(everything)
    derived = [one.derivation for one in found[0].quantities]
    assert [None if one is None else one.meaning for one in derived] == [None, None, "Maximum"]
    volume = found[0].quantities[0]
    assert volume.method is not None


@pytest.mark.parametrize(("score", "present"), [(0.83, True), (0.4, None), (0.1, False)])
def test_an_answer_may_be_undecided(everything: Result, score: float, present: bool | None) -> None:
    assert reported(with_everything(everything, score=score))[2].present is present


def test_what_was_looked_for_in_vain_is_reported_as_absent(everything: Result) -> None:
    found = reported(replace(everything, detections=()))
    assert [(one.label, one.present) for one in found[3:4]] == [("Nodule", False)]
    assert found[3].tracking_uid == reported(replace(everything, detections=()))[3].tracking_uid


def test_the_conclusion_is_one_sentence_for_people(everything: Result) -> None:
    assert conclusion(everything).startswith("RESEARCH, not for diagnosis. Brain: volume 3.36")
    assert "; Hemorrhage: present, hemorrhage score 0.83 (threshold 0.5); " in conclusion(
        everything
    )
    assert conclusion(everything).endswith(
        "Mean cortical thickness: 2.51 mm (brain-extraction 1.0.2)."
    )


def test_the_conclusion_says_what_was_not_found(tmp_path: Path) -> None:
    result = without(Study().result(tmp_path), BRAIN.number)
    assert conclusion(result) == (
        "RESEARCH, not for diagnosis. Brain: not found (brain-extraction 1.0.2)."
    )
