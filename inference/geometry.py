"""Where the planes of a series lie in the patient: the one geometry.

The node asks it whether a series has a gap; `inference.volume` asks it for the order and the affine.
All positions are in the patient's coordinate system, LPS, in millimetres (PS3.3 C.7.6.2.1.1).
Pure: the standard library only.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

Vector = tuple[float, float, float]

DIRECTION_TOLERANCE = 1e-3
"""Largest difference between two direction cosines that still count as equal."""

SPACING_TOLERANCE = 0.05
"""Largest relative difference of one slice distance from the median distance."""

POSITION_TOLERANCE_MM = 0.01
"""Below this distance along the normal two planes share a position."""

SHEAR_TOLERANCE_MM = 0.5
"""Largest sideways drift from the first slice to the last; more is a tilted gantry."""


LARGEST_MM = 1e6
"""A number beyond it says nothing of a patient, and a difference of two such could overflow."""


class Fault(StrEnum):
    """Why planes do not make a volume; the values are reason codes."""

    NO_GEOMETRY = "NO-GEOMETRY"
    TOO_FEW_SLICES = "TOO-FEW-SLICES"
    MIXED_GRID = "MIXED-GRID"
    MIXED_ORIENTATION = "MIXED-ORIENTATION"
    DUPLICATE_POSITION = "DUPLICATE-POSITION"
    GAP = "GAP"
    UNEVEN_SPACING = "UNEVEN-SPACING"
    SHEARED = "SHEARED"
    UNEQUAL_GROUPS = "UNEQUAL-GROUPS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """The pixel grid of one frame in the patient (PS3.3 C.7.6.2).

    Parameters
    ----------
    position_mm
        Centre of the first pixel, LPS: Image Position (Patient) (0020,0032).
    row_direction, column_direction
        Unit vectors in which the column index and the row index grow: the first and the second
        triplet of Image Orientation (Patient) (0020,0037).
    row_spacing_mm, column_spacing_mm
        Distance between neighbouring rows, and between neighbouring columns: the first and the
        second value of Pixel Spacing (0028,0030).
    rows, columns
        Size of the pixel matrix.
    """

    position_mm: Vector
    row_direction: Vector
    column_direction: Vector
    row_spacing_mm: float
    column_spacing_mm: float
    rows: int
    columns: int

    @property
    def normal(self) -> Vector:
        """Unit vector across the plane: row direction × column direction."""
        return cross(self.row_direction, self.column_direction)

    @classmethod
    def from_keywords(cls, values: Mapping[str, Any]) -> "Plane | None":
        """Read a plane from attributes by DICOM keyword; None when any is absent or malformed."""
        try:
            position = tuple(float(v) for v in values["ImagePositionPatient"])
            cosines = tuple(float(v) for v in values["ImageOrientationPatient"])
            row_spacing, column_spacing = (float(v) for v in values["PixelSpacing"])
            rows, columns = int(values["Rows"]), int(values["Columns"])
        except (KeyError, TypeError, ValueError):
            return None
        numbers = (*position, *cosines, row_spacing, column_spacing)
        if len(position) != 3 or len(cosines) != 6 or not all(map(_plausible, numbers)):
            return None
        row, column = cosines[:3], cosines[3:]
        if min(row_spacing, column_spacing) <= 0 or not _orthonormal(row, column):
            return None
        return cls(
            position_mm=(position[0], position[1], position[2]),
            row_direction=(row[0], row[1], row[2]),
            column_direction=(column[0], column[1], column[2]),
            row_spacing_mm=row_spacing,
            column_spacing_mm=column_spacing,
            rows=rows,
            columns=columns,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Planes that make a volume.

    Parameters
    ----------
    order
        Indices into the planes that were examined, ascending along `normal`.
    normal
        Unit vector from one slice to the next, LPS.
    slice_spacing_mm
        Median distance between neighbouring slices.
    """

    order: tuple[int, ...]
    normal: Vector
    slice_spacing_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StackFault:
    """Why planes do not make a volume, with the detail in words (positions in mm, no patient data)."""

    fault: Fault
    detail: str


def examine(planes: Sequence[Plane | None]) -> Stack | StackFault:
    """Order planes along their normal, or say why they do not make a volume.

    Instance Numbers play no part. A prefix of a gapless series is gapless too: this function can veto
    a series and never prove it complete.

    Parameters
    ----------
    planes
        One plane for each frame, in any order; None where a frame carries no geometry.
    """
    present = [plane for plane in planes if plane is not None]
    if len(present) < len(planes) or not present:
        return StackFault(
            fault=Fault.NO_GEOMETRY,
            detail=f"{len(planes) - len(present)} of {len(planes)} frames carry no usable position",
        )
    if len(present) < 2:
        return StackFault(fault=Fault.TOO_FEW_SLICES, detail="one slice alone is not a volume")
    fault = _grid_fault(present)
    if fault is not None:
        return fault
    normal = present[0].normal
    offsets = [dot(plane.position_mm, normal) for plane in present]
    order = tuple(sorted(range(len(present)), key=offsets.__getitem__))
    steps = [offsets[b] - offsets[a] for a, b in pairwise(order)]
    spacing = sorted(steps)[len(steps) // 2]
    fault = _spacing_fault(order, offsets, steps, spacing) or _shear_fault(present, order, normal)
    if fault is not None:
        return fault
    return Stack(order=order, normal=normal, slice_spacing_mm=spacing)


SMALLEST_STACK = 5
"""Fewer planes beside a stack of another orientation or grid are a localizer: they may lie anywhere."""

_MISSING = frozenset({Fault.GAP, Fault.UNEVEN_SPACING})


def missing(planes: Sequence[Plane | None], keys: Sequence[Sequence[Any]]) -> StackFault | None:
    """Say whether frames are missing inside a series; None when nothing shows that.

    What is merely no volume, such as a localizer or several echoes in one series, is no fault here.

    Parameters
    ----------
    planes
        One plane for each frame; None where a frame carries no geometry, and says nothing.
    keys
        For each frame its time, echo, b-value, phase and the like, in the same order for all.
    """
    frames = [(p, tuple(k)) for p, k in zip(planes, keys, strict=True) if p is not None]
    stacks: list[list[tuple[Plane, tuple[Any, ...]]]] = []
    for frame in frames:
        home = next((s for s in stacks if _grid_fault([s[0][0], frame[0]]) is None), None)
        if home is None:
            stacks.append([frame])
        else:
            home.append(frame)
    if len(stacks) > 1:
        stacks = [stack for stack in stacks if len(stack) >= SMALLEST_STACK]
    return next((fault for fault in map(_stack_fault, stacks) if fault is not None), None)


def _stack_fault(frames: Sequence[tuple[Plane, tuple[Any, ...]]]) -> StackFault | None:
    normal = frames[0][0].normal
    groups = [list(frames)]
    for i in range(len(frames[0][1])):
        groups = [part for group in groups for part in _split(group, i, normal)]
    places = [list(_places([plane for plane, _ in group], normal).values()) for group in groups]
    for group in places:
        verdict = examine([planes[0] for planes in group])
        if isinstance(verdict, StackFault) and verdict.fault in _MISSING:
            return verdict
    sizes = [len(group) for group in places]
    if min(sizes) < max(sizes):
        return StackFault(
            fault=Fault.UNEQUAL_GROUPS,
            detail=f"{len(sizes)} times, echoes, b-values or phases; one has {min(sizes)} positions, "
            f"another {max(sizes)}",
        )
    return None


def _split(
    frames: list[tuple[Plane, tuple[Any, ...]]], key: int, normal: Vector
) -> list[list[tuple[Plane, tuple[Any, ...]]]]:
    """Split frames by one key when it tells those at one position apart, and not each from each."""
    parts: dict[str, list[tuple[Plane, tuple[Any, ...]]]] = {}
    for frame in frames:
        parts.setdefault(str(frame[1][key]), []).append(frame)
    crowd = max(map(len, _places([plane for plane, _ in frames], normal).values()))
    return list(parts.values()) if 1 < len(parts) <= crowd else [frames]


def _places(planes: Sequence[Plane], normal: Vector) -> dict[int, list[Plane]]:
    """Planes by their position along the normal, in steps of the tolerance."""
    found: dict[int, list[Plane]] = {}
    last, place = -math.inf, 0
    for plane in sorted(planes, key=lambda one: dot(one.position_mm, normal)):
        offset = dot(plane.position_mm, normal)
        place += offset - last >= POSITION_TOLERANCE_MM
        last = offset
        found.setdefault(place, []).append(plane)
    return found


def _grid_fault(planes: Sequence[Plane]) -> StackFault | None:
    first = planes[0]
    for plane in planes[1:]:
        if (
            (plane.rows, plane.columns) != (first.rows, first.columns)
            or not math.isclose(plane.row_spacing_mm, first.row_spacing_mm, rel_tol=1e-3)
            or not math.isclose(plane.column_spacing_mm, first.column_spacing_mm, rel_tol=1e-3)
        ):
            return StackFault(
                fault=Fault.MIXED_GRID,
                detail=f"{first.rows}×{first.columns} and {plane.rows}×{plane.columns} pixels, "
                f"or different pixel spacings, in one series",
            )
        if not (
            _close(plane.row_direction, first.row_direction)
            and _close(plane.column_direction, first.column_direction)
        ):
            return StackFault(
                fault=Fault.MIXED_ORIENTATION,
                detail="planes of different orientation in one series",
            )
    return None


def _spacing_fault(
    order: Sequence[int], offsets: Sequence[float], steps: Sequence[float], spacing: float
) -> StackFault | None:
    shared = [i for i, step in enumerate(steps) if step < POSITION_TOLERANCE_MM]
    if shared:
        return StackFault(
            fault=Fault.DUPLICATE_POSITION,
            detail=f"{len(shared)} positions carry more than one frame, "
            f"first at {offsets[order[shared[0]]]:.2f} mm along the normal",
        )
    gaps = [i for i, step in enumerate(steps) if step > 1.5 * spacing]
    if gaps:
        first = offsets[order[gaps[0]]]
        missing = sum(round(steps[i] / spacing) - 1 for i in gaps)
        return StackFault(
            fault=Fault.GAP,
            detail=f"about {missing} slice(s) missing, first between {first:.2f} and "
            f"{first + steps[gaps[0]]:.2f} mm along the normal (spacing {spacing:.2f} mm)",
        )
    worst = max(steps, key=lambda step: abs(step - spacing))
    if abs(worst - spacing) > SPACING_TOLERANCE * spacing + POSITION_TOLERANCE_MM:
        return StackFault(
            fault=Fault.UNEVEN_SPACING,
            detail=f"slice distances vary: {worst:.3f} mm beside a median of {spacing:.3f} mm",
        )
    return None


def _shear_fault(
    planes: Sequence[Plane], order: Sequence[int], normal: Vector
) -> StackFault | None:
    first, last = planes[order[0]].position_mm, planes[order[-1]].position_mm
    across = subtract(last, first)
    along = dot(across, normal)
    drift = math.dist(across, (normal[0] * along, normal[1] * along, normal[2] * along))
    if drift > SHEAR_TOLERANCE_MM:
        return StackFault(
            fault=Fault.SHEARED,
            detail=f"the slices drift {drift:.2f} mm sideways over the stack (tilted gantry)",
        )
    return None


def cross(a: Vector, b: Vector) -> Vector:
    """Vector product of `a` and `b`."""
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def dot(a: Vector, b: Vector) -> float:
    """Scalar product of `a` and `b`."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def subtract(a: Vector, b: Vector) -> Vector:
    """Return `a` − `b`."""
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def _close(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(abs(x - y) <= DIRECTION_TOLERANCE for x, y in zip(a, b, strict=True))


def _plausible(number: float) -> bool:
    return abs(number) <= LARGEST_MM  # False for NaN and infinities too


def _orthonormal(row: Sequence[float], column: Sequence[float]) -> bool:
    products = (
        sum(v * v for v in row) - 1,
        sum(v * v for v in column) - 1,
        sum(r * c for r, c in zip(row, column, strict=True)),
    )
    return all(abs(p) <= 10 * DIRECTION_TOLERANCE for p in products)
