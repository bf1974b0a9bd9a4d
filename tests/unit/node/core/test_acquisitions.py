"""Acquisitions as scanners and senders make them, and what the node thinks of each at some moment."""

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest

from node.core.completeness import QuietTimes, Witness, decide
from node.core.frames import look_inside
from node.core.study import NO_NUMBER, ArchiveList, StoredSeries
from node.dicom.frames import read_frames
from tests.unit.node.enhanced import AXIAL, at, enhanced, frames
from tests.unit.node.samples import ENHANCED_MR, plane, series

PRIVATE = "0025,07 GEMS_SERS_01"
QUIET = QuietTimes(short_s=5, long_s=120, apart_s=3, counts=("ImagesInAcquisition", PRIVATE))
Frame = dict[str, Any]
E, C, A, N, R, L = tuple(Witness)
OPEN: dict[str, Any] = {"associations_open": 1}
BROKEN: dict[str, Any] = {"associations_broken": 1}
CORONAL = [1.0, 0.0, 0.0, 0.0, 0.0, -1.0]


def stack(count: int, *, step: float = 1.0, skip: Sequence[int] = (), **more: Any) -> list[Frame]:
    """Axial slices from 0 mm upwards, without those that are skipped."""
    return [{**plane(i * step), **more} for i in range(count) if i not in skip]


def vendor(count: int, told: int | str, name: str = PRIVATE) -> list[Frame]:
    """Axial slices that carry a vendor's count."""
    return [{**frame, name: told} for frame in stack(count)]


def tilted(count: int, skip: Sequence[int] = ()) -> list[Frame]:
    return [
        {**plane(i * 5.0), "ImagePositionPatient": [0.0, i * 1.5, i * 5.0]}
        for i in range(count)
        if i not in skip
    ]


def localizer() -> list[Frame]:
    return [
        {**plane(z), "ImageOrientationPatient": CORONAL, "ImagePositionPatient": [0.0, y, 0.0]}
        for z, y in ((0, 0), (0, 40), (0, 90))
    ]


def kinds(keyword: str, *sizes: int, skip: Sequence[int] = ()) -> list[Frame]:
    """Stacks at the same positions, told apart by one keyword."""
    return [
        {**frame, keyword: number}
        for number, size in enumerate(sizes, start=1)
        for frame in stack(size, skip=skip if number == 2 else ())
    ]


def acquired(frames: list[Frame], **changes: Any) -> StoredSeries:
    return replace(series([0] * len(frames)), planes=tuple(frames), **changes)


def listed(count: int, *, for_s: float = 3.0) -> ArchiveList:
    names = frozenset(f"2.25.300{i}" for i in range(count))
    return ArchiveList(instances=names, since=1000.0, at=1000.0 + for_s)


def uids(*numbers: int) -> frozenset[str]:
    return frozenset(f"2.25.300{i}" for i in numbers)


COUNTED: dict[str, Any] = {"ImagesInAcquisition": 20, "AcquisitionNumber": 1}
SECOND: dict[str, Any] = {"ImagesInAcquisition": 20, "AcquisitionNumber": 2}
ENHANCED: dict[str, Any] = {"facts": {"SOPClassUID": ENHANCED_MR}}

TABLE: dict[str, tuple[StoredSeries, float, tuple[Witness, str | None] | None]] = {
    "whole and released": (acquired(stack(20)), 5, (R, None)),
    "whole and released a moment ago": (acquired(stack(20)), 4, None),
    "whole, association open": (acquired(stack(20), **OPEN), 119, None),
    "whole, association open for long": (acquired(stack(20), **OPEN), 120, (L, None)),
    "whole, association broken": (acquired(stack(20), **BROKEN), 60, None),
    "whole, one of eight associations open": (acquired(stack(20), **OPEN), 30, None),
    "sender pauses": (acquired(stack(7), **OPEN), 3, None),
    "first slice missing cannot be seen": (acquired(stack(20, skip=[0])), 5, (R, None)),
    "last slice missing cannot be seen": (acquired(stack(20, skip=[19])), 5, (R, None)),
    "one inner slice missing": (acquired(stack(20, skip=[9])), 60, None),
    "one inner slice missing for long": (acquired(stack(20, skip=[9])), 120, (L, "GAP")),
    "second slice missing": (acquired(stack(20, skip=[1])), 60, None),
    "several holes": (acquired(stack(20, skip=[3, 4, 11])), 120, (L, "GAP")),
    "every other slice missing cannot be seen": (
        acquired(stack(20, skip=range(1, 20, 2))),
        5,
        (R, None),
    ),
    "spacing changes midway": (
        acquired([*stack(10), *(plane(9.0 + 1.3 * i) for i in range(1, 6))]),
        120,
        (L, "UNEVEN-SPACING"),
    ),
    "a slice twice": (acquired([*stack(20), plane(7.0)]), 5, (R, None)),
    "a slice twice and one missing": (acquired([*stack(20, skip=[9]), plane(7)]), 60, None),
    "every slice twice": (acquired([*stack(20), *stack(20)]), 5, (R, None)),
    "in reversed order": (acquired(stack(20)[::-1]), 5, (R, None)),
    "tilted gantry": (acquired(tilted(20)), 5, (R, None)),
    "tilted gantry with a hole": (acquired(tilted(20, skip=[8])), 60, None),
    "localizer inside": (acquired([*stack(20), *localizer()]), 5, (R, None)),
    "localizer inside and a hole": (acquired([*stack(20, skip=[9]), *localizer()]), 60, None),
    "localizer alone": (acquired(localizer()[:2]), 5, (R, None)),
    "another matrix inside": (acquired([*stack(20), {**plane(3), "Rows": 512}]), 5, (R, None)),
    "without geometry": (acquired([{}, {}, {}]), 5, (R, None)),
    "one image": (acquired(stack(1)), 5, (R, None)),
    "one image, association open": (acquired(stack(1), **OPEN), 60, None),
    "two phases": (acquired(kinds("TemporalPositionIdentifier", 20, 20)), 5, (R, None)),
    "two phases, the second begun": (
        acquired(kinds("TemporalPositionIdentifier", 20, 7)),
        60,
        None,
    ),
    "two phases, the second short for long": (
        acquired(kinds("TemporalPositionIdentifier", 20, 7)),
        120,
        (L, "UNEQUAL-GROUPS"),
    ),
    "two phases, a hole in the second": (
        acquired(kinds("TemporalPositionIdentifier", 20, 20, skip=[8])),
        120,
        (L, "GAP"),
    ),
    "two echoes": (acquired(kinds("EchoNumbers", 20, 20)), 5, (R, None)),
    "two echoes, a hole in the second": (acquired(kinds("EchoNumbers", 9, 9, skip=[4])), 60, None),
    "two echo times": (acquired(kinds("EchoTime", 20, 20)), 5, (R, None)),
    "three b-values": (acquired(kinds("DiffusionBValue", 9, 9, 9)), 5, (R, None)),
    "three b-values, the third begun": (acquired(kinds("DiffusionBValue", 9, 9, 2)), 60, None),
    "cardiac phases": (acquired(kinds("NominalPercentageOfCardiacPhase", 9, 9)), 5, (R, None)),
    "a trigger time of its own for each slice": (
        acquired([{**frame, "TriggerTime": i} for i, frame in enumerate(stack(20, skip=[9]))]),
        60,
        None,
    ),
    "counted": (acquired(stack(20, **COUNTED), **OPEN), 0, (C, None)),
    "counted, one missing": (acquired(stack(20, skip=[19], **COUNTED)), 60, None),
    "counted, one missing for long": (
        acquired(stack(20, skip=[19], **COUNTED)),
        120,
        (L, "IMAGES-MISSING"),
    ),
    "counted, one too many": (acquired([*stack(20, **COUNTED), plane(20)], **OPEN), 60, None),
    "counted, with a hole": (acquired(stack(21, skip=[9], **COUNTED), **OPEN), 60, None),
    "counted, with a hole for long": (acquired(stack(21, skip=[9], **COUNTED)), 120, (C, None)),
    "two acquisitions counted": (
        acquired([*stack(20, **COUNTED), *stack(20, **SECOND)], **OPEN),
        0,
        (C, None),
    ),
    "two acquisitions, the second begun": (
        acquired([*stack(20, **COUNTED), *stack(3, **SECOND)]),
        60,
        None,
    ),
    "vendor's count": (acquired(vendor(20, 20), **OPEN), 0, (C, None)),
    "vendor's count, one missing": (acquired(vendor(19, 20)), 60, None),
    "vendor's count, one missing for long": (
        acquired(vendor(19, 20)),
        120,
        (L, "IMAGES-MISSING"),
    ),
    "vendor's count too small": (acquired(vendor(20, 7), **OPEN), 60, None),
    "vendor's count too small, released": (acquired(vendor(20, 7)), 5, (R, None)),
    "vendor's count is no number": (acquired(vendor(20, NO_NUMBER)), 5, (R, None)),
    "vendor's count of zero": (acquired(vendor(20, 0), **OPEN), 60, None),
    "vendor's count absent": (acquired(stack(20), **OPEN), 60, None),
    "vendor's count absent in one": (
        acquired([*vendor(19, 20), plane(19)], **OPEN),
        60,
        None,
    ),
    "vendor's counts disagree": (
        acquired([*vendor(19, 20), *vendor(1, 19)], **OPEN),
        60,
        None,
    ),
    "vendor's count of another creator": (
        acquired(vendor(20, 20, "0025,07 SOMEBODY"), **OPEN),
        60,
        None,
    ),
    "enhanced multi-frame": (acquired([{}], **ENHANCED, **OPEN), 0, (E, None)),
    "enhanced, first of a concatenation": (
        acquired([{"InConcatenationTotalNumber": 2}], **ENHANCED, **OPEN),
        60,
        None,
    ),
    "enhanced, whole concatenation": (
        acquired([{"InConcatenationTotalNumber": 2}] * 2, **ENHANCED, **OPEN),
        0,
        (E, None),
    ),
    "listed twice": (acquired(stack(20), listed=listed(20)), 3, (A, None)),
    "listed once": (acquired(stack(20), listed=listed(20, for_s=0)), 3, None),
    "listed twice, association broken": (
        acquired(stack(20), listed=listed(20), **BROKEN),
        3,
        (A, None),
    ),
    "listed twice, association open": (acquired(stack(20), listed=listed(20), **OPEN), 60, None),
    "one more listed": (acquired(stack(20), listed=listed(21)), 60, None),
    "one more listed for long": (
        acquired(stack(20), listed=listed(21)),
        120,
        (L, "IMAGES-MISSING"),
    ),
    "fewer listed": (acquired(stack(20), listed=listed(12)), 5, (R, None)),
    "nothing listed": (acquired(stack(20), listed=listed(0)), 5, (R, None)),
    "announced": (acquired(stack(20), announced=uids(*range(20))), 0, (N, None)),
    "committed, perhaps a part": (
        acquired(stack(20), announced=uids(*range(20)), perhaps_in_parts=True),
        4,
        None,
    ),
    "committed, and quiet": (
        acquired(stack(20), announced=uids(*range(20)), perhaps_in_parts=True),
        5,
        (N, None),
    ),
    "announced, one missing": (acquired(stack(20), announced=uids(*range(21))), 60, None),
    "commitment asked for more than came": (acquired(stack(20), unplaced=1), 60, None),
    "commitment asked for more than came, for long": (
        acquired(stack(20), unplaced=1),
        120,
        (L, None),
    ),
    "commitment asked for more than came, counted": (
        acquired(stack(20, **COUNTED), unplaced=1),
        0,
        (C, None),
    ),
    "announced, association open": (
        acquired(stack(20), announced=uids(*range(20)), **OPEN),
        60,
        None,
    ),
    "late image of a closed series": (
        acquired(stack(20, **COUNTED), closed_at=999.0),
        3,
        None,
    ),
    "late image, quiet since": (acquired(stack(20, **COUNTED), closed_at=990.0), 5, (C, None)),
    "late image, one revision in a quiet time": (
        acquired(stack(20), closed_at=1002.0),
        6,
        None,
    ),
}


NO_PLACE = "1 of 20 frames carry no usable position"
NO_GROUPS = "no functional groups; frames not looked at"
DOUBLE = "1 frames lie where another of the same kind lies"
CORONALS = [
    {"ImagePositionPatient": [0, y, 0], "ImageOrientationPatient": CORONAL} for y in (0, 40, 90)
]
TIME = ("StackID", "InStackPositionNumber", "TemporalPositionIndex")


def interleaved(count: int, *, skip: Sequence[int] = ()) -> list[Frame]:
    """Two temporal positions, frame by frame; what is skipped lacks in the second."""
    return [
        at(z, TemporalPositionIndex=time)
        for z in range(count)
        for time in (1, 2)
        if time == 1 or z not in skip
    ]


def dimensioned(count: int, *, skip: Sequence[int] = ()) -> list[Frame]:
    """Two temporal positions, told apart by Dimension Index Values alone."""
    return [
        at(z, StackID="1", DimensionIndexValues=[1, z + 1, time])
        for time in (1, 2)
        for z in range(count)
        if time == 1 or z not in skip
    ]


ENHANCED_TABLE: dict[str, tuple[bytes, float, tuple[Witness, str | None] | None, str]] = {
    "whole stack": (enhanced(frames(20)), 0, (E, None), "no gap"),
    "gap inside a stack": (enhanced(frames(20, skip=[9])), 60, None, ""),
    "gap inside a stack for long": (
        enhanced(frames(20, skip=[9])),
        120,
        (E, None),
        "about 1 slice(s) missing, first between 8.00 and 10.00 mm along the normal",
    ),
    "duplicate frame": (enhanced([*frames(20), at(7)]), 0, (E, None), DOUBLE),
    "duplicate frame and a gap": (enhanced([*frames(20, skip=[9]), at(7)]), 60, None, ""),
    "one stack of another orientation inside": (
        enhanced([*frames(20), *CORONALS]),
        0,
        (E, None),
        "no gap",
    ),
    "two temporal positions interleaved": (enhanced(interleaved(20)), 0, (E, None), "no gap"),
    "two temporal positions, a gap in the second": (
        enhanced(interleaved(20, skip=[9])),
        120,
        (E, None),
        "about 1 slice(s) missing",
    ),
    "two temporal positions, the second short": (
        enhanced(interleaved(20, skip=range(12, 20))),
        120,
        (E, None),
        "one has 12 positions, another 20",
    ),
    "time by dimension index": (
        enhanced(dimensioned(20), dimensions=TIME),
        0,
        (E, None),
        "no gap",
    ),
    "time by dimension index, a gap in the second": (
        enhanced(dimensioned(20, skip=[9]), dimensions=TIME),
        60,
        None,
        "",
    ),
    "a position for each of many times": (
        enhanced(
            [
                at(z, StackID="1", DimensionIndexValues=[1, z + 1, t])
                for t in range(9)
                for z in (0, 1, 3, 4)
            ],
            dimensions=TIME,
        ),
        60,
        None,
        "",
    ),
    "two stacks, one with a gap": (
        enhanced([*frames(20, StackID="1"), *frames(20, StackID="2", skip=[9])]),
        60,
        None,
        "",
    ),
    "two stacks far apart": (
        enhanced([*frames(20, StackID="1"), *(at(500 + 3 * i, StackID="2") for i in range(20))]),
        0,
        (E, None),
        "no gap",
    ),
    "three b-values": (
        enhanced([frame for b in (0.0, 500.0, 1000.0) for frame in frames(9, DiffusionBValue=b)]),
        0,
        (E, None),
        "no gap",
    ),
    "two echoes, a gap in the second": (
        enhanced([*frames(9, EffectiveEchoTime=2.5), *frames(9, EffectiveEchoTime=9.0, skip=[4])]),
        60,
        None,
        "",
    ),
    "cardiac phases": (
        enhanced([f for p in (0.0, 50.0) for f in frames(9, NominalPercentageOfCardiacPhase=p)]),
        0,
        (E, None),
        "no gap",
    ),
    "groups missing": (enhanced([], NumberOfFrames=20, shared={}), 0, (E, None), NO_GROUPS),
    "position missing in one frame": (
        enhanced([*frames(20, skip=[9]), {"TemporalPositionIndex": 1}]),
        0,
        (E, None),
        NO_PLACE,
    ),
    "spacing and orientation missing": (
        enhanced(frames(20, skip=[9]), shared={}),
        0,
        (E, None),
        "19 of 19 frames carry no usable position",
    ),
    "fewer groups than frames": (
        enhanced(frames(20, skip=[9]), NumberOfFrames=20),
        0,
        (E, None),
        NO_PLACE,
    ),
    "one frame": (enhanced([at(0)], shared=AXIAL), 0, (E, None), "no gap"),
}


@pytest.mark.parametrize("name", ENHANCED_TABLE)
def test_verdict_and_witness_of_an_enhanced_object(name: str) -> None:
    data, silent_s, expected, words = ENHANCED_TABLE[name]
    inside = look_inside(read_frames(BytesIO(data)))
    stored = acquired([{}], **ENHANCED, **OPEN)
    evidence = decide(stored, QUIET, stored.last_arrival + silent_s, lambda: inside)
    assert (evidence and (evidence.witness, evidence.fault)) == expected
    assert words in str(evidence)


def test_two_enhanced_objects_of_one_series_are_one_stack() -> None:
    halves = [*frames(20, skip=range(10, 20)), *frames(20, skip=range(11))]
    assert look_inside([
        frame for one in halves for frame in read_frames(BytesIO(enhanced([one])))
    ]).veto


@pytest.mark.parametrize(
    ("frames_of_counts", "words"),
    [
        ([{PRIVATE: NO_NUMBER}, {PRIVATE: 2}], f"{PRIVATE} is no number"),
        ([{PRIVATE: 1}, {PRIVATE: 2}], f"{PRIVATE} differs between instances"),
    ],
)
def test_a_count_that_cannot_be_used_is_told(frames_of_counts: list[Frame], words: str) -> None:
    planes = [{**plane(i), **count} for i, count in enumerate(frames_of_counts)]
    told = acquired(planes)
    assert str(decide(told, QUIET, told.last_arrival + 5)).endswith(f"; {words}")


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) + len(ENHANCED_TABLE) >= 40


@pytest.mark.parametrize("name", TABLE)
def test_verdict_and_witness(name: str) -> None:
    stored, silent_s, expected = TABLE[name]
    evidence = decide(stored, QUIET, stored.last_arrival + silent_s)
    assert (evidence and (evidence.witness, evidence.fault)) == expected


@pytest.mark.parametrize("length", range(1, 181))
def test_no_prefix_is_complete_while_its_association_is_open(length: int) -> None:
    prefix = acquired(stack(length, ImagesInAcquisition=181), **OPEN)
    assert decide(prefix, QUIET, prefix.last_arrival + 3) is None


def test_the_count_is_only_believed_of_a_source_that_is_trusted() -> None:
    counted = acquired(stack(20, **COUNTED), **OPEN)
    assert decide(counted, replace(QUIET, counts=()), counted.last_arrival) is None


def test_a_hole_that_the_archive_has_too_is_told_and_left_to_the_card() -> None:
    holed = acquired(stack(20, skip=[9]), listed=listed(19))
    evidence = decide(holed, QUIET, holed.last_arrival + 120)
    assert evidence is not None
    assert evidence.fault is None
    assert str(evidence).startswith("19 of 19; PACS list equal twice; about 1 slice(s) missing")
