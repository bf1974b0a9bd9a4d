"""SEG and SR before the judges: two validators, and two readers that must find what was meant."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from inference.card import load
from inference.findings import Result
from inference.results.gate import check
from inference.results.objects import Kind
from inference.results.part10 import encode
from inference.results.profile import PROFILES
from inference.results.set import build, write
from inference.volume import read_series
from tests.conformance import validators
from tests.unit.inference_results.studies import (
    BRAIN,
    LESION,
    REQUEST,
    Study,
    enhanced,
    result_on,
    without,
)

pytestmark = [pytest.mark.peers, pytest.mark.slow]

BRAIN_EXTRACTION = Path(__file__).parents[2] / "inference" / "models" / "brain-extraction"


@dataclass(frozen=True, kw_only=True)
class Made:
    """The files of one result, and what they were made from."""

    result: Result
    paths: dict[Kind, Path]


def classic(folder: Path) -> Result:
    return Study(segments=(BRAIN, LESION)).result(folder)


def odd_matrix(folder: Path) -> Result:
    return Study(shape=(12, 47, 39), plane="sagittal", segments=(BRAIN, LESION)).result(folder)


def multi_frame(folder: Path) -> Result:
    study = Study(segments=(BRAIN,))
    return result_on(enhanced(study, folder), study, study.mask())


def one_absent(folder: Path) -> Result:
    return without(classic(folder), BRAIN.number)


def all_absent(folder: Path) -> Result:
    return without(Study().result(folder), BRAIN.number)


def of_the_shipped_model(folder: Path) -> Result:
    card = load(BRAIN_EXTRACTION)
    result = Study(segments=card.segments).result(folder)
    return replace(result, card=card)


CASES: list[Callable[[Path], Result]] = [
    classic,
    odd_matrix,
    multi_frame,
    one_absent,
    all_absent,
    of_the_shipped_model,
]

NAMES = {
    "japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "greek": ("ISO_IR 126", "Παπαδοπούλου^Ελένη"),
    "latin-1 without a tag": (None, "Müller^Jörg"),
}


@pytest.fixture(scope="module", params=CASES, ids=[case.__name__ for case in CASES])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return _make(request.param(tmp_path_factory.mktemp("source")), tmp_path_factory.mktemp("made"))


def test_validators_find_no_error(made: Made) -> None:
    for path in made.paths.values():
        assert validators.dciodvfy_errors(path) == []


@pytest.mark.long
def test_pixelmed_finds_no_error(made: Made) -> None:
    assert _pixelmed(made.paths[Kind.SR]) == []


@pytest.mark.long
@pytest.mark.parametrize("name", ["generic-pacs", "pictures"])
def test_pixelmeds_known_false_errors_are_false(tmp_path: Path, name: str) -> None:
    """One group is wrong where it stands with one contour, and right where it stands with two.

    It references a segment, or has no region where no segmentation goes with the report.
    """
    two = classic(tmp_path / "source")
    one = without(two, LESION.number)
    alone, together = (
        next(i for i in write(build(of, REQUEST, PROFILES[name]), tmp_path) if i.kind is Kind.SR)
        for of in (one, two)
    )
    errors = validators.pixelmed_errors(alone.path)
    assert len(errors) == 2
    assert all(validators.taken_for_planar(error, dcmread(alone.path)) for error in errors)
    assert validators.pixelmed_errors(together.path) == []


def test_dcmqi_finds_every_voxel_in_its_place(made: Made, tmp_path: Path) -> None:
    if Kind.SEG not in made.paths:
        assert not made.result.mask.any()
        return
    images = validators.segment_images(made.paths[Kind.SEG], tmp_path / "segments")
    assert sorted(images) == [finding.segment.number for finding in made.result.findings]
    for number, image in images.items():
        region = made.result.mask == number
        assert image.voxels.sum() == region.sum()
        assert image.at(made.result.series.affine, region.shape)[region].all()


def test_tid1500reader_and_dsrdump_find_each_value_once(made: Made, tmp_path: Path) -> None:
    expected: list[tuple[str, str, float]] = []
    for finding in made.result.findings:
        planar = () if finding.key_slice is None else finding.key_slice.measurements
        expected += [
            (finding.tracking_uid, m.concept.value, float(f"{m.value:.10g}"))
            for m in (*finding.measurements, *planar)
        ]
    read = validators.tid1500(made.paths[Kind.SR], tmp_path)
    found = [
        (group["TrackingUniqueIdentifier"], item["quantity"]["CodeValue"], _number(item["value"]))
        for group in read["Measurements"] or []
        for item in group["measurementItems"]
    ]
    assert found == expected
    text = validators.dsrdump(made.paths[Kind.SR])
    for _, code, _ in expected:
        assert text.count(f"NUM:({code},") == len([e for e in expected if e[1] == code])
    absent = [f for f in made.result.findings if not f.present]
    assert text.count("(272519000,SCT,") == len(absent)


@pytest.mark.parametrize("case", NAMES)
def test_names_of_the_world_pass_and_arrive(case: str, tmp_path: Path) -> None:
    character_set, patient_name = NAMES[case]
    header = {"SpecificCharacterSet": character_set, "PatientName": patient_name}
    result = Study(header=header).result(tmp_path / "source")
    made = _make(result, tmp_path)
    check(build(result, REQUEST), result.series)
    for path in made.paths.values():
        assert str(dcmread(path).PatientName) == patient_name
        assert validators.dciodvfy_errors(path) == []
    assert _pixelmed(made.paths[Kind.SR]) == []


def test_a_wrong_character_set_is_seen_through(tmp_path: Path) -> None:
    header = {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jörg"}
    result = Study(header=header).result(tmp_path / "source")
    for path in result.series.paths:
        path.write_bytes(path.read_bytes().replace(b"ISO_IR 100", b"ISO_IR 192", 1))
    series = read_series(result.series.paths)
    made = _make(replace(result, series=series), tmp_path)
    assert {str(dcmread(path).PatientName) for path in made.paths.values()} == {"Müller^Jörg"}


def test_the_judges_can_say_no(tmp_path: Path) -> None:
    objects = build(classic(tmp_path / "source"), REQUEST)
    segmentation, report = (dcmread(io.BytesIO(item.encoded)) for item in objects)
    del segmentation.SegmentSequence[0].SegmentLabel
    segmentation.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient[
        0
    ] += 3
    assert validators.dciodvfy_errors(_written(segmentation, tmp_path / "seg.dcm"))
    procedure = next(i for i in report.ContentSequence if _concept(i) == "121058")
    procedure.ConceptCodeSequence[0].CodeValue = "MRHEAD"
    procedure.ConceptCodeSequence[0].CodingSchemeDesignator = "99HOSPITAL"
    del report.CompletionFlag
    path = _written(report, tmp_path / "sr.dcm")
    assert validators.pixelmed_errors(path)
    assert validators.dciodvfy_errors(path)


def test_a_misplaced_mask_is_noticed(tmp_path: Path) -> None:
    made = _make(classic(tmp_path / "source"), tmp_path)
    images = validators.segment_images(made.paths[Kind.SEG], tmp_path / "segments")
    flipped = replace(made.result, mask=np.ascontiguousarray(made.result.mask[:, :, ::-1]))
    for number, image in images.items():
        region = flipped.mask == number
        assert not image.at(made.result.series.affine, region.shape)[region].all()


def _pixelmed(path: Path) -> list[str]:
    """PixelMed's errors, without the one kind that is known to be false."""
    report = dcmread(path)
    errors = validators.pixelmed_errors(path)
    return [error for error in errors if not validators.taken_for_planar(error, report)]


def _make(result: Result, folder: Path) -> Made:
    objects = build(result, REQUEST)
    check(objects, result.series)
    return Made(result=result, paths={item.kind: item.path for item in write(objects, folder)})


def _number(text: str) -> float:
    """Read a value to ten digits: a DS has sixteen characters at most."""
    return float(f"{float(text):.10g}")


def _written(dataset: Dataset, path: Path) -> Path:
    path.write_bytes(encode(dataset))
    return path


def _concept(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue)
