import time
from typing import Any

import pytest

from inference.patterns import LONGEST_TEXT
from inference.selection import Facts, SelectionInvalid, parse

FACTS: Facts = {
    "Modality": "MR",
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "SliceThickness": 1.0,
    "SeriesDescription": "sag T1 MPRAGE",
    "ViewCodeSequence": ["399162004^SCT", "R-10242^SRT"],
}


@pytest.mark.parametrize(
    ("select", "holds"),
    [
        ({"Modality": "mr"}, True),
        ({"Modality": ["CT", "MR"]}, True),
        ({"Modality": "CT"}, False),
        ({"SliceThickness": {"min": 1, "max": 3.0}}, True),
        ({"SliceThickness": {"min": 1.5}}, False),
        ({"SliceThickness": {"max": 0.5}}, False),
        ({"SeriesDescription": {"regex": "t1.*mprage|bravo"}}, True),
        ({"SeriesDescription": {"regex": "^T2"}}, False),
        ({"ContrastBolusAgent": {"present": False}}, True),
        ({"ContrastBolusAgent": {"present": True}}, False),
        ({"ImageType": {"none_of": ["DERIVED"]}}, True),
        ({"ImageType": {"none_of": ["PRIMARY"]}}, False),
        ({"ViewCodeSequence": {"code": "399162004", "scheme": "SCT"}}, True),
        ({"ViewCodeSequence": {"code": ["1", "R-10242"], "scheme": "SRT"}}, True),
        ({"ViewCodeSequence": {"code": "399162004", "scheme": "SRT"}}, False),
        ({"AnatomicRegionSequence": {"code": "399162004", "scheme": "SCT"}}, False),
    ],
)
def test_a_criterion_holds_or_does_not(select: dict[str, Any], holds: bool) -> None:
    assert (parse(select).failures(FACTS) == ()) == holds


def test_every_criterion_is_told_with_its_verdict_and_no_value() -> None:
    checks = parse({"Modality": "MR", "SeriesDescription": {"regex": "T2"}}).checks(FACTS)
    assert checks == (
        ("Modality must be MR", True),
        ("SeriesDescription must be matching /T2/", False),
    )


def test_all_faults_are_told_at_once_by_their_keys() -> None:
    with pytest.raises(SelectionInvalid) as caught:
        parse({
            "SliceThickness": {"mx": 3, "min": "thin"},
            "Modality": True,
            "ViewCodeSequence": {"code": "1"},
            "ImageType": {"none_of": "DERIVED"},
            "SeriesDescription": {"regex": "("},
        })
    keys = [fault.partition(":")[0] for fault in caught.value.faults]
    assert keys == [
        "SliceThickness.mx",
        "SliceThickness.min",
        "Modality",
        "ViewCodeSequence.code",
        "ImageType.none_of",
        "SeriesDescription.regex",
    ]


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a*)*b",
        "(a|aa)+$",
        "(.*){12}x",
        ".*.*.*x",
        r"(a)\1",
        "(x+x+)+y",
        "a?" * 30 + "a" * 30,
    ],
)
def test_a_pattern_that_could_run_away_is_refused(pattern: str) -> None:
    with pytest.raises(SelectionInvalid, match="too long"):
        parse({"SeriesDescription": {"regex": pattern}})


@pytest.mark.parametrize(
    "pattern", [".*.*X", "a?" * 17 + "a" * 17 + "X", "(a|b)?.*.*X", r"\w+\s*X"]
)
def test_the_worst_that_is_accepted_ends_in_seconds(pattern: str) -> None:
    selection = parse({"SeriesDescription": {"regex": pattern}})
    begun = time.perf_counter()
    selection.failures({"SeriesDescription": "a" * 100_000})
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize(
    "pattern", ["t1|mprage|bravo|spgr|flair|tfe|3d", "^(ax|sag|cor)?[ _]?t1", r"t[12].*head"]
)
def test_patterns_that_people_write_are_accepted(pattern: str) -> None:
    assert parse({"SeriesDescription": {"regex": pattern}}).criteria


def test_only_the_beginning_of_a_text_is_searched() -> None:
    selection = parse({"SeriesDescription": {"regex": "x"}})
    assert selection.failures({"SeriesDescription": "a" * LONGEST_TEXT + "x"})
