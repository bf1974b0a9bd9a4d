"""What stands beside a report: key objects, presentation state, the page, the notice."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from inference.errors import GateRefused
from inference.findings import Result
from inference.results.gate import check, check_notice
from inference.results.notice import Why, notice
from inference.results.objects import Kind, ResultObject, ResultObjects
from inference.results.part10 import encode
from inference.results.profile import Coordinates, Notice, Profile
from inference.results.set import build
from inference.results.tree import children, member, name
from tests.unit.inference_results.studies import (
    BRAIN,
    LESION,
    REQUEST,
    Study,
    enhanced,
    result_on,
    with_everything,
    without,
)

ALL = Profile(name="all", key_objects=True, presentation_state=True, summary=True)
WHY = Why(reason="MIXED-FRAME-OF-REFERENCE", detail="the inputs lie in two places")
Change = Callable[[Dataset], object]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Result:
    study = Study(segments=(BRAIN, LESION))
    return with_everything(study.result(tmp_path_factory.mktemp("source")))


@pytest.fixture(scope="module")
def made(everything: Result) -> ResultObjects:
    return build(everything, REQUEST, ALL)


def read(objects: ResultObjects, kind: Kind) -> Dataset:
    return dcmread(io.BytesIO(next(one.encoded for one in objects if one.kind is kind)))


def test_what_was_built_passes_in_the_order_of_delivery(
    made: ResultObjects, everything: Result
) -> None:
    assert [one.kind for one in made] == [Kind.SEG, Kind.KO, Kind.PR, Kind.DOC, Kind.SR]
    numbers = [int(one.dataset.SeriesNumber) for one in made]
    assert numbers == [9000, 9004, 9005, 9006, 9001]
    check(made, everything.series, ALL)


def test_only_what_a_profile_wants_is_made(everything: Result) -> None:
    plain = build(everything, REQUEST, Profile(name="plain"))
    assert [one.kind for one in plain] == [Kind.SEG, Kind.SR]


def test_the_same_result_makes_the_same_bytes(made: ResultObjects, everything: Result) -> None:
    again = build(everything, REQUEST, ALL)
    assert [one.encoded for one in again] == [one.encoded for one in made]


def test_where_nothing_was_found_there_is_nothing_to_select_or_to_draw(tmp_path: Path) -> None:
    result = without(Study().result(tmp_path), BRAIN.number)
    objects = build(result, REQUEST, ALL)
    assert [one.kind for one in objects] == [Kind.DOC, Kind.SR]
    check(objects, result.series, ALL)


def test_the_key_images_are_those_that_bear_a_mark(made: ResultObjects, everything: Result) -> None:
    document = read(made, Kind.KO)
    assert document.Modality == "KO"
    assert "VerificationFlag" not in document
    images = [one for one in children(document) if one.ValueType == "IMAGE"]
    selected = [one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in images]
    uids = [header.SOPInstanceUID for header in everything.series.headers]
    keys = {3, *(f.key_slice.index for f in everything.findings if f.key_slice is not None)}
    assert selected == [uids[index] for index in sorted(keys)]
    description = member(document, "113012")
    assert description is not None
    assert "Key images of: Brain, Lesion, Nodule." in description.TextValue
    assert "RESEARCH" in description.TextValue


def test_each_mark_has_a_layer_of_its_colour(made: ResultObjects) -> None:
    state = read(made, Kind.PR)
    layers = {item.GraphicLayer: item for item in state.GraphicLayerSequence}
    labels = [
        layers[item.GraphicLayer].GraphicLayerDescription
        for item in state.GraphicAnnotationSequence
    ]
    assert labels == ["Brain", "Lesion", "Nodule", "Nodule", "Nodule"]
    colours = {tuple(item.GraphicLayerRecommendedDisplayCIELabValue) for item in layers.values()}
    assert len(colours) == 3
    graphics = [item.GraphicObjectSequence[0] for item in state.GraphicAnnotationSequence]
    assert [item.GraphicType for item in graphics] == [
        "POLYLINE",
        "POLYLINE",
        "POLYLINE",
        "POINT",
        "POLYLINE",
    ]
    assert ["GraphicFilled" in item for item in graphics] == [True, True, True, False, False]
    texts = [item.TextObjectSequence[0] for item in state.GraphicAnnotationSequence]
    assert texts[0].UnformattedTextValue == "AI: Brain (RESEARCH)"


def test_images_are_shown_as_they_would_be_without_us(tmp_path: Path) -> None:
    header = {
        "RescaleSlope": 2,
        "RescaleIntercept": -1024,
        "RescaleType": "HU",
        "WindowCenter": 40,
        "WindowWidth": 400,
    }
    state = read(build(Study(header=header).result(tmp_path), REQUEST, ALL), Kind.PR)
    assert (state.RescaleSlope, state.RescaleIntercept, state.RescaleType) == (2, -1024, "HU")
    (window,) = state.SoftcopyVOILUTSequence
    assert (window.WindowCenter, window.WindowWidth) == (40, 400)
    assert state.PresentationLUTShape == "IDENTITY"
    (area,) = state.DisplayedAreaSelectionSequence
    assert list(area.DisplayedAreaBottomRightHandCorner) == [40, 48]
    assert [float(v) for v in area.PresentationPixelSpacing] == [0.8, 1.2]


def test_a_series_of_several_rescales_has_no_presentation_state(tmp_path: Path) -> None:
    study = Study(segments=(BRAIN, LESION))
    result = study.result(tmp_path)
    indices = [f.key_slice.index for f in result.findings if f.key_slice is not None]
    for place, index in enumerate(indices):
        header = result.series.headers[index]
        header.RescaleSlope, header.RescaleIntercept = place + 1, 0
    assert Kind.PR not in [one.kind for one in build(result, REQUEST, ALL)]


def test_frames_of_an_enhanced_source_are_selected_and_drawn_on(tmp_path: Path) -> None:
    study = Study(shape=(8, 48, 40), segments=(BRAIN,))
    mask = np.zeros(study.shape, np.uint8)
    mask[2:4, 5:30, 6:20] = 1
    result = with_everything(result_on(enhanced(study, tmp_path), study, mask))
    objects = build(result, REQUEST, ALL)
    check(objects, result.series, ALL)
    numbers = [result.series.frames[index][1] for index in (2, 3)]
    state = read(objects, Kind.PR)
    (series,) = state.ReferencedSeriesSequence
    assert list(series.ReferencedImageSequence[0].ReferencedFrameNumber) == sorted(numbers)
    images = [one for one in children(read(objects, Kind.KO)) if one.ValueType == "IMAGE"]
    assert [one.ReferencedSOPSequence[0].ReferencedFrameNumber for one in images] == numbers


def test_a_notice_says_why_and_reports_nothing(everything: Result) -> None:
    headers = everything.series.headers
    made = notice(headers, everything.card, REQUEST, _telling(Notice.SR), WHY)
    assert made is not None
    check_notice(made, headers)
    document = dcmread(io.BytesIO(made.encoded))
    assert name(document) == "not-analysed"
    assert "ContentTemplateSequence" not in document
    reason = member(document, "reason")
    assert reason is not None
    assert reason.ConceptCodeSequence[0].LongCodeValue == WHY.reason
    said = [one.TextValue for one in children(document) if name(one) == "121106"]
    assert said[0] == (
        "AI did not run, because the inputs lie in two places (MIXED-FRAME-OF-REFERENCE)."
    )
    assert "Nothing was looked for" in said[1]


def test_a_notice_as_a_picture_has_it_in_its_pixels(everything: Result) -> None:
    headers = everything.series.headers
    first, other = (
        notice(headers, everything.card, REQUEST, _telling(Notice.SC), why)
        for why in (WHY, Why(reason="GAP", detail="slices are missing"))
    )
    assert first is not None
    assert other is not None
    check_notice(first, headers)
    assert first.dataset.SeriesDescription == "AI BrainExtr 1.0.2 did not run"
    pixels = [dcmread(io.BytesIO(one.encoded)).pixel_array for one in (first, other)]
    assert pixels[0].shape == (320, 640, 3)
    assert (pixels[0] != pixels[1]).any()
    assert first.kind is Kind.SC


def test_a_destination_may_want_no_notice(everything: Result) -> None:
    headers, card = everything.series.headers, everything.card
    assert notice(headers, card, REQUEST, _telling(Notice.NONE), WHY) is None


def _telling(form: Notice) -> Profile:
    return Profile(name="telling", notice=form)


def _set(keyword: str, value: object) -> Change:
    return lambda dataset: setattr(dataset, keyword, value)


def _first_image(document: Dataset) -> Dataset:
    return next(one for one in children(document) if one.ValueType == "IMAGE")


def _named_image(document: Dataset) -> None:
    _first_image(document).ConceptNameCodeSequence = document.ConceptNameCodeSequence


def _annotation(state: Dataset) -> Dataset:
    first: Dataset = state.GraphicAnnotationSequence[0]
    return first


def _of(dataset: Dataset) -> Dataset:
    reference: Dataset = _first_image(dataset).ReferencedSOPSequence[0]
    return reference


RULES: list[tuple[Kind, str, Change]] = [
    (Kind.KO, "title", lambda d: setattr(d.ConceptNameCodeSequence[0], "CodeValue", "113001")),
    (Kind.KO, "no image", lambda d: setattr(d, "ContentSequence", d.ContentSequence[:1])),
    (Kind.KO, "purpose of reference", _named_image),
    (Kind.KO, "no frame of the source", lambda d: setattr(_of(d), "ReferencedFrameNumber", 2)),
    (
        Kind.KO,
        "not in the evidence",
        lambda d: (
            d
            .CurrentRequestedProcedureEvidenceSequence[0]
            .ReferencedSeriesSequence[0]
            .ReferencedSOPSequence.pop()
        ),
    ),
    (
        Kind.PR,
        "no colour",
        lambda d: delattr(d.GraphicLayerSequence[0], "GraphicLayerRecommendedDisplayCIELabValue"),
    ),
    (Kind.PR, "not described", lambda d: setattr(_annotation(d), "GraphicLayer", "OTHER")),
    (
        Kind.PR,
        "names no frame",
        lambda d: setattr(_annotation(d).ReferencedImageSequence[0], "ReferencedFrameNumber", 2),
    ),
    (
        Kind.PR,
        "does not show",
        lambda d: setattr(
            d.ReferencedSeriesSequence[0],
            "ReferencedImageSequence",
            d.ReferencedSeriesSequence[0].ReferencedImageSequence[:1],
        ),
    ),
    (
        Kind.PR,
        "leaves its image",
        lambda d: setattr(
            _annotation(d).GraphicObjectSequence[0], "GraphicData", [0.0, 0.0, 90.0, 1.0]
        ),
    ),
    (
        Kind.PR,
        "a machine made it",
        lambda d: setattr(_annotation(d).TextObjectSequence[0], "UnformattedTextValue", "Brain"),
    ),
    (Kind.DOC, "MIME type", _set("MIMETypeOfEncapsulatedDocument", "text/plain")),
    (Kind.DOC, "of the length", _set("EncapsulatedDocumentLength", 17)),
    (Kind.DOC, "of the length", _set("EncapsulatedDocument", b"no page.")),
    (Kind.DOC, "Burned In Annotation", _set("BurnedInAnnotation", "YES")),
]


@pytest.mark.parametrize(("kind", "fault", "change"), RULES, ids=[f"{k}-{f}" for k, f, _ in RULES])
def test_a_tampered_companion_is_refused(
    made: ResultObjects, everything: Result, kind: Kind, fault: str, change: Change
) -> None:
    with pytest.raises(GateRefused) as refused:
        check(tampered(made, kind, change), everything.series, ALL)
    assert any(fault in told for told in refused.value.faults)


SR_RULES: list[tuple[str, Change]] = [
    ("groups draw nothing", lambda d: _forget_region(d, "Nodule POINT")),
    ("another Frame of Reference", lambda d: _regions(d, "ReferencedFrameOfReferenceUID", "1.2")),
    ("lies on no slice", lambda d: _regions(d, "GraphicData", [0.0, 0.0, 500.0])),
    ("points in the patient", _set("SOPClassUID", "1.2.840.10008.5.1.4.1.1.88.33")),
]


@pytest.mark.parametrize(("fault", "change"), SR_RULES, ids=[fault for fault, _ in SR_RULES])
def test_a_report_that_no_viewer_could_place_is_refused(
    everything: Result, fault: str, change: Change
) -> None:
    profile = replace(ALL, coordinates=Coordinates.SCOORD3D)
    objects = build(everything, REQUEST, profile)
    check(objects, everything.series, profile)
    with pytest.raises(GateRefused) as refused:
        check(tampered(objects, Kind.SR, change), everything.series, profile)
    assert any(fault in told for told in refused.value.faults)


def _groups(document: Dataset) -> list[Dataset]:
    measurements = member(document, "126010")
    assert measurements is not None
    return children(measurements)


def _forget_region(document: Dataset, identifier: str) -> None:
    for group in _groups(document):
        if group.ContentSequence[0].TextValue == identifier:
            group.ContentSequence.pop()


def _regions(document: Dataset, keyword: str, value: object) -> None:
    for group in _groups(document):
        for item in children(group):
            if item.ValueType == "SCOORD3D":
                setattr(item, keyword, value)


NOTICE_RULES: list[tuple[str, Change]] = [
    (
        "nothing was analysed",
        lambda d: setattr(d.ConceptNameCodeSequence[0], "CodeValue", "126000"),
    ),
    ("that nothing ran", _set("SeriesDescription", "AI Brain 1.0.2 SR (unreviewed)")),
    ("UNVERIFIED", _set("VerificationFlag", "VERIFIED")),
    ("PatientID is not", _set("PatientID", "PHANTOM-2")),
    ("holds measurements", lambda d: setattr(d.ContentSequence[-1], "ValueType", "NUM")),
]


@pytest.mark.parametrize(
    ("fault", "change"), NOTICE_RULES, ids=[fault for fault, _ in NOTICE_RULES]
)
def test_a_notice_that_could_be_taken_for_a_report_is_refused(
    everything: Result, fault: str, change: Change
) -> None:
    headers = everything.series.headers
    sound = notice(headers, everything.card, REQUEST, _telling(Notice.SR), WHY)
    assert sound is not None
    (broken,) = tampered((sound,), Kind.SR, change)
    with pytest.raises(GateRefused, match=fault):
        check_notice(broken, headers)


def tampered(objects: ResultObjects, kind: Kind, change: Change) -> ResultObjects:
    return tuple(_tampered(one, change) if one.kind is kind else one for one in objects)


def _tampered(item: ResultObject, change: Change) -> ResultObject:
    dataset = dcmread(io.BytesIO(item.encoded))
    change(dataset)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    return replace(item, encoded=encode(dataset))
