"""Maps and captures before the judges: validators, and readers that must find what was meant."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from inference.findings import Result
from inference.results.gate import check
from inference.results.objects import Kind, StoredObject
from inference.results.profile import Profile, ReportClass, Segments
from inference.results.set import build, write
from tests.conformance import validators
from tests.unit.inference_results.explained import TWO, explained, explained_two
from tests.unit.inference_results.studies import (
    BRAIN,
    LESION,
    REQUEST,
    Study,
    enhanced,
    result_on,
)

pytestmark = [pytest.mark.peers, pytest.mark.slow]

PROFILE = Profile(name="with pictures", capture=True)
SINGLE = replace(PROFILE, single_frames=True)


@dataclass(frozen=True, kw_only=True)
class Made:
    result: Result
    stored: tuple[StoredObject, ...]

    def of(self, kind: Kind) -> list[Path]:
        return [one.path for one in self.stored if one.kind is kind]


def sagittal(folder: Path) -> Result:
    study = Study(shape=(12, 47, 39), plane="sagittal", segments=(BRAIN, LESION))
    return explained(study.result(folder), BRAIN.label, LESION.label)


def multi_frame(folder: Path) -> Result:
    return explained(result_on(enhanced(TWO, folder), TWO, TWO.mask()), LESION.label)


CASES: list[Callable[[Path], Result]] = [explained_two, sagittal, multi_frame]


@pytest.fixture(scope="module", params=CASES, ids=[case.__name__ for case in CASES])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    result = request.param(tmp_path_factory.mktemp("source"))
    return _make(result, PROFILE, tmp_path_factory.mktemp("made"))


def test_validators_find_no_error(made: Made, tmp_path: Path) -> None:
    single = _make(made.result, SINGLE, tmp_path)
    for path in (*made.of(Kind.PM), *made.of(Kind.SC), *made.of(Kind.SR), *single.of(Kind.SC)):
        errors, dataset = validators.dciodvfy_errors(path), dcmread(path)
        assert [e for e in errors if not validators.taken_for_a_pair(e, dataset)] == []


@pytest.mark.long
def test_pixelmed_finds_no_error(made: Made) -> None:
    (report,) = made.of(Kind.SR)
    dataset = dcmread(report)
    errors = validators.pixelmed_errors(report)
    assert [e for e in errors if not validators.taken_for_planar(e, dataset)] == []


def test_study_and_results_agree(made: Made) -> None:
    # an enhanced source references the classic one that it was converted from
    study = made.result.series.paths[0].parent.rglob("*.dcm")
    assert validators.dcentvfy_errors([*study, *(one.path for one in made.stored)]) == []


def test_what_does_not_agree_is_noticed(made: Made, tmp_path: Path) -> None:
    dataset = dcmread(made.of(Kind.SC)[0])
    dataset.PatientBirthDate = "19991231"
    dataset.save_as(tmp_path / "other.dcm")
    paths = [made.result.series.paths[0], tmp_path / "other.dcm"]
    assert validators.dcentvfy_errors(paths)


def test_dciodvfys_known_false_error_is_false(tmp_path: Path) -> None:
    """It wants a Laterality of the same object that it takes once a body part, no paired one, is named."""
    study = replace(TWO, header={"BodyPartExamined": None})
    result = explained(study.result(tmp_path / "source"), LESION.label)
    stored = _make(result, PROFILE, tmp_path)
    found = []
    for path in (*stored.of(Kind.PM), *stored.of(Kind.SC)):
        dataset = dcmread(path)
        errors = validators.dciodvfy_errors(path)
        assert [e for e in errors if not validators.taken_for_a_pair(e, dataset)] == []
        found += errors
        dataset.BodyPartExamined = "HEAD"
        dataset.save_as(tmp_path / "head.dcm")
        assert validators.dciodvfy_errors(tmp_path / "head.dcm") == []
    assert found


def test_gdcm_finds_the_pixels_that_were_drawn(made: Made, tmp_path: Path) -> None:
    pictures = made.result.pictures
    (several,) = made.of(Kind.SC)
    assert validators.gdcm_pixels(several) == b"".join(one.pixels.tobytes() for one in pictures)
    single = _make(made.result, SINGLE, tmp_path).of(Kind.SC)
    for path, picture in zip(single, pictures, strict=True):
        assert validators.gdcm_pixels(path) == picture.pixels.tobytes()


def test_dcmqi_cannot_read_float_maps_yet(made: Made, tmp_path: Path) -> None:
    """When this fails it can: then it is one more judge of every map."""
    assert validators.parametric_map_image(made.of(Kind.PM)[0], tmp_path / "map") is None


def test_dsrdump_and_tid1500reader_find_the_map_where_it_explains(
    made: Made, tmp_path: Path
) -> None:
    (report,) = made.of(Kind.SR)
    saliency = made.result.saliency
    assert saliency is not None
    text = validators.dsrdump(report)
    (map_path,) = made.of(Kind.PM)
    assert text.count("(130401,DCM,") == 2 * len(saliency.explains)
    groups = validators.tid1500(report, tmp_path)["Measurements"]
    assert len(groups) == 2 * len(made.result.findings)
    assert dcmread(map_path).SOPClassUID == "1.2.840.10008.5.1.4.1.1.30"


def test_pictures_alone_are_a_result_too(tmp_path: Path) -> None:
    profile = replace(
        SINGLE, segments=Segments.NONE, report=ReportClass.ENHANCED, parametric_map=False
    )
    result = explained_two(tmp_path / "source")
    made = _make(result, profile, tmp_path)
    assert len(made.of(Kind.SC)) == 2
    assert made.of(Kind.PM) == []


def test_the_judges_can_say_no(made: Made, tmp_path: Path) -> None:
    dataset = dcmread(made.of(Kind.PM)[0])
    del dataset.ContentLabel
    del dataset.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    dataset.save_as(tmp_path / "map.dcm")
    capture = dcmread(made.of(Kind.SC)[0])
    del capture.BurnedInAnnotation
    capture.save_as(tmp_path / "capture.dcm")
    assert validators.dciodvfy_errors(tmp_path / "map.dcm")
    assert validators.dciodvfy_errors(tmp_path / "capture.dcm")
    assert np.frombuffer(validators.gdcm_pixels(tmp_path / "capture.dcm"), np.uint8).any()


def _make(result: Result, profile: Profile, folder: Path) -> Made:
    objects = build(result, REQUEST, profile)
    check(objects, result.series)
    return Made(result=result, stored=write(objects, folder))
