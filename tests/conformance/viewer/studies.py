"""Sources of every geometry with a known mask, and their results, stored in the archive as a node does it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.card import Segment
from inference.findings import Result
from inference.phantoms import Phantom
from inference.results.gate import check
from inference.results.objects import ResultObjects, StoredObject
from inference.results.profile import PROFILES
from inference.results.set import build, write
from inference.volume import Series
from integrations.pacs.peer import DicomPeer
from integrations.pacs.query import DicomArchiveIndex
from integrations.pacs.storage import StorageDestination
from integrations.report import Instance
from tests.peers.orthanc import Orthanc
from tests.unit.inference_results.studies import BRAIN, LESION, REQUEST, Study, enhanced, result_on
from tests.unit.integrations.samples import report

EVEN, ODD = (12, 48, 40), (12, 181, 217)
"""Shapes whose frames of bits start on a byte, and within one."""

WINDOW = {"WindowCenter": 500, "WindowWidth": 8000}
"""A flat one, for `tests.conformance.viewer.overlay`: the ball is a little brighter than what surrounds it."""


@dataclass(frozen=True, kw_only=True)
class Case(Study):
    """A source and its mask.

    Parameters
    ----------
    name
        Makes its study one of its own.
    turn_degrees
        Turns the stack round the patient's long axis as well.
    multi_frame
        One Enhanced MR object instead of one object for each slice.
    profile
        The forms in which its result is written.
    """

    name: str
    turn_degrees: float = 0.0
    multi_frame: bool = False
    profile: str = "ohif"
    segments: tuple[Segment, ...] = (BRAIN, LESION)
    tilt_degrees: float = 0.0
    header: Mapping[str, Any] = field(default_factory=lambda: WINDOW)

    def affine(self) -> NDArray[np.float64]:
        cosine, sine = np.cos(np.deg2rad(self.turn_degrees)), np.sin(np.deg2rad(self.turn_degrees))
        turn = np.eye(4)
        turn[:2, :2] = [[cosine, -sine], [sine, cosine]]
        turned: NDArray[np.float64] = turn @ super().affine()
        return turned

    def phantom(self) -> Phantom:
        return replace(super().phantom(), entropy=f"viewer, {self.name}")

    def mask(self) -> NDArray[np.uint8]:
        """Bars at the same parts of every matrix."""
        if self.shape == EVEN:
            return super().mask()
        places = (np.arange(n) * small // n for n, small in zip(self.shape, EVEN, strict=True))
        enlarged: NDArray[np.uint8] = replace(self, shape=EVEN).mask()[np.ix_(*places)]
        return enlarged


AXIAL = Case(name="axial")
SAGITTAL = Case(name="sagittal", plane="sagittal")
OBLIQUE = Case(name="oblique", plane="coronal", tilt_degrees=25.0, turn_degrees=15.0)
ENHANCED = Case(name="enhanced", multi_frame=True)
ODD_LABEL_MAP = Case(name="odd-label-map", shape=ODD)
ODD_BINARY = Case(name="odd-binary", shape=ODD, profile="ohif-binary")

CHECKED = (3, 6, 8)
"""Slices that are looked at: with one segment, with both, with the other one."""


def square(case: Case) -> Case:
    """Return the case with pixels as wide as high."""
    return replace(case, name=f"{case.name}-square", spacing_mm=(2.0, 1.0, 1.0))


def image(series: Series, index: int) -> str:
    """How the address of the image of a slice ends: SOP Instance UID and frame number."""
    where, frame = series.frames[index]
    return f"{series.headers[where].SOPInstanceUID}/frames/{frame}"


def study_uid(result: Result) -> str:
    """Study Instance UID of a result."""
    return str(result.series.headers[0].StudyInstanceUID)


def result_of(case: Case, folder: Path) -> Result:
    """Write the source of a case to `folder`, which exists, and return the result on it."""
    if case.multi_frame:
        return result_on(enhanced(case, folder), case, case.mask())
    return case.result(folder)


def objects_of(profile: str, result: Result) -> ResultObjects:
    """Build the result's objects in the forms of a profile, and let the gate look at them."""
    objects = build(result, REQUEST, PROFILES[profile])
    check(objects, result.series)
    return objects


def store(archive: Orthanc, profile: str, result: Result, folder: Path) -> None:
    """Put a source into the archive, and have its result delivered there in the forms of a profile."""
    for path in result.series.paths:
        archive.upload(path)
    deliver(archive, result, write(objects_of(profile, result), folder))


def deliver(archive: Orthanc, result: Result, objects: Sequence[StoredObject]) -> None:
    """Bring objects to the archive as a node does."""
    study = replace(report().study, study_instance_uid=study_uid(result))
    peer = DicomPeer(ae_title=archive.ae_title, host=archive.host, port=archive.dicom_port)
    receipt = StorageDestination(peer, DicomArchiveIndex(peer)).deliver(
        replace(report(), study=study),
        [_instance(one) for one in objects],
        in_doubt=frozenset(),
        progress=lambda _uid, _state: None,
    )
    assert receipt.confirmed, receipt.remark


def _instance(stored: StoredObject) -> Instance:
    return Instance(
        sop_class_uid=stored.sop_class_uid,
        sop_instance_uid=stored.sop_instance_uid,
        series_instance_uid=stored.series_instance_uid,
        transfer_syntax_uid=stored.transfer_syntax_uid,
        path=stored.path,
    )
