"""What readers of others must find in a report: every number and every code, each once, in its place."""

from pathlib import Path

import numpy as np

from inference.findings import Result
from inference.results.profile import Profile
from tests.conformance import validators


def hold_readers(report: Path, result: Result, profile: Profile, folder: Path) -> None:
    """Hold what DCMTK and dcmqi read in `report` against `result`."""
    text = validators.dsrdump(report)
    for code, count in expected_codes(result).items():
        assert text.count(f"({code},") == count, (profile.name, code)
    found = [
        (group["TrackingUniqueIdentifier"], item["quantity"]["CodeValue"], float(item["value"]))
        for group in validators.tid1500(report, folder)["Measurements"] or []
        for item in group.get("measurementItems", [])
    ]
    expected = expected_numbers(result, in_groups=profile.groups_without_regions)
    assert [(uid, code) for uid, code, _ in found] == [(uid, code) for uid, code, _ in expected]
    np.testing.assert_allclose([v for *_, v in found], [v for *_, v in expected], rtol=1e-9)


def expected_numbers(result: Result, *, in_groups: bool) -> list[tuple[str, str, float]]:
    numbers: list[tuple[str, str, float]] = []
    for finding in result.findings:
        planar = () if finding.key_slice is None else finding.key_slice.measurements
        numbers += [
            (finding.tracking_uid, one.concept.value, one.value)
            for one in (*finding.measurements, *planar)
        ]
    for place in result.detections:
        decision = place.target.decision
        numbers += [
            (place.tracking_uid, one.concept.value, one.value) for one in place.measurements
        ]
        numbers += [
            (place.tracking_uid, decision.score.value, place.score),
            (place.tracking_uid, "threshold", decision.threshold),
        ]
    if not in_groups:
        return numbers
    for answer in result.classifications:
        decision = answer.question.decision
        numbers += [
            (answer.tracking_uid, decision.score.value, answer.score),
            (answer.tracking_uid, "threshold", decision.threshold),
        ]
    numbers += [(r.tracking_uid, r.quantity.concept.value, r.value) for r in result.readings]
    return numbers


def expected_codes(result: Result) -> dict[str, int]:
    """How often dsrdump must show a code: presences, scores, thresholds and sides."""
    places, answers = len(result.detections), result.classifications
    presences = [answer.presence for answer in answers]
    missed = len([t for t in result.card.targets if not places])
    absent_segments = len([one for one in result.findings if not one.present])
    return {
        "52101004": presences.count("PRESENT"),  # type: ignore[arg-type] # an enum of str
        "82334004": presences.count("INDETERMINATE"),  # type: ignore[arg-type] # as above
        "272519000": presences.count("ABSENT") + missed + absent_segments,  # type: ignore[arg-type] # as above
        "ich-score": len(answers),
        "122157": places,
        "threshold": places + len(answers),
        "7771000": places,
        "118560001": len(result.readings),
    }
