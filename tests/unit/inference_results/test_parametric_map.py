"""A saliency map as `build` writes it, read back by pydicom and highdicom."""

import io
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread

from inference.findings import Saliency
from inference.results.gate import check
from inference.results.objects import Kind, ResultObjects
from inference.results.parametric_map import parametric_map
from inference.results.profile import Profile
from inference.results.set import build
from tests.unit.inference_results.explained import TWO, explained, explained_two, saliency
from tests.unit.inference_results.studies import (
    BRAIN,
    LESION,
    REQUEST,
    Study,
    enhanced,
    result_on,
)

PROFILE = Profile(name="with a map")


def read(objects: ResultObjects, kind: Kind) -> Dataset:
    return dcmread(io.BytesIO(next(item.encoded for item in objects if item.kind is kind)))


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_highdicom_reads_each_value_in_its_place(tmp_path: Path, plane: str) -> None:
    study = Study(plane=plane, segments=(BRAIN, LESION))
    result = explained(study.result(tmp_path), LESION.label)
    objects = build(result, REQUEST, PROFILE)
    check(objects, result.series)
    read_map = hd.pm.ParametricMap.from_dataset(read(objects, Kind.PM))
    volume = read_map.get_volume(apply_real_world_transform=True)
    # highdicom orders slices its own way: places are compared, not indices
    into = np.linalg.inv(volume.affine) @ result.series.affine
    found = into @ np.vstack([
        np.indices(study.shape).reshape(3, -1),
        np.ones(np.prod(study.shape)),
    ])
    nearest = np.rint(found[:3]).astype(int)
    assert np.abs(found[:3] - nearest).max() < 1e-3
    values = volume.array[tuple(nearest)].reshape(study.shape)
    np.testing.assert_array_equal(values, saliency(study.shape))


def test_values_say_what_they_mean(tmp_path: Path) -> None:
    dataset = read(build(explained_two(tmp_path), REQUEST, PROFILE), Kind.PM)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    (mapping,) = shared.RealWorldValueMappingSequence
    quantity = mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0]
    assert (quantity.CodeValue, quantity.CodingSchemeDesignator) == ("130401", "DCM")
    unit = mapping.MeasurementUnitsCodeSequence[0]
    assert (unit.CodeValue, unit.CodingSchemeDesignator) == ("1", "UCUM")
    assert mapping.LUTExplanation == "Visual explanation: Lesion"
    assert dataset.ContentQualification == "RESEARCH"
    assert dataset.ContentCreatorName == ""
    measures = shared.PixelMeasuresSequence[0]
    assert (measures.SliceThickness, measures.SpacingBetweenSlices) == (2.0, 2.0)
    assert dataset.Modality == "OT"
    assert dataset.SeriesNumber == REQUEST.first_series_number + 2
    assert dataset.SeriesDescription == "AI BrainExtr 1.0.2 PM (unreviewed)"


def test_the_window_shows_the_whole_range_and_no_more(tmp_path: Path) -> None:
    dataset = read(build(explained_two(tmp_path), REQUEST, PROFILE), Kind.PM)
    window = dataset.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence[0]
    low = float(window.WindowCenter) - 0.5 - (float(window.WindowWidth) - 1) / 2
    assert (low, low + float(window.WindowWidth) - 1) == (0, 1)


def test_every_slice_has_its_frame_ascending_along_the_normal(tmp_path: Path) -> None:
    result = explained_two(tmp_path)
    dataset = read(build(result, REQUEST, PROFILE), Kind.PM)
    frames = dataset.PerFrameFunctionalGroupsSequence
    named = [
        str(item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID)
        for item in frames
    ]
    assert named == [str(header.SOPInstanceUID) for header in result.series.headers]
    heights = [
        np.dot(item.PlanePositionSequence[0].ImagePositionPatient, result.series.stack.normal)
        for item in frames
    ]
    assert heights == sorted(heights)


def test_frames_of_an_enhanced_source_are_named_by_their_number(tmp_path: Path) -> None:
    result = explained(
        result_on(enhanced(TWO, tmp_path), TWO, TWO.mask()), LESION.label, BRAIN.label
    )
    objects = build(result, REQUEST, PROFILE)
    check(objects, result.series)
    numbers = [
        item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        for item in read(objects, Kind.PM).PerFrameFunctionalGroupsSequence
    ]
    assert numbers == [number for _, number in result.series.frames]


def test_the_same_map_has_the_same_bytes_and_another_one_another_name(tmp_path: Path) -> None:
    result = explained_two(tmp_path)
    values = saliency(result.series.shape)
    values[3, 4, 5] = 0.25
    assert result.saliency is not None
    other = replace(result, saliency=replace(result.saliency, values=values))
    later = replace(REQUEST, created=REQUEST.created + timedelta(seconds=1))
    made = [
        parametric_map(one, request, PROFILE)
        for one, request in (
            (result, REQUEST),
            (result, REQUEST),
            (other, REQUEST),
            (result, later),
        )
    ]
    assert made[0] is not None
    assert made[1] is not None
    assert made[0].encoded == made[1].encoded
    assert len({one.sop_instance_uid for one in made if one is not None}) == 3
    assert len({one.series_instance_uid for one in made if one is not None}) == 1


def test_a_result_without_a_map_and_a_profile_without_one_have_none(tmp_path: Path) -> None:
    result = explained_two(tmp_path)
    assert parametric_map(replace(result, saliency=None), REQUEST, PROFILE) is None
    without = replace(PROFILE, parametric_map=False)
    assert parametric_map(result, REQUEST, without) is None
    report = read(build(result, REQUEST, without), Kind.SR)
    assert list(_explanations(report)) == []


def test_both_groups_of_the_explained_finding_name_the_map_and_no_others(tmp_path: Path) -> None:
    result = explained_two(tmp_path)
    objects = build(result, REQUEST, PROFILE)
    report = read(objects, Kind.SR)
    map_uid = next(item.sop_instance_uid for item in objects if item.kind is Kind.PM)
    lesion = result.findings[1].tracking_uid
    assert list(_explanations(report)) == [(lesion, map_uid), (lesion, map_uid)]
    evidence = {
        str(instance.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    assert map_uid in evidence


def test_the_map_is_held_once_in_the_file_and_never_copied_else(tmp_path: Path) -> None:
    result = explained_two(tmp_path)
    large = np.zeros((result.series.shape[0], 1200, 1000), np.float32)
    planes = tuple(replace(p, rows=1200, columns=1000) for p in result.series.planes)
    grown = replace(
        result,
        series=replace(result.series, planes=planes),
        saliency=Saliency(values=large, explains=(result.findings[1].tracking_uid,)),
    )
    parametric_map(result, REQUEST, PROFILE)  # what is imported late is not counted
    tracemalloc.start()
    made = parametric_map(grown, REQUEST, PROFILE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made is not None
    assert len(made.encoded) > large.nbytes
    assert peak < 1.4 * large.nbytes


def _explanations(item: Dataset, uid: str = "") -> Iterator[tuple[str, str]]:
    members = item.get("ContentSequence") or []
    own = next((str(i.UID) for i in members if i.ValueType == "UIDREF" and _is(i, "112040")), uid)
    for child in members:
        if child.ValueType == "IMAGE" and _is(child, "130401"):
            yield own, str(child.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        yield from _explanations(child, own)


def _is(item: Dataset, code: str) -> bool:
    named = item.get("ConceptNameCodeSequence")  # an image of the library has none
    return bool(named) and bool(named[0].CodeValue == code)
