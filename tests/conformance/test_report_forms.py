"""Reports on findings of every kind, and what stands beside them, before the judges."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from inference import phantoms
from inference.context import Context
from inference.findings import Result
from inference.results.gate import check, check_notice
from inference.results.notice import Why, notice
from inference.results.objects import Kind
from inference.results.profile import Coordinates, Notice, Profile, ReportClass, Segments
from inference.results.set import build, write
from inference.volume import read_series
from tests.conformance import validators
from tests.conformance.readers import hold_readers
from tests.unit.inference_results.studies import (
    BRAIN,
    COMPARED,
    LESION,
    REQUEST,
    Study,
    enhanced,
    result_on,
    with_everything,
    without,
)

pytestmark = [pytest.mark.peers, pytest.mark.slow]

PLAIN = Profile(name="plain", key_objects=True, presentation_state=True, summary=True)
GROUPS = replace(PLAIN, groups_without_regions=True)
IN_SPACE = Profile(name="in space", coordinates=Coordinates.SCOORD3D)
COMPREHENSIVE = Profile(name="comprehensive", report=ReportClass.COMPREHENSIVE)
PICTURES = Profile(name="pictures", report=ReportClass.ENHANCED, segments=Segments.NONE)


def everything(folder: Path) -> Result:
    return with_everything(Study(segments=(BRAIN, LESION)).result(folder))


def sagittal_without_a_body_part(folder: Path) -> Result:
    study = Study(plane="sagittal", header={"BodyPartExamined": None}, segments=(BRAIN,))
    return with_everything(study.result(folder), score=0.4)


def multi_frame(folder: Path) -> Result:
    study = Study(shape=(8, 48, 40), segments=(BRAIN,))
    mask = np.zeros(study.shape, np.uint8)
    mask[2:4, 5:30, 6:20] = 1
    return with_everything(result_on(enhanced(study, folder), study, mask))


def answers_alone(folder: Path) -> Result:
    result = with_everything(Study(segments=(), context=Context()).result(folder), score=0.1)
    return replace(result, detections=())


def absent(folder: Path) -> Result:
    return without(Study().result(folder), BRAIN.number)


FORMS: dict[str, tuple[Callable[[Path], Result], Profile, bool]] = {
    "everything": (everything, PLAIN, True),
    "groups beside segments": (everything, GROUPS, False),
    "answers as groups": (answers_alone, GROUPS, True),
    "points in the patient": (sagittal_without_a_body_part, IN_SPACE, False),
    "comprehensive on an enhanced source": (multi_frame, COMPREHENSIVE, True),
    "pictures": (everything, PICTURES, True),
    "nothing found": (absent, PLAIN, False),
}
"""What is made, by which profile, and whether PixelMed is asked as well: that takes it seconds."""


@dataclass(frozen=True, kw_only=True)
class Made:
    result: Result
    profile: Profile
    paths: dict[Kind, Path]
    judged: bool = False


@pytest.fixture(scope="module", params=FORMS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    of, profile, judged = FORMS[request.param]
    result = of(tmp_path_factory.mktemp("source"))
    return replace(make(result, profile, tmp_path_factory.mktemp("made")), judged=judged)


def make(result: Result, profile: Profile, folder: Path) -> Made:
    objects = build(result, REQUEST, profile)
    check(objects, result.series, profile)
    paths = {item.kind: item.path for item in write(objects, folder)}
    return Made(result=result, profile=profile, paths=paths)


def test_validators_find_no_error(made: Made) -> None:
    for path in made.paths.values():
        assert validators.dciodvfy_errors(path) == []


@pytest.mark.long
def test_pixelmed_finds_no_error(made: Made) -> None:
    if made.judged:
        assert validators.pixelmed_errors(made.paths[Kind.SR]) == []


def test_the_study_and_its_results_are_of_one_patient(made: Made) -> None:
    study = made.result.series.paths
    own = validators.dcentvfy_errors(
        study
    )  # the enhanced source names the slices that it was made from
    assert validators.dcentvfy_errors([*study, *made.paths.values()]) == own


def test_readers_of_others_find_the_same_numbers_and_codes(made: Made, tmp_path: Path) -> None:
    hold_readers(made.paths[Kind.SR], made.result, made.profile, tmp_path)


def test_key_objects_pass_the_acceptance_tool(tmp_path: Path) -> None:
    made = make(everything(tmp_path / "source"), PLAIN, tmp_path)
    assert validators.pixelmed_errors(made.paths[Kind.KO]) == []


@pytest.mark.long
def test_pixelmeds_second_known_false_error_is_false(tmp_path: Path) -> None:
    """Groups are wrong where another one references a segment, and right where none does."""
    result = everything(tmp_path / "source")
    profile = replace(GROUPS, coordinates=Coordinates.SCOORD3D)
    (tmp_path / "without").mkdir()
    beside = make(result, profile, tmp_path)
    alone = make(result, replace(profile, segments=Segments.NONE), tmp_path / "without")
    assert validators.pixelmed_errors(alone.paths[Kind.SR]) == []
    errors = validators.pixelmed_errors(beside.paths[Kind.SR])
    groups = 2 + 3 + 2  # planar ones of the segments, places, and the two without a region
    assert len(errors) == 3 * groups
    report = dcmread(beside.paths[Kind.SR])
    assert all(validators.taken_for_volumetric(error, report) for error in errors)


def test_a_report_that_compares_passes_the_validators(tmp_path: Path) -> None:
    phantom = replace(Study(header={"StudyDate": "20251103"}).phantom(), entropy="earlier")
    earlier = read_series(phantoms.write(phantom, tmp_path / "earlier"))
    compared = replace(
        COMPARED,
        study_instance_uid=str(earlier.headers[0].StudyInstanceUID),
        series_instance_uid=str(earlier.headers[0].SeriesInstanceUID),
        sop_classes={str(one.SOPInstanceUID): str(one.SOPClassUID) for one in earlier.headers},
    )
    result = replace(everything(tmp_path / "source"), compared=(compared,))
    made = make(result, PLAIN, tmp_path)
    paths = [*result.series.paths, *earlier.paths, *made.paths.values()]
    assert validators.dciodvfy_errors(made.paths[Kind.SR]) == []
    assert validators.dcentvfy_errors(paths) == []
    assert validators.pixelmed_errors(made.paths[Kind.SR]) == []
    assert "Compared with an earlier MR" in validators.dsrdump(made.paths[Kind.SR])


@pytest.mark.parametrize("form", [Notice.SR, Notice.SC])
def test_a_notice_passes_the_validators(tmp_path: Path, form: Notice) -> None:
    result = everything(tmp_path / "source")
    headers, why = result.series.headers, Why(reason="GAP", detail="slices are missing")
    made = notice(headers, result.card, REQUEST, Profile(name="n", notice=form), why)
    assert made is not None
    check_notice(made, headers)
    (stored,) = write((made,), tmp_path)
    assert validators.dciodvfy_errors(stored.path) == []
    assert validators.dcentvfy_errors([*result.series.paths, stored.path]) == []
    if form is Notice.SR:
        assert "AI did not run, because" in validators.dsrdump(stored.path)
        assert validators.pixelmed_errors(stored.path, template=False) == []


def test_another_reader_finds_the_page(tmp_path: Path) -> None:
    made = make(everything(tmp_path / "source"), PLAIN, tmp_path)
    document = dcmread(made.paths[Kind.DOC])
    text = validators.pdf_text(document.EncapsulatedDocument)
    for words in ("not for primary diagnosis", "RESEARCH", "hemorrhage score 0.83", "Nodule 3"):
        assert words in text
