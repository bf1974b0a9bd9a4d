"""A series as a volume: `(slices, rows, columns)` with its place in the patient.

Slices are sorted along the normal of their planes, never by Instance Number; a series that is no
volume is refused with a reason code, never guessed at.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference.errors import SeriesUnusable
from inference.geometry import Plane, Stack, StackFault, examine
from inference.instance import Instance, Unusable, frame_count, read_instance, stored_values

ONE_SERIES = ("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "FrameOfReferenceUID")
"""What all instances of a series must agree in; a file that differs belongs to someone else."""

FUNCTIONAL_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "WindowCenter": "FrameVOILUTSequence",
    "WindowWidth": "FrameVOILUTSequence",
    "VOILUTFunction": "FrameVOILUTSequence",
    "VOILUTSequence": "FrameVOILUTSequence",
}
"""Where an enhanced object keeps what a classic one has at its top (PS3.3 C.7.6.16.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The headers of one series whose frames make a volume.

    Parameters
    ----------
    headers
        One dataset for each instance, without pixel data; for classic single-frame objects in slice order.
    paths
        The file of each header, in the same order.
    pixels_at
        Where in each file the pixels begin, so that what is before them is parsed once.
    planes
        One plane for each slice, ascending along the stack's normal.
    frames
        For each slice, the index into `headers` and the frame number within that instance, from 1.
    stack
        Normal and slice spacing.
    """

    headers: tuple[Dataset, ...]
    paths: tuple[Path, ...]
    pixels_at: tuple[int, ...]
    planes: tuple[Plane, ...]
    frames: tuple[tuple[int, int], ...]
    stack: Stack

    @property
    def affine(self) -> NDArray[np.float64]:
        """4 × 4 matrix from (slice, row, column) indices to LPS millimetres (PS3.3 C.7.6.2.1.1)."""
        first, last = self.planes[0], self.planes[-1]
        step = np.subtract(last.position_mm, first.position_mm) / (len(self.planes) - 1)
        affine = np.eye(4)
        affine[:3, 0] = step
        affine[:3, 1] = np.multiply(first.column_direction, first.row_spacing_mm)
        affine[:3, 2] = np.multiply(first.row_direction, first.column_spacing_mm)
        affine[:3, 3] = first.position_mm
        return affine

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows and columns."""
        return (len(self.planes), self.planes[0].rows, self.planes[0].columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """Voxels and their place in the patient.

    Parameters
    ----------
    voxels
        Shape ``(slices, rows, columns)``, modality values (rescale applied), float32.
    affine
        4 × 4 matrix from (slice, row, column) indices to LPS millimetres.
    """

    voxels: NDArray[np.float32]
    affine: NDArray[np.float64]


def read_series(paths: Iterable[Path]) -> Series:
    """Read the headers of one series' files and put its slices in order.

    Parameters
    ----------
    paths
        The files of one series, in any order: classic single-frame objects, or enhanced multi-frame ones.

    Raises
    ------
    SeriesUnusable
        The files are not one series that makes a volume; the job is parked with the reason code.
    """
    instances = tuple(map(read_instance, paths))
    headers = tuple(instance.header for instance in instances)
    _check_one_series(headers)
    frames = [
        (index, number)
        for index, header in enumerate(headers)
        for number in range(1, frame_count(header) + 1)
    ]
    planes = [_plane(headers[index], number) for index, number in frames]
    stack = examine(planes)
    if isinstance(stack, StackFault):
        raise SeriesUnusable(stack.fault.value, stack.detail)
    # Headers follow the slices too, so that the first header is the first slice's.
    sources = list(dict.fromkeys(frames[i][0] for i in stack.order))
    position = {source: place for place, source in enumerate(sources)}
    return Series(
        headers=tuple(headers[i] for i in sources),
        paths=tuple(instances[i].path for i in sources),
        pixels_at=tuple(instances[i].pixels_at for i in sources),
        planes=tuple(plane for i in stack.order if (plane := planes[i]) is not None),
        frames=tuple((position[frames[i][0]], frames[i][1]) for i in stack.order),
        stack=replace(stack, order=tuple(range(len(frames)))),
    )


def load_volume(series: Series) -> Volume:
    """Decode the pixels of a series.

    Stored values become modality values slice by slice (PS3.3 C.11.1.1.2); MONOCHROME1 tells how to
    show them and changes none.

    Raises
    ------
    SeriesUnusable
        Pixels are absent, cannot be decoded, or are not of one sample each.
    """
    voxels = np.empty(series.shape, np.float32)
    slices_of: dict[int, list[int]] = {}
    for place, (source, _) in enumerate(series.frames):
        slices_of.setdefault(source, []).append(place)
    for source, places in slices_of.items():
        header = series.headers[source]
        frames = stored_values(
            Instance(path=series.paths[source], header=header, pixels_at=series.pixels_at[source])
        )
        for place in places:
            number = series.frames[place][1]
            voxels[place] = frames[number - 1]
            _rescale(voxels[place], header, number)
    return Volume(voxels=voxels, affine=series.affine)


def _check_one_series(headers: Sequence[Dataset]) -> None:
    if not headers:
        raise SeriesUnusable(Unusable.NO_INSTANCES, "the series has no instance")
    for keyword in ONE_SERIES:
        values = {str(header.get(keyword, "")) for header in headers}
        if len(values) > 1:
            raise SeriesUnusable(
                Unusable.MIXED_SERIES, f"the files differ in {keyword}: they are not one series"
            )
    if not headers[0].get("FrameOfReferenceUID"):
        raise SeriesUnusable(
            Unusable.NO_FRAME_OF_REFERENCE,
            "without a Frame of Reference UID a result cannot say where it lies",
        )


def _plane(header: Dataset, number: int) -> Plane | None:
    keywords = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    values = {keyword: frame_value(header, number, keyword) for keyword in keywords}
    return Plane.from_keywords(
        values | {"Rows": header.get("Rows"), "Columns": header.get("Columns")}
    )


def frame_value(header: Dataset, number: int, keyword: str) -> Any:
    """Value of one frame: of its own functional group, else of the shared one; of a classic object its top.

    Parameters
    ----------
    number
        Frame number, from 1.
    keyword
        One of `FUNCTIONAL_GROUPS`.

    Returns
    -------
    Any
        As pydicom gives it; None when the frame has none.
    """
    if "PerFrameFunctionalGroupsSequence" not in header:
        return header.get(keyword)
    own = header.PerFrameFunctionalGroupsSequence[number - 1 : number]
    for groups in (*own, *header.get("SharedFunctionalGroupsSequence", ())):
        for macro in groups.get(FUNCTIONAL_GROUPS[keyword], ()):
            if keyword in macro:
                return macro.get(keyword)
    return None


def _rescale(voxels: NDArray[np.float32], header: Dataset, number: int) -> None:
    slope = _number(frame_value(header, number, "RescaleSlope"), absent=1.0)
    intercept = _number(frame_value(header, number, "RescaleIntercept"), absent=0.0)
    if (slope, intercept) != (1.0, 0.0):
        voxels *= slope
        voxels += intercept


def _number(value: Any, *, absent: float) -> float:
    return absent if value is None else float(value)
