"""The report on findings of every kind, by every profile."""

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread

from inference.card import Segment
from inference.codes import Code
from inference.context import Context, ContextValue
from inference.errors import GateRefused
from inference.findings import Result, Saliency
from inference.results.document import COMPREHENSIVE_3D_SR, COMPREHENSIVE_SR, ENHANCED_SR
from inference.results.gate import check
from inference.results.objects import Kind, Predecessor, ResultObjects
from inference.results.profile import (
    Coordinates,
    Profile,
    ReportClass,
    Segments,
)
from inference.results.report import report
from inference.results.set import build
from inference.results.tree import children, graphics, groups, items, member, name, tracking_uid
from inference.volume import Series
from tests.unit.inference_results.studies import (
    BRAIN,
    COMPARED,
    LESION,
    NODULE,
    REQUEST,
    Study,
    enhanced,
    result_on,
    with_everything,
)

PLAIN = Profile(name="plain")
GROUPS = Profile(name="groups", groups_without_regions=True)
IN_SPACE = Profile(name="in space", coordinates=Coordinates.SCOORD3D)
WITHOUT_SEGMENTS = Profile(
    name="without segments", segments=Segments.NONE, report=ReportClass.ENHANCED
)
PREDECESSOR = Predecessor(
    sop_class_uid=COMPREHENSIVE_3D_SR,
    sop_instance_uid="2.25.9001",
    series_instance_uid="2.25.9002",
    study_instance_uid="",
)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Result:
    study = Study(segments=(BRAIN, LESION))
    return with_everything(study.result(tmp_path_factory.mktemp("source")))


def reported(objects: ResultObjects) -> Dataset:
    return dcmread(io.BytesIO(objects[-1].encoded))


def value(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeValue)


def numbers(item: Dataset) -> dict[str, float]:
    return {
        name(one): float(one.MeasuredValueSequence[0].FloatingPointValue)
        for one in children(item)
        if one.ValueType == "NUM"
    }


def evaluated(document: Dataset) -> Iterator[Dataset]:
    found = member(document, "C0034375")
    assert found is not None
    yield from children(found)


@pytest.mark.parametrize("profile", [PLAIN, GROUPS, IN_SPACE, WITHOUT_SEGMENTS])
def test_findings_of_every_kind_pass_the_gate(everything: Result, profile: Profile) -> None:
    check(build(everything, REQUEST, profile), everything.series, profile)


@pytest.mark.parametrize(
    ("form", "sop_class_uid"),
    [
        (ReportClass.COMPREHENSIVE_3D, COMPREHENSIVE_3D_SR),
        (ReportClass.COMPREHENSIVE, COMPREHENSIVE_SR),
        (ReportClass.ENHANCED, ENHANCED_SR),
    ],
)
def test_a_profile_chooses_the_class(
    everything: Result, form: ReportClass, sop_class_uid: str
) -> None:
    profile = Profile(name="one", report=form, coordinates=Coordinates.SCOORD3D)
    document = reported(build(everything, REQUEST, profile))
    assert document.SOPClassUID == sop_class_uid
    drawn = {one.ValueType for group in groups(document) for one in graphics(group)}
    in_space = form is ReportClass.COMPREHENSIVE_3D
    assert drawn == ({"SCOORD3D"} if in_space else {"SCOORD"})


def test_every_place_is_a_group_of_its_own(everything: Result) -> None:
    document = reported(build(everything, REQUEST, PLAIN))
    found = [group for group in groups(document) if value_of(group, "121071") == NODULE.type.value]
    assert len({tracking_uid(group) for group in found}) == 3
    drawn = [(one.GraphicType, len(one.GraphicData) // 2) for g in found for one in graphics(g)]
    assert drawn == [("POLYLINE", 5), ("POINT", 1), ("POLYLINE", 2)]
    probability, threshold, longest = "122157", "threshold", "103339001"
    assert [numbers(group) for group in found] == [
        {probability: 0.75, threshold: 0.25},
        {probability: 0.75, threshold: 0.25},
        {longest: 14.2, probability: 0.75, threshold: 0.25},
    ]
    site = member(found[0], "363698007")
    assert site is not None
    assert [value(one) for one in children(site)] == ["7771000"]


def value_of(group: Dataset, concept: str) -> str | None:
    item = member(group, concept)
    return None if item is None else value(item)


@pytest.mark.parametrize(
    ("score", "answer"), [(0.83, "52101004"), (0.4, "82334004"), (0.1, "272519000")]
)
@pytest.mark.parametrize("profile", [PLAIN, GROUPS])
def test_an_answer_has_its_score_and_the_threshold_that_it_was_held_against(
    everything: Result, profile: Profile, score: float, answer: str
) -> None:
    result = with_everything(everything, score=score)
    document = reported(build(result, REQUEST, profile))
    (code,) = (item for item in items(document) if name(item) == "50960005")
    assert value(code) == answer
    holders = [group for group in groups(document) if code in children(group)]
    assert len(holders) == (1 if profile.groups_without_regions else 0)
    holder = holders[0] if holders else code
    assert numbers(holder) == {"ich-score": score, "threshold": 0.5}
    assert member(holder, "121071") is None  # readers take a Finding for something that is there


@pytest.mark.parametrize("profile", [PLAIN, GROUPS])
def test_a_number_of_the_whole_series_has_its_derivation(
    everything: Result, profile: Profile
) -> None:
    document = reported(build(everything, REQUEST, profile))
    (number,) = (item for item in items(document) if name(item) == "118560001")
    assert float(number.MeasuredValueSequence[0].NumericValue) == 2.51
    assert [(name(one), value(one)) for one in children(number)] == [("121401", "373098007")]
    assert (number in list(evaluated(document))) is not profile.groups_without_regions


def test_private_schemes_are_declared_with_whose_they_are(everything: Result) -> None:
    document = reported(build(everything, REQUEST, PLAIN))
    assert {
        str(item.CodingSchemeDesignator): str(item.CodingSchemeResponsibleOrganization)
        for item in document.CodingSchemeIdentificationSequence
    } == {"99OVERREAD": "Overread", "99PHANTOM": "Overread Phantoms"}


def test_what_was_looked_for_in_vain_is_absent(everything: Result) -> None:
    document = reported(build(replace(everything, detections=()), REQUEST, PLAIN))
    absent = [name(one) for one in evaluated(document) if one.ValueType == "CODE"]
    assert absent[0] == NODULE.type.value


def test_numbers_say_how_they_were_derived(everything: Result) -> None:
    document = reported(build(everything, REQUEST, PLAIN))
    whole, planar, *_ = groups(document)
    modifiers = [
        [(name(one), value(one)) for one in children(item)]
        for group in (whole, planar)
        for item in children(group)
        if item.ValueType == "NUM"
    ]
    assert modifiers == [[("370129005", "126030")], [], [("121401", "56851009")]]


@pytest.mark.parametrize("tilt_degrees", [0.0, 20.0])
def test_points_in_the_patient_are_those_on_the_image(tmp_path: Path, tilt_degrees: float) -> None:
    study = Study(plane="sagittal", tilt_degrees=tilt_degrees, segments=(BRAIN, LESION))
    result = with_everything(study.result(tmp_path))
    flat = drawn_points(reported(build(result, REQUEST, PLAIN)), result.series)
    placed = drawn_points(reported(build(result, REQUEST, IN_SPACE)), result.series)
    for uid, points in flat.items():
        np.testing.assert_allclose(placed[uid], points, atol=1e-3)
    assert len(flat) == 5
    document = reported(build(result, REQUEST, IN_SPACE))
    types = [one.GraphicType for group in groups(document) for one in graphics(group)]
    assert types == ["POLYGON", "POLYGON", "POLYGON", "POINT", "POLYLINE"]


def drawn_points(document: Dataset, series: Series) -> dict[str | None, np.ndarray]:  # type: ignore[type-arg]
    """Return what each tracked group draws, in the patient, computed with the series' affine alone."""
    uids = [str(header.SOPInstanceUID) for header in series.headers]
    found = {}
    for group in groups(document):
        for item in graphics(group):
            data = np.array([float(v) for v in item.GraphicData])
            if item.ValueType == "SCOORD3D":
                found[tracking_uid(group)] = data.reshape(-1, 3)
                continue
            columns, rows = data.reshape(-1, 2).T - 0.5
            image = item.ContentSequence[0].ReferencedSOPSequence[0]
            index = np.full(len(rows), uids.index(image.ReferencedSOPInstanceUID))
            indices = np.vstack([index, rows, columns, np.ones(len(rows))])
            found[tracking_uid(group)] = (series.affine @ indices)[:3].T
    return found


@pytest.mark.parametrize("profile", [GROUPS, IN_SPACE])
def test_highdicom_reads_every_group(everything: Result, profile: Profile) -> None:
    encoded = build(everything, REQUEST, profile)[-1].encoded
    tree = hd.sr.srread(io.BytesIO(encoded)).content
    planar = tree.get_planar_roi_measurement_groups()
    assert len(planar) == 2 + len(everything.detections)
    assert len(tree.get_volumetric_roi_measurement_groups()) == 2
    others = tree.get_image_measurement_groups()
    assert len(others) == (2 if profile.groups_without_regions else 0)
    longest = everything.detections[-1].measurements[0].value
    assert planar[-1].get_measurements()[0].value == longest


def test_without_segments_the_values_of_the_whole_stay(everything: Result) -> None:
    objects = build(everything, REQUEST, WITHOUT_SEGMENTS)
    assert [item.kind for item in objects] == [Kind.SR]
    document = reported(objects)
    whole = next(groups(document))
    assert set(numbers(whole)) == {"118565006"}
    assert member(whole, "121191") is None
    assert whole.ContentTemplateSequence[0].TemplateIdentifier == "1501"


def test_a_map_is_referenced_by_what_it_explains(everything: Result) -> None:
    lesion = everything.findings[1].tracking_uid
    explained = replace(
        everything,
        saliency=Saliency(values=np.zeros((1, 1, 1), np.float32), explains=(lesion,)),
    )
    of = everything.series.headers[0]
    parametric_map = Dataset()
    parametric_map.SOPClassUID = "1.2.840.10008.5.1.4.1.1.30"
    parametric_map.SOPInstanceUID = "2.25.4711"
    parametric_map.SeriesInstanceUID = "2.25.4712"
    parametric_map.StudyInstanceUID = of.StudyInstanceUID
    made = report(explained, REQUEST, None, parametric_map, PLAIN)
    document = dcmread(io.BytesIO(made.encoded))
    told = {
        tracking_uid(group): one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for group in groups(document)
        if (one := member(group, "130401")) is not None
    }
    assert told == {lesion: "2.25.4711"}
    series = document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert "2.25.4712" in [item.SeriesInstanceUID for item in series]


def test_a_report_names_what_it_takes_the_place_of(everything: Result) -> None:
    study_uid = str(everything.series.headers[0].StudyInstanceUID)
    former = replace(PREDECESSOR, study_instance_uid=study_uid)
    objects = build(everything, replace(REQUEST, predecessors=(former,)), PLAIN)
    check(objects, everything.series, PLAIN)
    (study,) = reported(objects).PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (item,) = series.ReferencedSOPSequence
    assert study.StudyInstanceUID == study_uid
    assert series.SeriesInstanceUID == former.series_instance_uid
    assert item.ReferencedSOPInstanceUID == former.sop_instance_uid
    assert item.ReferencedSOPClassUID == former.sop_class_uid


def test_a_predecessor_of_another_study_is_refused(everything: Result) -> None:
    former = replace(PREDECESSOR, study_instance_uid="2.25.1")
    objects = build(everything, replace(REQUEST, predecessors=(former,)), PLAIN)
    with pytest.raises(GateRefused, match="predecessor is of another study"):
        check(objects, everything.series, PLAIN)


CREATININE = Context(
    values={
        "creatinine": ContextValue(
            concept=Code("2160-0", "LN", "Creatinine"),
            value=1.4,
            unit=Code("mg/dL", "UCUM", "mg/dL"),
            source="Observation/7/_history/1",
            effective="2026-10-14",
        )
    }
)


@pytest.mark.parametrize("needed", [False, True])
@pytest.mark.parametrize("allowed", [False, True])
def test_a_laboratory_value_is_told_where_it_is_needed_and_allowed(
    everything: Result, needed: bool, allowed: bool
) -> None:
    card = replace(everything.card, interpreted_by=("creatinine",) if needed else ())
    result = replace(everything, context=CREATININE, card=card)
    profile = replace(PLAIN, laboratory_values=allowed)
    told = " ".join(
        one.TextValue
        for one in evaluated(reported(build(result, REQUEST, profile)))
        if one.ValueType == "TEXT"
    )
    assert "Creatinine (2160-0, LN) from Observation/7/_history/1, as of 2026-10-14" in told
    assert ("1.4 mg/dL" in told) == (needed and allowed)


def test_the_quality_gate_has_its_word(everything: Result) -> None:
    result = replace(everything, remarks=("Quality: motion artefacts in the upper slices.",))
    told = [
        one.TextValue
        for one in evaluated(reported(build(result, REQUEST, PLAIN)))
        if "TextValue" in one
    ]
    assert "Quality: motion artefacts in the upper slices." in told


def test_frames_of_an_enhanced_source_are_drawn_on(tmp_path: Path) -> None:
    study = Study(shape=(8, 48, 40), segments=(BRAIN,))
    mask = np.zeros(study.shape, np.uint8)
    mask[2:4, 5:30, 6:20] = 1
    result = with_everything(result_on(enhanced(study, tmp_path), study, mask))
    for profile in (PLAIN, IN_SPACE):
        check(build(result, REQUEST, profile), result.series, profile)


def test_a_report_of_a_hundred_findings_is_made_in_a_moment(tmp_path: Path) -> None:
    segments = tuple(
        Segment(
            number=number,
            label=f"Organ {number}",
            category=BRAIN.category,
            type=BRAIN.type,
            finding_site=LESION.finding_site,
            colour_rgb=(number, 100, 100),
        )
        for number in range(1, 101)
    )
    study = Study(shape=(102, 48, 40), segments=segments)
    mask = np.zeros(study.shape, np.uint8)
    for place in range(100):
        mask[place : place + 1, 10:20, 10:20] = place + 1
    result = study.result(tmp_path, mask=mask)
    segmentation = build(result, REQUEST, PLAIN)[0].dataset
    took = min(_timed(result, segmentation) for _ in range(5))
    print(f"{took * 1000:.0f} ms")
    assert took <= 0.3
    assert (
        len(list(groups(dcmread(io.BytesIO(report(result, REQUEST, segmentation).encoded))))) == 200
    )


def _timed(result: Result, segmentation: Dataset) -> float:
    started = time.perf_counter()
    report(result, REQUEST, segmentation)
    return time.perf_counter() - started


def test_the_same_report_again_is_the_same_bytes(everything: Result) -> None:
    later = replace(REQUEST, created=datetime(2026, 10, 15, 10, 20, 31, tzinfo=UTC))
    first, again, other = (
        build(everything, request, PLAIN)[-1] for request in (REQUEST, REQUEST, later)
    )
    assert first.encoded == again.encoded
    assert other.sop_instance_uid != first.sop_instance_uid


def test_a_report_names_the_earlier_series_that_the_model_compared_with(everything: Result) -> None:
    result = replace(everything, compared=(COMPARED,), not_compared={"older": "PRIOR-NOT-FOUND"})
    objects = build(result, REQUEST, PLAIN)
    check(objects, result.series, PLAIN)
    document = reported(objects)
    (study,) = document.PertinentOtherEvidenceSequence
    assert study.StudyInstanceUID == "2.25.9101"
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == "2.25.9102"
    named = [str(item.ReferencedSOPInstanceUID) for item in series.ReferencedSOPSequence]
    assert named == ["2.25.9103", "2.25.9104"]
    told = [str(item.get("TextValue", "")) for item in items(document)]
    assert "Compared with an earlier MR series of 2025-11-03: before." in told
    assert "Earlier study not compared: older, PRIOR-NOT-FOUND." in told


def test_what_is_of_the_study_itself_is_no_evidence_of_others(everything: Result) -> None:
    study_uid = str(everything.series.headers[0].StudyInstanceUID)
    result = replace(everything, compared=(replace(COMPARED, study_instance_uid=study_uid),))
    with pytest.raises(GateRefused, match="stands among the evidence of others"):
        check(build(result, REQUEST, PLAIN), result.series, PLAIN)
