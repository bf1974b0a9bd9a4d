"""What `bench_results` measures: one mask as a file, by us and by highdicom.

Run as ``python -m tests.benchmarks.results FORM SEGMENTS`` it prints peak memory and size of one object.
"""

import json
import sys
import tracemalloc
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from inference import phantoms
from inference.card import Segment
from inference.codes import Code
from inference.findings import Result
from inference.geometry import Plane, StackFault, examine
from inference.results.objects import ResultObject
from inference.results.profile import GENERIC_PACS, PROFILES, Profile, Segments
from inference.results.report import report
from inference.results.segmentation import segmentation
from inference.results.segments import description
from inference.results.set import write
from inference.uids import derived_uid
from inference.volume import Series
from tests.unit.inference_results.studies import REQUEST, Study, result_on

SHAPE = (400, 512, 512)
SPACING_MM = (1.5, 0.8, 0.8)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A mask and the form in which it is to be written."""

    result: Result
    form: str
    segments: int

    @classmethod
    def of(cls, form: str, segments: int) -> "Case":
        return cls(result=_result(segments), form=form, segments=segments)

    @property
    def profile(self) -> Profile:
        return Profile(name="bench", segments=Segments(self.form))


@cache
def _result(segments: int) -> Result:
    study = Study(shape=SHAPE, spacing_mm=SPACING_MM, segments=_segments(segments))
    return result_on(_series(study), study, organs(segments))


def organs(segments: int) -> NDArray[np.uint8]:
    """Return a mask of ellipsoids side by side, all of the body however many segments they are.

    One fills the body; twelve stand in a block of 2 × 2 × 3, and 104 in one of 4 × 5 × 6 that is not full.
    """
    blocks = {1: (1, 1, 1), 12: (3, 2, 2), 104: (6, 5, 4)}[segments]
    body = tuple(slice(extent // 10, extent - extent // 10) for extent in SHAPE)
    mask = np.zeros(SHAPE, np.uint8)
    inside = mask[body]
    steps = [extent / count for extent, count in zip(inside.shape, blocks, strict=True)]
    for place in range(segments):
        block = np.unravel_index(place, blocks)
        box = tuple(
            slice(int(step * at), int(step * (at + 1)))
            for step, at in zip(steps, block, strict=True)
        )
        inside[box][_ellipsoid(inside[box].shape)] = place + 1
    return mask


def ours(case: Case, folder: Path) -> Path:
    """Write the file as the node does, the digest of its bytes among it."""
    made = _made(case)
    return write((made,), folder)[0].path


def highdicom(case: Case, folder: Path) -> Path:
    """Write the file as highdicom's documentation does."""
    result, path = case.result, folder / "highdicom.dcm"
    label_map = case.form == Segments.LABELMAP
    made = hd.seg.Segmentation(
        source_images=list(result.series.headers),
        pixel_array=result.mask,
        segmentation_type=case.form,
        segment_descriptions=[description(result.card, finding) for finding in result.findings],
        series_instance_uid=derived_uid("series of highdicom"),
        series_number=9000,
        sop_instance_uid=derived_uid("instance of highdicom"),
        instance_number=1,
        manufacturer=REQUEST.equipment.manufacturer,
        manufacturer_model_name=REQUEST.equipment.model_name,
        software_versions=list(REQUEST.equipment.software_versions),
        device_serial_number=REQUEST.equipment.device_serial_number,
        transfer_syntax_uid=RLELossless if label_map else ExplicitVRLittleEndian,
    )
    made.save_as(path)
    return path


def findings_study(findings: int, folder: Path) -> tuple[Result, ResultObject | None]:
    """Return a result with many findings, and its Segmentation."""
    study = Study(shape=(findings + 2, 48, 40), segments=_segments(findings))
    mask = np.zeros(study.shape, np.uint8)
    for place in range(findings):
        mask[place : place + 2, 10:20, 10:20] = place + 1
    result = study.result(folder / "findings", mask=mask)
    return result, segmentation(result, REQUEST, PROFILES[GENERIC_PACS])


def report_of(study: tuple[Result, ResultObject | None]) -> ResultObject:
    """Make the report on a result."""
    result, made = study
    return report(result, REQUEST, made.dataset if made else None)


def _made(case: Case) -> ResultObject:
    made = segmentation(case.result, REQUEST, case.profile)
    if made is None:
        raise ValueError("a mask that is not empty makes a Segmentation")
    return made


def _segments(count: int) -> tuple[Segment, ...]:
    return tuple(
        Segment(
            number=number,
            label=f"Organ {number}",
            category=Code("123037004", "SCT", "Anatomical Structure"),
            type=Code("113343008", "SCT", "Organ"),
            finding_site=Code("39607008", "SCT", "Lung"),
            colour_rgb=(number, 255 - number, 128),
        )
        for number in range(1, count + 1)
    )


def _series(study: Study) -> Series:
    """Return the source's headers without files: nobody reads pixels here."""
    pixel = np.broadcast_to(np.zeros((1, 1, 1), np.uint16), study.shape)
    header = {"WindowCenter": 400, "WindowWidth": 800}
    phantom = phantoms.Phantom(voxels=pixel, affine=study.affine(), header=header)
    headers = tuple(_header(phantom, index) for index in range(study.shape[0]))
    planes = tuple(Plane.from_keywords({e.keyword: e.value for e in one}) for one in headers)
    stack = examine(planes)
    if isinstance(stack, StackFault):
        raise TypeError(stack.detail)
    return Series(
        headers=headers,
        paths=(),
        pixels_at=(),
        planes=tuple(plane for plane in planes if plane is not None),
        frames=tuple((index, 1) for index in range(len(headers))),
        stack=stack,
    )


def _header(phantom: phantoms.Phantom, index: int) -> Dataset:
    header = phantoms.instance(phantom, index, index + 1)
    del header.PixelData
    return header


def _ellipsoid(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    axes = [np.linspace(-1, 1, extent, dtype=np.float32) ** 2 for extent in shape]
    inside: NDArray[np.bool_] = (
        axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :] <= 1
    )
    return inside


def main(form: str, segments: int) -> None:
    case = Case.of(form, segments)
    _made(
        Case.of(form, 1)
    )  # what libraries load when they are first asked is not an object's memory
    tracemalloc.start()
    made = _made(case)
    _, peak = tracemalloc.get_traced_memory()
    print(json.dumps({"peak": peak, "size": len(made.encoded)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
