"""Each rule for maps and captures refuses an object that breaks it, and names the rule."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from inference.errors import GateRefused
from inference.results.gate import check
from inference.results.objects import Kind, ResultObjects
from inference.results.profile import Profile
from inference.results.set import build
from inference.volume import Series
from tests.unit.inference_results.explained import explained_two
from tests.unit.inference_results.studies import REQUEST
from tests.unit.inference_results.test_gate import (
    Change,
    _drop,
    _move,
    _set,
    _shared,
    _source_of,
    _swap_frames,
    _tampered,
)

PROFILE = Profile(name="with pictures", capture=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ResultObjects, Series]:
    result = explained_two(tmp_path_factory.mktemp("source"))
    return build(result, REQUEST, PROFILE), result.series


def _mapping(dataset: Dataset) -> Dataset:
    item: Dataset = _shared(dataset).RealWorldValueMappingSequence[0]
    return item


def _quantity(dataset: Dataset) -> Dataset:
    item: Dataset = _mapping(dataset).QuantityDefinitionSequence[0].ConceptCodeSequence[0]
    return item


def _value(value: float) -> Change:
    def change(dataset: Dataset) -> None:
        values = np.frombuffer(dataset.FloatPixelData, "<f4").copy()
        values[1234] = value
        dataset.FloatPixelData = values.tobytes()

    return change


def _without_last_frame(dataset: Dataset) -> None:
    dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:-1]
    dataset.NumberOfFrames -= 1
    dataset.FloatPixelData = dataset.FloatPixelData[: -4 * dataset.Rows * dataset.Columns]


MAP_RULES: list[tuple[str, Change]] = [
    ("PatientID is not", _set("PatientID", "PHANTOM-2")),
    ("Frame of Reference is not", _set("FrameOfReferenceUID", "1.2.3")),
    ("Referenced Series Sequence", _drop("ReferencedSeriesSequence")),
    ("Rows and Columns", _set("Rows", 60)),
    (
        "orientation is not",
        lambda d: setattr(
            _shared(d).PlaneOrientationSequence[0], "ImageOrientationPatient", [0, 1, 0, 1, 0, 0]
        ),
    ),
    (
        "pixel spacing is not",
        lambda d: setattr(_shared(d).PixelMeasuresSequence[0], "PixelSpacing", [1.2, 0.8]),
    ),
    ("1 frames do not lie", _move),
    ("do not ascend", _swap_frames),
    ("not every slice has its frame", _without_last_frame),
    ("quantity is not", lambda d: setattr(_quantity(d), "CodeValue", "113041")),
    ("quantity is not", lambda d: delattr(_mapping(d), "QuantityDefinitionSequence")),
    (
        "have a unit",
        lambda d: setattr(_mapping(d).MeasurementUnitsCodeSequence[0], "CodeValue", "mm"),
    ),
    ("no window", lambda d: delattr(_shared(d), "FrameVOILUTSequence")),
    ("differ in number", lambda d: setattr(d, "FloatPixelData", d.FloatPixelData[:-4])),
    ("between 0 and 1", _value(1.001)),
    ("between 0 and 1", _value(-0.001)),
    ("between 0 and 1", _value(float("nan"))),
    (
        "neither of the source nor",
        lambda d: setattr(_source_of(d), "ReferencedSOPInstanceUID", "1.2.3"),
    ),
]

CAPTURE_RULES: list[tuple[str, Change]] = [
    ("PatientName is not", _set("PatientName", "Phantom^Cube")),
    ("BurnedInAnnotation is not YES", _set("BurnedInAnnotation", "NO")),
    ("BurnedInAnnotation is not YES", _drop("BurnedInAnnotation")),
    ("ConversionType is not WSD", _set("ConversionType", "DI")),
    ("ImageType is not", _set("ImageType", ["ORIGINAL", "PRIMARY"])),
    ("Modality is not OT", _set("Modality", "MR")),
    ("PhotometricInterpretation is not RGB", _set("PhotometricInterpretation", "YBR_FULL")),
    ("does not say: AI", _set("ImageComments", "RESEARCH")),
    ("does not say RESEARCH", _set("ImageComments", "AI, not for primary diagnosis")),
    ("differ in number", lambda d: setattr(d, "PixelData", d.PixelData[:-2])),
    ("names the slice", lambda d: setattr(d, "SourceImageSequence", d.SourceImageSequence[:1])),
    (
        "names the slice",
        lambda d: setattr(d.SourceImageSequence[0], "ReferencedFrameNumber", 2),
    ),
]

RULES = [(Kind.PM, *rule) for rule in MAP_RULES] + [(Kind.SC, *rule) for rule in CAPTURE_RULES]


def test_what_was_built_passes(made: tuple[ResultObjects, Series]) -> None:
    check(*made)


@pytest.mark.parametrize(
    ("kind", "fault", "change"), RULES, ids=[f"{n}-{r[0]}-{r[1]}" for n, r in enumerate(RULES)]
)
def test_a_tampered_object_is_refused(
    made: tuple[ResultObjects, Series], kind: Kind, fault: str, change: Change
) -> None:
    objects, series = made
    with pytest.raises(GateRefused) as refused:
        check(_tampered(objects, kind, change), series)
    assert any(fault in told for told in refused.value.faults)


def test_a_report_that_names_a_map_which_is_not_sent_is_refused(
    made: tuple[ResultObjects, Series],
) -> None:
    objects, series = made
    without = tuple(item for item in objects if item.kind is not Kind.PM)
    with pytest.raises(GateRefused, match="neither of the source nor"):
        check(without, series)


def test_captures_of_one_series_are_pages_and_no_fault(tmp_path: Path) -> None:
    result = explained_two(tmp_path)
    objects = build(result, REQUEST, replace(PROFILE, single_frames=True))
    check(objects, result.series)
    report = next(item for item in objects if item.kind is Kind.SR)
    moved = _tampered(objects, Kind.SC, _set("SeriesInstanceUID", report.series_instance_uid))
    with pytest.raises(GateRefused, match="share a series"):
        check(moved, result.series)
