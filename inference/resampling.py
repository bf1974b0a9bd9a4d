"""Values of a volume on another grid, exact where the grids allow it, linear in between."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

TOLERANCE = 0.05
"""Largest distance, in voxels, that a corner may be off for two grids to count as the same or parallel."""


def sample(
    voxels: NDArray[Any],
    to_voxels: NDArray[np.float64],
    shape: tuple[int, int, int],
    *,
    outside: float,
) -> NDArray[Any]:
    """Values of `voxels` at the points of another grid.

    When each point falls on a voxel, axes are only swapped, flipped and cut. When the axes are parallel,
    interpolation goes axis by axis and the outermost value continues to the voxel's edge and beyond.
    Otherwise points beyond the outermost centres get `outside`.

    Parameters
    ----------
    voxels
        Shape of three axes, any order.
    to_voxels
        4 × 4 matrix from indices of the new grid to indices of `voxels`.
    shape
        Shape of the new grid.
    outside
        Value where `voxels` says nothing.

    Returns
    -------
    ndarray
        Of the type of `voxels`, contiguous, its own memory.
    """
    axes = _parallel(to_voxels, shape)
    if axes is None:
        return _affine(voxels, to_voxels, shape, outside)
    lines = _lines(to_voxels, axes, shape)
    turned = voxels.transpose(axes)
    if all(line.on_voxels(count) for line, count in zip(lines, turned.shape, strict=True)):
        return np.array(turned[tuple(line.span for line in lines)], order="C")
    return _separable(turned, lines)


def exact(
    to_voxels: NDArray[np.float64], shape: tuple[int, int, int], available: tuple[int, ...]
) -> bool:
    """Whether each point of a grid falls on a voxel of a volume of shape `available`."""
    axes = _parallel(to_voxels, shape)
    return axes is not None and all(
        line.on_voxels(available[axis])
        for line, axis in zip(_lines(to_voxels, axes, shape), axes, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Line:
    """Points of the new grid along one axis, in voxels: `start`, and `step` from one to the next."""

    start: float
    step: float
    count: int

    def on_voxels(self, available: int) -> bool:
        first, step = round(self.start), round(self.step)
        last = first + step * (self.count - 1)
        end = self.start + self.step * (self.count - 1)
        return (
            abs(step) == 1
            and max(abs(self.start - first), abs(end - last)) <= TOLERANCE
            and min(first, last) >= 0
            and max(first, last) < available
        )

    @property
    def span(self) -> slice:
        first, step = round(self.start), round(self.step)
        end = first + step * self.count
        return slice(first, end if end >= 0 else None, step)


def _lines(
    to_voxels: NDArray[np.float64], axes: list[int], shape: tuple[int, int, int]
) -> list[_Line]:
    return [
        _Line(float(to_voxels[axes[axis], 3]), float(to_voxels[axes[axis], axis]), shape[axis])
        for axis in range(3)
    ]


def _parallel(to_voxels: NDArray[np.float64], shape: tuple[int, int, int]) -> list[int] | None:
    """For each axis of the new grid the axis of the volume that runs along it; None when one runs askew."""
    linear = to_voxels[:3, :3]
    axes = [int(axis) for axis in np.abs(linear).argmax(axis=0)]
    if sorted(axes) != [0, 1, 2]:
        return None
    askew = np.abs(linear)
    askew[axes, range(3)] = 0
    drift = askew @ (np.array(shape) - 1)
    return axes if drift.max() <= TOLERANCE else None


def _separable(voxels: NDArray[Any], lines: list[_Line]) -> NDArray[Any]:
    values = voxels.astype(np.float32, copy=False)
    # What shrinks most goes first: the later axes have less to do.
    for axis in sorted(range(3), key=lambda axis: lines[axis].count / voxels.shape[axis]):
        line = lines[axis]
        last = values.shape[axis] - 1
        points = np.clip(line.start + line.step * np.arange(line.count), 0, last)
        below = np.minimum(points.astype(int), max(last - 1, 0))
        along = [1, 1, 1]
        along[axis] = line.count
        share = (points - below).astype(np.float32).reshape(along)
        lower = values.take(below, axis)
        upper = values.take(np.minimum(below + 1, last), axis)
        upper -= lower
        upper *= share
        lower += upper
        values = lower
    return np.ascontiguousarray(values, dtype=voxels.dtype)


def _affine(
    voxels: NDArray[Any], to_voxels: NDArray[np.float64], shape: tuple[int, ...], outside: float
) -> NDArray[Any]:
    sampled: NDArray[Any] = ndimage.affine_transform(
        voxels,
        to_voxels,
        output_shape=shape,
        order=1,
        mode="constant",
        cval=outside,
        prefilter=False,
    )
    return sampled
