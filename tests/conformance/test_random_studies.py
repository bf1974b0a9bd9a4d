"""Results of random studies in every profile before the judges; fifty of them by ``make judge-results``.

A study is its seed: geometry, header, mask, kinds of finding and context all follow from it.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from inference.context import Context
from inference.findings import Result
from inference.rendering import key_pictures
from inference.results.gate import check
from inference.results.objects import StoredObject
from inference.results.profile import PROFILES, Coordinates, Profile
from inference.results.set import build, write
from inference.volume import load_volume
from tests.conformance import validators
from tests.conformance.readers import hold_readers
from tests.unit.inference_results.studies import (
    BRAIN,
    CONTEXT,
    LESION,
    REQUEST,
    Study,
    enhanced,
    result_on,
    with_everything,
)

pytestmark = [pytest.mark.peers, pytest.mark.slow]

STUDIES = int(os.environ.get("OVERREAD_STUDIES", "1"))
ALL = Profile(name="all", key_objects=True, presentation_state=True, summary=True, capture=True)
OWN = (
    ALL,
    replace(ALL, name="in space", coordinates=Coordinates.SCOORD3D),
    replace(ALL, name="groups", groups_without_regions=True),
)
EVERY = (*PROFILES.values(), *OWN)
ASKED = 3
"""Reports of a study that PixelMed is asked about, each study others; none where one study is judged alone:
it takes seconds for each, and `test_report_forms` asks it about every form."""

NAMES = (
    {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Ødegård^Åse"},
    {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎"},
    {"SpecificCharacterSet": "ISO_IR 144", "PatientName": "Люкceмбypг^Анна"},
    {"SpecificCharacterSet": None, "PatientName": "Phantom^Plain"},
)


@dataclass(frozen=True, slots=True)
class Chance:
    seed: int

    def result(self, folder: Path) -> Result:
        random = np.random.default_rng(self.seed)
        study = Study(
            shape=self._shape(random),
            spacing_mm=self._spacing_mm(random),
            plane=str(random.choice(["axial", "sagittal", "coronal"])),
            tilt_degrees=round(float(random.uniform(-40, 40)), 2),
            header=self._header(random),
            segments=((), (BRAIN,), (BRAIN, LESION))[int(random.integers(3))],
            context=CONTEXT if random.random() < 0.5 else Context(),
        )
        mask = self._mask(random, study)
        multi_frame = random.random() < 0.25
        of = (
            result_on(enhanced(study, folder), study, mask)
            if multi_frame
            else study.result(folder, mask=mask)
        )
        if not study.segments or random.random() < 0.6:
            of = with_everything(of, score=round(float(random.random()), 3))
            kept = tuple(one for one in of.detections if random.random() < 0.7)
            of = replace(of, detections=kept)
        return replace(of, pictures=key_pictures(load_volume(of.series), of))

    def _shape(self, random: np.random.Generator) -> tuple[int, int, int]:
        slices, rows, columns = random.integers((6, 48, 40), (14, 65, 60))
        return int(slices), int(rows), int(columns)

    def _spacing_mm(self, random: np.random.Generator) -> tuple[float, float, float]:
        slices, rows, columns = random.uniform(0.5, 3, 3).round(3)
        return float(slices), float(rows), float(columns)

    def _header(self, random: np.random.Generator) -> dict[str, Any]:
        header: dict[str, Any] = dict(NAMES[int(random.integers(len(NAMES)))])
        if random.random() < 0.3:
            header["BodyPartExamined"] = None
        if random.random() < 0.3:
            header |= {"RescaleSlope": 2, "RescaleIntercept": -1000, "RescaleType": "US"}
        return header

    def _mask(self, random: np.random.Generator, study: Study) -> NDArray[np.uint8]:
        mask = np.zeros(study.shape, np.uint8)
        for segment in study.segments:
            if random.random() < 0.8:
                first = random.integers(0, np.array(study.shape) - 3)
                last = random.integers(first + 1, study.shape)
                box = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
                mask[box] = segment.number
        return mask


@pytest.mark.parametrize("seed", range(STUDIES))
@pytest.mark.timeout(900)
def test_no_judge_finds_an_error_in_any_profile(seed: int, tmp_path: Path) -> None:
    result = Chance(seed).result(tmp_path / "source")
    study = result.series.paths
    own = validators.dcentvfy_errors(study)
    asked = {EVERY[(seed * ASKED + n) % len(EVERY)].name for n in range(ASKED)}
    for profile in EVERY:
        folder = tmp_path / profile.name
        folder.mkdir()
        objects = build(result, REQUEST, profile)
        check(objects, result.series, profile)
        stored = write(objects, folder)
        for item in stored:
            assert judged(item) == [], (profile.name, item.kind)
        paths = [*study, *(item.path for item in stored)]
        told = [e for e in validators.dcentvfy_errors(paths) if not (e in own or told_of_text(e))]
        assert told == [], profile.name
        report = stored[-1].path
        hold_readers(report, result, profile, folder)
        if STUDIES > 1 and profile.name in asked:
            assert acceptance(report) == [], profile.name


def judged(item: StoredObject) -> list[str]:
    """Dciodvfy's errors, without the kinds that are known to be false."""
    errors, dataset = validators.dciodvfy_errors(item.path), dcmread(item.path)
    return [
        error
        for error in errors
        if not validators.taken_for_a_pair(error, dataset)
        and not validators.label_map_taken_for_none(error, dataset)
    ]


def told_of_text(error: str) -> bool:
    """Whether dcentvfy compares names as bytes: the source has another character set than we write.

    The gate compares them decoded.
    """
    return "String attribute has different value" in error and "<PatientName>" in error


def test_a_label_map_is_a_segmentation(tmp_path: Path) -> None:
    """What dciodvfy says of a report on a label map it does not say of the same report on the same segments."""
    result = Study(segments=(BRAIN, LESION)).result(tmp_path / "source")
    errors = {}
    for name in ("labelmap", "generic-pacs"):
        folder = tmp_path / name
        folder.mkdir()
        report = write(build(result, REQUEST, PROFILES[name]), folder)[-1]
        errors[name] = validators.dciodvfy_errors(report.path)
        assert judged(report) == []
    assert len(errors["labelmap"]) == 2
    assert errors["generic-pacs"] == []


def test_dcmtk_refuses_a_label_map_for_its_class_alone(tmp_path: Path) -> None:
    """It says one thing of a report on a label map, and nothing once that one UID is another."""
    result = with_everything(Study(segments=(BRAIN, LESION)).result(tmp_path / "source"))
    report = write(build(result, REQUEST, PROFILES["labelmap"]), tmp_path)[-1].path
    refused = validators.dsrdump_output(report)
    assert refused.count(validators.UNKNOWN_IMAGE) == 1
    assert "Invalid Value" in refused
    known = validators.with_known_class(dcmread(report), tmp_path)
    read = validators.dsrdump_output(known)
    assert "Invalid" not in read
    assert read.count("<CONTAINER:") == validators.dsrdump(report).count("<CONTAINER:") > 0


def acceptance(report: Path) -> list[str]:
    document = dcmread(report)
    errors = validators.pixelmed_errors(report)
    return [error for error in errors if not validators.known_false(error, document)]
