"""Values of a volume on another grid, exact where the grids allow it, linear in between."""

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
    scales = [to_voxels[axes[axis], axis] for axis in range(3)]
    starts = [to_voxels[axes[axis], 3] for axis in range(3)]
    turned = voxels.transpose(axes)
    if _on_voxels(scales, starts, shape, turned.shape):
        return _cut(turned, scales, starts, shape)
    return _separable(turned, scales, starts, shape)


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


def _on_voxels(
    scales: list[float], starts: list[float], shape: tuple[int, ...], source: tuple[int, ...]
) -> bool:
    for scale, start, count, available in zip(scales, starts, shape, source, strict=True):
        end = start + scale * (count - 1)
        step = round(scale)
        first = round(start)
        last = first + step * (count - 1)
        if abs(step) != 1 or max(abs(start - first), abs(end - last)) > TOLERANCE:
            return False
        if min(first, last) < 0 or max(first, last) >= available:
            return False
    return True


def _cut(
    voxels: NDArray[Any], scales: list[float], starts: list[float], shape: tuple[int, ...]
) -> NDArray[Any]:
    spans = []
    for scale, start, count in zip(scales, starts, shape, strict=True):
        first = round(start)
        end = first + round(scale) * count
        spans.append(slice(first, end if end >= 0 else None, round(scale)))
    return np.array(voxels[tuple(spans)], order="C")


def _separable(
    voxels: NDArray[Any], scales: list[float], starts: list[float], shape: tuple[int, ...]
) -> NDArray[Any]:
    values = voxels.astype(np.float32)
    for axis, (scale, start, count) in enumerate(zip(scales, starts, shape, strict=True)):
        available = values.shape[axis]
        points = np.clip(start + scale * np.arange(count), 0, available - 1)
        below = np.minimum(points.astype(int), max(available - 2, 0))
        along = [1, 1, 1]
        along[axis] = count
        share = (points - below).astype(np.float32).reshape(along)
        lower = values.take(below, axis)
        upper = values.take(np.minimum(below + 1, available - 1), axis)
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
