from dataclasses import replace
from typing import Any

import pytest

from node.clock import SetClock
from node.core.completeness import (
    ENHANCED_SOP_CLASSES,
    Evidence,
    QuietTimes,
    Witness,
    decide,
)
from node.core.study import StoredSeries
from tests.unit.node.samples import ENHANCED_MR, MR, plane, series

QUIET = QuietTimes(short_s=5, long_s=120)


def after(stored: StoredSeries, seconds: float) -> Evidence | None:
    clock = SetClock(stored.last_arrival)
    clock.advance(seconds)
    return decide(stored, QUIET, clock.now())


@pytest.mark.parametrize("sop_class", sorted(ENHANCED_SOP_CLASSES))
def test_one_enhanced_object_is_complete_at_once(sop_class: str) -> None:
    one = series([0], facts={"SOPClassUID": sop_class}, associations_open=1)
    assert after(one, 0) == Evidence(
        witness=Witness.ENHANCED_OBJECT, instances=1, end_slice_may_be_missing=False
    )


def test_one_classic_object_is_not_complete_at_once() -> None:
    assert after(series([0], facts={"SOPClassUID": MR}), 0) is None


def test_two_enhanced_objects_need_another_witness() -> None:
    assert after(series([0, 1], facts={"SOPClassUID": ENHANCED_MR}), 0) is None


@pytest.mark.parametrize(("silent_s", "closed"), [(0, False), (4.9, False), (5, True), (60, True)])
def test_after_release_the_short_quiet_time_counts(silent_s: float, closed: bool) -> None:
    evidence = after(series(), silent_s)
    assert (evidence is not None) == closed
    if evidence is not None:
        assert evidence.witness is Witness.ASSOCIATION_RELEASED
        assert evidence.end_slice_may_be_missing
        assert evidence.fault is None


@pytest.mark.parametrize("state", ["associations_open", "associations_broken"])
@pytest.mark.parametrize(("silent_s", "closed"), [(5, False), (119, False), (120, True)])
def test_without_a_release_the_long_quiet_time_counts(
    state: str, silent_s: float, closed: bool
) -> None:
    changes: dict[str, Any] = {state: 1}
    evidence = after(series(**changes), silent_s)
    assert (evidence is not None) == closed
    if evidence is not None:
        assert evidence.witness is Witness.LONG_QUIET
        assert evidence.fault is None


def test_one_broken_association_among_released_ones_is_not_overlooked() -> None:
    assert after(series(associations_open=0, associations_broken=1), 10) is None


@pytest.mark.parametrize(
    ("positions_mm", "fault"),
    [((0, 1, 2, 4, 5), "GAP"), ((0, 1, 2, 3.3, 4.3), "UNEVEN-SPACING")],
)
def test_a_veto_waits_for_the_long_quiet_time_and_is_then_told(
    positions_mm: tuple[float, ...], fault: str
) -> None:
    vetoed = series(positions_mm)
    assert after(vetoed, 119) is None
    evidence = after(vetoed, 120)
    assert evidence is not None
    assert evidence.witness is Witness.LONG_QUIET
    assert evidence.fault == fault
    assert evidence.detail


@pytest.mark.parametrize("length", range(1, 9))
def test_every_prefix_of_a_series_is_gapless_so_geometry_proves_nothing(length: int) -> None:
    evidence = after(series([2.0 * i for i in range(length)]), 5)
    assert evidence is not None
    assert evidence.end_slice_may_be_missing


@pytest.mark.parametrize(
    "planes",
    [
        ({}, {}),  # no geometry at all
        (plane(0), {"Rows": 4}, plane(2)),  # a localizer among them
        (plane(0), plane(0), plane(1)),  # two echoes at one place
        (plane(0), {**plane(1), "Rows": 8}),
        (plane(0), {**plane(1), "ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}),
    ],
)
def test_what_is_no_volume_is_no_reason_to_wait(planes: tuple[dict[str, Any], ...]) -> None:
    several = replace(series([0] * len(planes)), planes=planes)
    evidence = after(several, 5)
    assert evidence is not None
    assert evidence.fault is None


@pytest.mark.parametrize("number", [1.7e308, -1.7e308, float("nan"), float("inf"), 1e17])
def test_absurd_positions_stop_nobody(number: float) -> None:
    planes = tuple(plane(z) for z in (0, 1, 2, number, -number))
    evidence = after(replace(series([0] * 5), planes=planes), 5)
    assert evidence is not None
    assert evidence.fault is None


def test_a_clock_that_was_set_back_waits() -> None:
    assert after(series(), -3600) is None


@pytest.mark.parametrize("witness", list(Witness))
def test_an_evidence_survives_its_record(witness: Witness) -> None:
    evidence = Evidence(
        witness=witness, instances=3, end_slice_may_be_missing=True, fault="GAP", detail="one"
    )
    assert Evidence.from_record(evidence.as_record()) == evidence


def test_an_evidence_in_words() -> None:
    quiet = Evidence(witness=Witness.LONG_QUIET, instances=3, end_slice_may_be_missing=True)
    assert str(quiet) == ("3 instances; long quiet; no gap; an end slice may be missing")
    gap = replace(quiet, fault="GAP", detail="about 1 slice", end_slice_may_be_missing=False)
    assert str(gap) == "3 instances; long quiet; GAP: about 1 slice"
    told = Evidence(
        witness=Witness.ARCHIVE_LIST, instances=181, expected=181, end_slice_may_be_missing=False
    )
    assert str(told) == "181 of 181; PACS list equal twice; no gap"
