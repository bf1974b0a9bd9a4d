"""From a network's mask to one that is fit to be shown, on the grid of the source."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.card import Card
from inference.errors import ModelFailed
from inference.preprocess import Grid
from inference.resampling import exact, sample

_TOUCHING = ndimage.generate_binary_structure(3, 3)
"""Voxels that share a corner are one region; a hole, the reverse, must be closed on all sides."""

ROUNDING = 1e-3
"""How far a network's last layer may miss the ends of 0 to 1."""


def clean(card: Card, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Keep the largest region of each segment and fill its holes, as far as the card asks for it.

    Parameters
    ----------
    card
        Says what is wanted and which segments there are.
    mask
        Segment number of each voxel, any three axes; not changed.

    Raises
    ------
    ModelFailed
        The mask names a segment that the card does not know.
    """
    last = int(mask.max(initial=0))
    if last > len(card.segments):
        raise ModelFailed(f"{card.name} answered with segment {last}, which its card does not name")
    cleaned = np.zeros_like(mask)
    for segment in card.segments:
        region = mask == segment.number
        box = _box(region)
        if box is None:
            continue
        inside = region[box]
        if card.largest_component:
            inside = largest_region(inside)
        if card.fill_holes:
            inside = _filled(inside)
        # A hole of one segment may be another segment: what the network named stays.
        unnamed = (mask[box] == 0) | (mask[box] == segment.number)
        cleaned[box][inside & unnamed] = segment.number
    return cleaned


def onto_source(card: Card, mask: NDArray[np.uint8], grid: Grid, source: Grid) -> NDArray[np.uint8]:
    """Bring a mask from the network's grid back onto the source's.

    Each segment is interpolated and cut at one half, so that its surface stays where it was and its
    volume with it; the nearest voxel alone would move both by up to half a voxel.

    Returns
    -------
    ndarray
        uint8, of the source's shape, segment numbers.
    """
    to_mask = source.indices_in(grid.affine)
    if exact(to_mask, source.shape, mask.shape):
        moved: NDArray[np.uint8] = sample(mask, to_mask, source.shape, outside=0)
        return moved
    back = np.zeros(source.shape, np.uint8)
    for segment in card.segments:
        region = (mask == segment.number).astype(np.float32)
        share = sample(region, to_mask, source.shape, outside=0.0)
        back[share >= 0.5] = segment.number
    return back


def map_onto_source(values: NDArray[np.float32], grid: Grid, source: Grid) -> NDArray[np.float32]:
    """Bring a saliency map from the network's grid back onto the source's, linear in between.

    Parameters
    ----------
    values
        From 0 to 1, on `grid`.

    Returns
    -------
    ndarray
        float32, of the source's shape; 0 where the network's grid does not reach.

    Raises
    ------
    ModelFailed
        A value is no number, or lies outside 0 to 1.
    """
    low, high = float(values.min()), float(values.max())
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # False for NaN, which each of them then is
        raise ModelFailed(f"saliency lies between {low:.4g} and {high:.4g}, not between 0 and 1")
    moved: NDArray[np.float32] = sample(
        values, source.indices_in(grid.affine), source.shape, outside=0.0
    )
    return np.clip(moved, 0, 1, out=moved)


def largest_region(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Largest connected part of a region, which must not be empty; voxels that share a corner are one."""
    labels, count = ndimage.label(region, _TOUCHING)
    if count == 1:
        return region
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    largest: NDArray[np.bool_] = labels == sizes.argmax()
    return largest


def _filled(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    outside, _ = ndimage.label(~np.pad(region, 1))
    filled: NDArray[np.bool_] = outside[1:-1, 1:-1, 1:-1] != outside[0, 0, 0]
    return filled


def _box(region: NDArray[np.bool_]) -> tuple[slice, slice, slice] | None:
    spans = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        occupied = np.flatnonzero(region.any(axis=others))
        if occupied.size == 0:
            return None
        spans.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    return (spans[0], spans[1], spans[2])
