"""Bring a volume onto the grid that a model's card asks for."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from inference.card import Card
from inference.resampling import sample
from inference.volume import Volume

DIRECTIONS: dict[str, tuple[int, int, int]] = {
    "R": (-1, 0, 0),
    "L": (1, 0, 0),
    "A": (0, -1, 0),
    "P": (0, 1, 0),
    "S": (0, 0, 1),
    "I": (0, 0, -1),
}
"""Where an axis of each letter grows to, in LPS."""

_EDGE = 1e-3
"""Share of a voxel that rounding may add to a field of view before it costs another voxel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Points in the patient, in rows along three directions.

    Parameters
    ----------
    affine
        4 × 4 matrix from indices to LPS millimetres.
    shape
        Number of points along each axis, slowest first.
    """

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]

    def indices_in(self, affine: NDArray[np.float64]) -> NDArray[np.float64]:
        """4 × 4 matrix from indices of this grid to those of the grid that `affine` places."""
        into: NDArray[np.float64] = np.linalg.inv(affine) @ self.affine
        return into


def grid_for(card: Card, volume: Volume) -> Grid:
    """Grid of the card's axes and voxel size that covers a volume."""
    return covering(volume, card.orientation, card.spacing_mm)


def covering(volume: Volume, orientation: str, spacing_mm: tuple[float, float, float]) -> Grid:
    """Grid along the patient's axes that covers a volume, edges of its outer voxels included.

    A volume whose axes and voxel size are already those gets its own points, reordered.

    Parameters
    ----------
    volume
        What is to be covered.
    orientation
        Where each axis grows to, slowest first (letters of `DIRECTIONS`).
    spacing_mm
        Distance of points along each axis.
    """
    axes = np.array([DIRECTIONS[letter] for letter in orientation], np.float64).T
    spacing = np.array(spacing_mm)
    edges = [(-0.5, count - 0.5) for count in volume.voxels.shape]
    corners = np.array([(*corner, 1.0) for corner in product(*edges)])
    along = (volume.affine @ corners.T)[:3].T @ axes
    low, high = along.min(axis=0), along.max(axis=0)
    counts = np.maximum(1, np.ceil((high - low) / spacing - _EDGE)).astype(int)
    first = (low + high) / 2 - spacing * (counts - 1) / 2
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = axes @ first
    return Grid(affine=affine, shape=(int(counts[0]), int(counts[1]), int(counts[2])))


def onto(grid: Grid, volume: Volume) -> NDArray[np.float32]:
    """Values of a volume at the points of a grid.

    Returns
    -------
    ndarray
        float32, of the grid's shape; beyond the volume stands its lowest value.
    """
    voxels: NDArray[np.float32] = sample(
        volume.voxels,
        grid.indices_in(volume.affine),
        grid.shape,
        outside=float(volume.voxels.min()),
    )
    return voxels
