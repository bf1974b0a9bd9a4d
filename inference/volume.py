"""A series as a volume: `(slices, rows, columns)` with its place in the patient.

Slices are sorted along the normal of their planes, never by Instance Number; a series that is no
volume is refused with a reason code, never guessed at.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference.geometry import Plane, Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The headers of one series whose frames make a volume.

    Parameters
    ----------
    headers
        One dataset for each instance, without pixel data; for classic single-frame objects in slice order.
    paths
        The file of each header, in the same order.
    planes
        One plane for each slice, ascending along the stack's normal.
    frames
        For each slice, the index into `headers` and the frame number within that instance, from 1.
    stack
        Normal and slice spacing.
    """

    headers: tuple[Dataset, ...]
    paths: tuple[Path, ...]
    planes: tuple[Plane, ...]
    frames: tuple[tuple[int, int], ...]
    stack: Stack

    @property
    def affine(self) -> NDArray[np.float64]:
        """4 × 4 matrix from (slice, row, column) indices to LPS millimetres (PS3.3 C.7.6.2.1.1)."""
        raise NotImplementedError


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

    Raises
    ------
    SeriesUnusable
        The files are not one series that makes a volume; the job is parked with the reason code.
    """
    raise NotImplementedError


def load_volume(series: Series) -> Volume:
    """Decode the pixels of a series.

    Raises
    ------
    SeriesUnusable
        Pixels are absent, cannot be decoded, or are not of one sample each.
    """
    raise NotImplementedError
