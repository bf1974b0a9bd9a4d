"""What `build` makes, read back by pydicom and highdicom."""

import hashlib
import io
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread

from inference.results.objects import Kind, ResultObjects, ResultRequest
from inference.results.part10 import encode
from inference.results.profile import PROFILES
from inference.results.set import build, write
from tests.unit.inference_results.studies import (
    BRAIN,
    LESION,
    REQUEST,
    Study,
    enhanced,
    result_on,
    without,
)

TWO = (BRAIN, LESION)


def read(objects: ResultObjects, kind: Kind) -> Dataset:
    encoded = next(item.encoded for item in objects if item.kind is kind)
    return dcmread(io.BytesIO(encoded))


def test_the_same_result_at_the_same_moment_gives_the_same_bytes(tmp_path: Path) -> None:
    result = Study().result(tmp_path)
    first, second = build(result, REQUEST), build(result, REQUEST)
    assert [item.encoded for item in first] == [item.encoded for item in second]
    assert [item.kind for item in first] == [Kind.SEG, Kind.SR]


@pytest.mark.parametrize("name", ["Phantom^Sphere", "Müller^Änne=山田^太郎"])
def test_a_report_is_written_as_its_dataset_says(tmp_path: Path, name: str) -> None:
    objects = build(Study(header={"PatientName": name}).result(tmp_path), REQUEST)
    report = objects[-1]
    assert report.encoded == encode(report.dataset)
    assert read(objects, Kind.SR).PatientName == name


@pytest.mark.parametrize("profile", ["generic-pacs", "labelmap"])
def test_a_segmentation_is_its_dataset_and_its_pixels(tmp_path: Path, profile: str) -> None:
    header = {"PatientName": "Müller^Änne=山田^太郎"}
    objects = build(Study(header=header).result(tmp_path), REQUEST, PROFILES[profile])
    written = read(objects, Kind.SEG)
    syntax = written.file_meta.TransferSyntaxUID
    assert objects[0].transfer_syntax_uid == syntax
    assert written.PatientName == header["PatientName"]
    assert encode(written) == objects[0].encoded
    del written.PixelData
    assert encode(written) == encode(objects[0].dataset)


def test_other_content_has_other_instance_uids_in_the_same_series(tmp_path: Path) -> None:
    result = Study().result(tmp_path)
    mask = result.mask.copy()
    mask[3, 10, 10] = 0
    later = replace(REQUEST, created=REQUEST.created + timedelta(seconds=1))
    objects = [
        *build(result, REQUEST),
        *build(replace(result, mask=mask), REQUEST),
        *build(result, later),
    ]
    assert len({item.sop_instance_uid for item in objects}) == 6
    assert len({item.series_instance_uid for item in objects}) == 2


@pytest.mark.parametrize(
    ("changed", "suffix"),
    [
        (replace(REQUEST, request_number=1), "(unreviewed)"),
        (replace(REQUEST, revision=1), "(unreviewed) rev 1"),
    ],
)
def test_a_rerun_and_a_revision_are_new_series(
    tmp_path: Path, changed: ResultRequest, suffix: str
) -> None:
    result = Study().result(tmp_path)
    objects = [*build(result, REQUEST), *build(result, changed)]
    assert len({item.series_instance_uid for item in objects}) == 4
    assert objects[-1].dataset.SeriesDescription.endswith(suffix)


def test_uids_stand_under_the_root_of_the_site(tmp_path: Path) -> None:
    objects = build(Study().result(tmp_path), replace(REQUEST, uid_root="1.2.826.0.1.3680043.9"))
    for item in objects:
        assert item.sop_instance_uid.startswith("1.2.826.0.1.3680043.9.")
        assert item.series_instance_uid.startswith("1.2.826.0.1.3680043.9.")


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("shape", [(12, 48, 40), (12, 47, 39)])
def test_highdicom_reads_the_mask_as_it_was(
    tmp_path: Path, plane: str, shape: tuple[int, int, int]
) -> None:
    study = Study(shape=shape, plane=plane, segments=TWO)
    result = study.result(tmp_path)
    dataset = read(build(result, REQUEST), Kind.SEG)
    segmentation = hd.seg.Segmentation.from_dataset(dataset)
    uids = [str(header.SOPInstanceUID) for header in result.series.headers]
    pixels = segmentation.get_pixels_by_source_instance(
        uids, combine_segments=True, assert_missing_frames_are_empty=True
    )
    np.testing.assert_array_equal(pixels, result.mask)


def test_frames_ascend_along_the_normal_and_none_is_empty(tmp_path: Path) -> None:
    result = Study(segments=TWO).result(tmp_path)
    dataset = read(build(result, REQUEST), Kind.SEG)
    named = [
        (
            int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber),
            str(item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID),
        )
        for item in dataset.PerFrameFunctionalGroupsSequence
    ]
    uids = [str(header.SOPInstanceUID) for header in result.series.headers]
    assert named == [(1, uid) for uid in uids[2:7]] + [(2, uid) for uid in uids[4:9]]


def test_frames_of_an_enhanced_source_are_named_by_their_number(tmp_path: Path) -> None:
    study = Study(shape=(6, 48, 40), segments=(BRAIN,))
    mask = np.zeros(study.shape, np.uint8)
    mask[2:4, 5:30, 6:20] = 1
    result = result_on(enhanced(study, tmp_path), study, mask)
    objects = build(result, REQUEST)
    frames = [
        item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        for item in read(objects, Kind.SEG).PerFrameFunctionalGroupsSequence
    ]
    assert frames == [number for _, number in result.series.frames[2:4]]
    groups = _groups(read(objects, Kind.SR))
    region = next(item for item in groups[1].ContentSequence if item.ValueType == "SCOORD")
    selected = region.ContentSequence[0].ReferencedSOPSequence[0]
    assert selected.ReferencedFrameNumber == frames[0]


def test_the_source_stays_as_it_was(tmp_path: Path) -> None:
    study = Study()
    result = result_on(enhanced(study, tmp_path), study, study.mask())
    before = [header.to_json_dict() for header in result.series.headers]
    build(result, REQUEST)
    assert [header.to_json_dict() for header in result.series.headers] == before


def test_nothing_found_is_said_and_makes_no_segmentation(tmp_path: Path) -> None:
    result = without(Study().result(tmp_path), BRAIN.number)
    objects = build(result, REQUEST)
    assert [item.kind for item in objects] == [Kind.SR]
    items = list(_items(read(objects, Kind.SR)))
    absent = [i for i in items if i.ValueType == "CODE" and _value(i) == "272519000"]
    assert [i.ConceptNameCodeSequence[0].CodeValue for i in absent] == [BRAIN.type.value]
    assert not any(item.ValueType in {"NUM", "SCOORD"} for item in items[10:])


def test_each_value_stands_once_and_both_groups_share_the_tracking_uid(tmp_path: Path) -> None:
    result = Study(segments=TWO).result(tmp_path)
    groups = _groups(read(build(result, REQUEST), Kind.SR))
    found = [
        (
            next(i.UID for i in group.ContentSequence if i.ValueType == "UIDREF"),
            [
                (
                    i.ConceptNameCodeSequence[0].CodeMeaning,
                    float(i.MeasuredValueSequence[0].FloatingPointValue),
                )
                for i in group.ContentSequence
                if i.ValueType == "NUM"
            ],
        )
        for group in groups
    ]
    expected = []
    for finding in result.findings:
        assert finding.key_slice is not None
        area, longest = (one.value for one in finding.key_slice.measurements)
        expected.append((finding.tracking_uid, [("Volume", finding.measurements[0].value)]))
        expected.append((finding.tracking_uid, [("Area", area), ("Long axis", longest)]))
    assert found == expected


def test_the_report_tells_what_the_model_knew_of_the_patient(tmp_path: Path) -> None:
    report = read(build(Study().result(tmp_path), REQUEST), Kind.SR)
    items = list(_items(report))
    age = next(i for i in items if i.ValueType == "NUM" and _concept(i) == "121033")
    assert age.MeasuredValueSequence[0].NumericValue == 56
    assert _value(next(i for i in items if _concept(i) == "121032")) == "M"
    remarks = " ".join(i.TextValue for i in items if _concept(i) == "121106")
    assert "RESEARCH" in remarks
    assert "Subject Age (121033, DCM) from Patient/1/_history/3, as of 2026-10-15" in remarks
    assert "not used: creatinine, no value in the last 90 days" in remarks


def test_the_study_names_its_own_procedure_where_validators_know_it(tmp_path: Path) -> None:
    known, local = Dataset(), Dataset()
    known.CodeValue, known.CodingSchemeDesignator = "39632-5", "LN"
    local.CodeValue, local.CodingSchemeDesignator = "MRHEAD", "99HOSPITAL"
    known.CodeMeaning = local.CodeMeaning = "as the hospital calls it"
    told = []
    for number, code in enumerate((known, local)):
        study = Study(header={"ProcedureCodeSequence": [code]})
        report = read(build(study.result(tmp_path / str(number)), REQUEST), Kind.SR)
        told.append(_value(next(i for i in _items(report) if _concept(i) == "121058")))
    assert told == ["39632-5", "25056-3"]


def test_the_accession_is_in_the_referenced_request(tmp_path: Path) -> None:
    report = read(build(Study().result(tmp_path), REQUEST), Kind.SR)
    assert [i.AccessionNumber for i in report.ReferencedRequestSequence] == ["PHANTOM1"]


def test_what_is_written_is_what_was_made(tmp_path: Path) -> None:
    objects = build(Study().result(tmp_path / "in"), REQUEST)
    stored = write(objects, tmp_path)
    for item, made in zip(stored, objects, strict=True):
        assert item.path.read_bytes() == made.encoded
        assert item.sha256 == hashlib.sha256(made.encoded).hexdigest()
        assert dcmread(item.path).SOPInstanceUID == item.sop_instance_uid
        assert item.transfer_syntax_uid == "1.2.840.10008.1.2.1"


def _groups(report: Dataset) -> list[Dataset]:
    return [item for item in _items(report) if _concept(item) == "125007"]


def _items(item: Dataset) -> list[Dataset]:
    found = []
    for child in item.get("ContentSequence") or []:
        found += [child, *_items(child)]
    return found


def _concept(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeValue) if names else ""


def _value(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeValue)
