"""Each rule of the gate refuses an object that breaks it, and names the rule."""

import io
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation
from pydicom.encaps import encapsulate, generate_frames

from inference.errors import GateRefused
from inference.results import examined, headers
from inference.results.gate import check
from inference.results.objects import Kind, ResultObjects
from inference.results.part10 import encode
from inference.results.profile import PROFILES, Profile, Segments
from inference.results.run_lengths import compressed
from inference.results.set import build
from inference.uids import derived_uid
from inference.volume import Series, read_series
from tests.unit.inference_results.studies import BRAIN, LESION, REQUEST, Study, enhanced, result_on

Change = Callable[[Dataset], object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ResultObjects, Series]:
    result = Study(segments=(BRAIN, LESION)).result(tmp_path_factory.mktemp("source"))
    return build(result, REQUEST), result.series


@pytest.fixture(scope="module")
def made_as_label_map(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[ResultObjects, Series]:
    result = Study(segments=(BRAIN, LESION)).result(tmp_path_factory.mktemp("source"))
    return build(result, REQUEST, PROFILES["labelmap"]), result.series


def test_what_was_built_passes(made: tuple[ResultObjects, Series]) -> None:
    check(*made)


def test_what_was_built_on_an_enhanced_source_passes(tmp_path: Path) -> None:
    study = Study(shape=(6, 48, 40))
    mask = np.zeros(study.shape, np.uint8)
    mask[2:4, 5:30, 6:20] = 1
    result = result_on(enhanced(study, tmp_path), study, mask)
    check(build(result, REQUEST), result.series)


@pytest.mark.parametrize("form", [Segments.BINARY, Segments.LABELMAP])
@pytest.mark.parametrize("every_frame", [False, True])
def test_every_form_of_a_segmentation_passes(
    tmp_path: Path, form: Segments, every_frame: bool
) -> None:
    profile = Profile(name="tried", segments=form, every_frame=every_frame)
    for shape in ((12, 48, 40), (12, 47, 39)):
        result = Study(shape=shape, segments=(BRAIN, LESION)).result(tmp_path / str(shape[1]))
        check(build(result, REQUEST, profile), result.series)


def _set(keyword: str, value: object) -> Change:
    return lambda dataset: setattr(dataset, keyword, value)


def _drop(keyword: str) -> Change:
    return lambda dataset: delattr(dataset, keyword)


def _shared(dataset: Dataset) -> Dataset:
    item: Dataset = dataset.SharedFunctionalGroupsSequence[0]
    return item


def _frame(dataset: Dataset, index: int = 0) -> Dataset:
    item: Dataset = dataset.PerFrameFunctionalGroupsSequence[index]
    return item


def _swap_frames(dataset: Dataset) -> None:
    frames = dataset.PerFrameFunctionalGroupsSequence
    frames[0], frames[1] = frames[1], frames[0]


def _source_of(dataset: Dataset) -> Dataset:
    item: Dataset = _frame(dataset).DerivationImageSequence[0].SourceImageSequence[0]
    return item


def _move(dataset: Dataset) -> None:
    position = _frame(dataset).PlanePositionSequence[0].ImagePositionPatient
    position[2] = float(position[2]) + 0.5


def _empty_frame(dataset: Dataset) -> None:
    octets = dataset.Rows * dataset.Columns // 8
    dataset.PixelData = bytes(octets) + dataset.PixelData[octets:]


def _fragments(change: Callable[[list[bytes]], list[bytes]]) -> Change:
    def refragment(dataset: Dataset) -> None:
        frames = list(generate_frames(dataset.PixelData, number_of_frames=dataset.NumberOfFrames))
        dataset.PixelData = encapsulate(change(frames))

    return refragment


def _all_background(frames: list[bytes]) -> list[bytes]:
    return [compressed(np.zeros((48, 40), np.uint8)), *frames[1:]]


def _identify(dataset: Dataset) -> None:
    item = Dataset()
    item.ReferencedSegmentNumber = 1
    _frame(dataset).SegmentIdentificationSequence = [item]


def _groups(report: Dataset) -> list[Dataset]:
    measurements = next(i for i in report.ContentSequence if _concept(i) == "126010")
    return list(measurements.ContentSequence)


def _concept(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def _without(group: int, concept: str) -> Change:
    def change(report: Dataset) -> None:
        found = _groups(report)[group]
        found.ContentSequence = [i for i in found.ContentSequence if _concept(i) != concept]

    return change


def _in_group(group: int, concept: str, change: Change) -> Change:
    return lambda report: change(
        next(i for i in _groups(report)[group].ContentSequence if _concept(i) == concept)
    )


def _value_twice(report: Dataset) -> None:
    volumetric, planar = _groups(report)[:2]
    planar.ContentSequence.append(
        next(i for i in volumetric.ContentSequence if i.ValueType == "NUM")
    )


def _private_code(dataset: Dataset) -> None:
    dataset.ContributingEquipmentSequence[0].PurposeOfReferenceCodeSequence[
        0
    ].CodingSchemeDesignator = "99MODEL"


def _forget_evidence(report: Dataset) -> None:
    series = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    for item in series:
        item.ReferencedSOPSequence = item.ReferencedSOPSequence[:1]


SEG_RULES = [
    ("PatientID is not", _set("PatientID", "PHANTOM-2")),
    ("IssuerOfPatientID is not", _drop("IssuerOfPatientID")),
    ("PatientName is not", _set("PatientName", "Phantom^Sphere=球^体")),
    ("PatientBirthDate is not", _set("PatientBirthDate", "19700102")),
    ("PatientSex is not", _set("PatientSex", "")),
    ("StudyInstanceUID is not", _set("StudyInstanceUID", "1.2.3")),
    ("AccessionNumber is not", _set("AccessionNumber", "")),
    ("Specific Character Set", _set("SpecificCharacterSet", "ISO_IR 100")),
    ("Content Qualification", _drop("ContentQualification")),
    ("Series Description", _set("SeriesDescription", "Brain")),
    ("99MODEL is not declared", _private_code),
    ("names the model", lambda d: delattr(d.ContributingEquipmentSequence[0], "DeviceUID")),
    ("holds no valid UID", _set("FrameOfReferenceUID", "1.02.3")),
    ("file's name", lambda d: setattr(d.file_meta, "MediaStorageSOPInstanceUID", "1.2.3")),
    (
        "neither of the source nor",
        lambda d: setattr(_source_of(d), "ReferencedSOPInstanceUID", "1.2.3"),
    ),
    ("another SOP class", lambda d: setattr(_source_of(d), "ReferencedSOPClassUID", "1.2.3")),
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
    (
        "distance of the slices",
        lambda d: setattr(_shared(d).PixelMeasuresSequence[0], "SpacingBetweenSlices", 1),
    ),
    (
        "distance of the slices",
        lambda d: delattr(_shared(d).PixelMeasuresSequence[0], "SpacingBetweenSlices"),
    ),
    ("1 frames do not lie", _move),
    ("do not ascend", _swap_frames),
    ("1 frames are empty", _empty_frame),
    ("differ in number", lambda d: setattr(d, "PixelData", d.PixelData[:-2])),
    ("not numbered", lambda d: setattr(d.SegmentSequence[0], "SegmentNumber", 7)),
    (
        "which algorithm",
        lambda d: delattr(d.SegmentSequence[0], "SegmentationAlgorithmIdentificationSequence"),
    ),
    ("colour", lambda d: delattr(d.SegmentSequence[1], "RecommendedDisplayCIELabValue")),
    ("Tracking UID", lambda d: delattr(d.SegmentSequence[1], "TrackingUID")),
    (
        "that is not described",
        lambda d: setattr(_frame(d).SegmentIdentificationSequence[0], "ReferencedSegmentNumber", 3),
    ),
]

LABEL_MAP_RULES = [
    ("Rows and Columns", _set("Rows", 60)),
    ("Pixel Padding Value", _set("PixelPaddingValue", 1)),
    ("not the background", lambda d: setattr(d, "SegmentSequence", d.SegmentSequence[1:])),
    ("not numbered", lambda d: setattr(d.SegmentSequence[1], "SegmentNumber", 7)),
    ("colour", lambda d: delattr(d.SegmentSequence[2], "RecommendedDisplayCIELabValue")),
    ("Tracking UID", lambda d: delattr(d.SegmentSequence[1], "TrackingUID")),
    ("do not ascend", _swap_frames),
    ("1 frames do not lie", _move),
    ("frame belongs to a segment", _identify),
    (
        "pixel belongs to a segment",
        lambda d: setattr(d, "SegmentSequence", d.SegmentSequence[:2]),
    ),
    ("1 frames are empty", _fragments(_all_background)),
    ("differ in number", _fragments(lambda frames: frames[:-1])),
    ("differ in number", _set("NumberOfFrames", 1)),
]

SR_RULES = [
    ("PatientID is not", _set("PatientID", "PHANTOM-2")),
    ("root is not", lambda d: setattr(d.ConceptNameCodeSequence[0], "CodeValue", "126001")),
    ("UNVERIFIED", _set("VerificationFlag", "VERIFIED")),
    ("PRELIMINARY", _drop("PreliminaryFlag")),
    ("1 measurement groups have no Tracking UID", _without(1, "112040")),
    ("1 volumetric groups have no planar companion", _without(1, "111030")),
    ("1 volumetric groups", _in_group(1, "112040", _set("UID", "1.2.3"))),
    ("stand more than once", _value_twice),
    (
        "segment that does not exist",
        _in_group(
            0,
            "121191",
            lambda i: setattr(i.ReferencedSOPSequence[0], "ReferencedSegmentNumber", 3),
        ),
    ),
    (
        "differ in Tracking UID",
        _in_group(
            0,
            "121191",
            lambda i: setattr(i.ReferencedSOPSequence[0], "ReferencedSegmentNumber", 2),
        ),
    ),
    (
        "leaves its image",
        _in_group(1, "111030", _set("GraphicData", [0.0, 0.0, 90.0, 9.0, 0.0, 0.0])),
    ),
    (
        "not closed",
        _in_group(1, "111030", _set("GraphicData", [0.0, 0.0, 9.0, 9.0, 0.0, 9.0])),
    ),
    ("not in the evidence", _forget_evidence),
]

RULES = [(Kind.SEG, *rule) for rule in SEG_RULES] + [(Kind.SR, *rule) for rule in SR_RULES]


@pytest.mark.parametrize(("kind", "fault", "change"), RULES, ids=[f"{k}-{f}" for k, f, _ in RULES])
def test_a_tampered_object_is_refused(
    made: tuple[ResultObjects, Series], kind: Kind, fault: str, change: Change
) -> None:
    objects, series = made
    with pytest.raises(GateRefused) as refused:
        check(_tampered(objects, kind, change), series)
    assert any(fault in told for told in refused.value.faults)


@pytest.mark.parametrize(
    ("fault", "change"), LABEL_MAP_RULES, ids=[fault for fault, _ in LABEL_MAP_RULES]
)
def test_a_tampered_label_map_is_refused(
    made_as_label_map: tuple[ResultObjects, Series], fault: str, change: Change
) -> None:
    objects, series = made_as_label_map
    with pytest.raises(GateRefused) as refused:
        check(_tampered(objects, Kind.SEG, change), series)
    assert any(fault in told for told in refused.value.faults)


def test_a_name_that_lost_characters_is_refused(tmp_path: Path) -> None:
    result = Study(header={"PatientName": "M\ufffdller^Anna"}).result(tmp_path)
    with pytest.raises(GateRefused, match="PatientName lost characters"):
        check(build(result, REQUEST), result.series)


def test_a_source_of_two_patients_is_refused(made: tuple[ResultObjects, Series]) -> None:
    objects, series = made
    other = Dataset()
    other.update(series.headers[-1])
    other.PatientBirthDate = "19991231"
    mixed = replace(series, headers=(*series.headers[:-1], other))
    with pytest.raises(GateRefused, match="instances differ in PatientBirthDate"):
        check(objects, mixed)


def test_one_patient_in_two_character_sets_is_one(tmp_path: Path) -> None:
    result = Study(header={"PatientName": "Müller^Änne"}).result(tmp_path)
    last = dcmread(result.series.paths[-1])
    last.SpecificCharacterSet = "ISO_IR 100"
    last.save_as(result.series.paths[-1])
    series = read_series(result.series.paths)
    assert series.headers[0].get_item("PatientName") != series.headers[-1].get_item("PatientName")
    check(build(result, REQUEST), series)


def test_an_identity_is_decoded_once_where_it_is_written_alike(
    made: tuple[ResultObjects, Series], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Dataset] = []

    def counted(header: Dataset, keywords: Iterable[str]) -> Dataset:
        decoded.append(header)
        return headers.decoded(header, keywords)

    monkeypatch.setattr(examined, "decoded", counted)
    check(*made)
    assert len(decoded) == 1


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("exactly one SR, not 0", lambda objects: objects[:1]),
        ("exactly one SR, not 2", lambda objects: (*objects, objects[1])),
        ("segment that does not exist", lambda objects: objects[1:]),
        ("share a series", lambda objects: _in_series(objects, objects[1].series_instance_uid)),
        ("share a Series Number", lambda objects: _tampered(objects, Kind.SEG, _ninth)),
    ],
)
def test_a_wrong_set_is_refused(
    made: tuple[ResultObjects, Series],
    fault: str,
    change: Callable[[ResultObjects], ResultObjects],
) -> None:
    objects, series = made
    with pytest.raises(GateRefused, match=fault):
        check(change(objects), series)


def test_an_object_in_its_sources_series_is_refused(made: tuple[ResultObjects, Series]) -> None:
    objects, series = made
    with pytest.raises(GateRefused, match="series of its source"):
        check(_in_series(objects, str(series.headers[0].SeriesInstanceUID)), series)


def test_no_fault_tells_who_the_patient_is(made: tuple[ResultObjects, Series]) -> None:
    objects, series = made
    for keyword in ("PatientID", "PatientName", "AccessionNumber", "IssuerOfPatientID"):
        with pytest.raises(GateRefused) as refused:
            check(_tampered(objects, Kind.SR, _set(keyword, "NOBODY")), series)
        message = str(refused.value).upper()
        assert not any(known in message for known in ("NOBODY", "PHANTOM", "SPHERE"))


def _ninth(dataset: Dataset) -> None:
    dataset.SeriesNumber = 9001


def _in_series(objects: ResultObjects, uid: str) -> ResultObjects:
    return _tampered(objects, Kind.SEG, _set("SeriesInstanceUID", uid))


def _tampered(objects: ResultObjects, kind: Kind, change: Change) -> ResultObjects:
    changed = []
    with disable_value_validation():
        for item in objects:
            dataset = dcmread(io.BytesIO(item.encoded))
            if item.kind is kind:
                change(dataset)
            meta_uid = dataset.file_meta.MediaStorageSOPInstanceUID
            encoded = encode(dataset)
            if meta_uid != dataset.SOPInstanceUID:
                encoded = _with_meta_uid(encoded, dataset, meta_uid)
            changed.append(replace(item, encoded=encoded))
    return tuple(changed)


def _with_meta_uid(encoded: bytes, dataset: Dataset, uid: str) -> bytes:
    """Put another name into the file's header, which pydicom itself refuses to write."""
    right = str(dataset.SOPInstanceUID)
    other = derived_uid("other", uid).ljust(len(right), "0")[: len(right)]
    return encoded.replace(right.encode(), other.encode(), 1)
