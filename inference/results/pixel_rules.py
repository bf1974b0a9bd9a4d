"""Rules for the pixels of a segmentation: each frame holds what is said of it, and none is for nothing."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import iter_pixels

from inference.results.examined import Source

BACKGROUND = 0
"""The value of a label map that is no segment: its item and its Pixel Padding Value (PS3.3 C.8.20.4)."""

Plane = NDArray[np.unsignedinteger[Any]]


def is_label_map(dataset: Dataset) -> bool:
    """Whether pixels are segment numbers (PS3.3 A.88) instead of one bit for one segment."""
    return bool(dataset.get("SegmentationType") == "LABELMAP")


def pixel_faults(dataset: Dataset, source: Source) -> Iterator[str]:
    """Say where pixels and their descriptions differ."""
    plane = source.series.planes[0]
    if (dataset.Rows, dataset.Columns) != (plane.rows, plane.columns):
        return  # told as a fault of the grid; the frames cannot be told from each other
    frames = len(dataset.PerFrameFunctionalGroupsSequence)
    if dataset.NumberOfFrames != frames or _written(dataset, frames) != frames:
        yield "frames, their descriptions and Pixel Data differ in number"
        return
    empty, values = 0, set()
    for pixels in _planes(dataset, frames):
        empty += not pixels.any()
        if is_label_map(dataset):
            values.update(np.flatnonzero(np.bincount(pixels)).tolist())
    if not values <= _described(dataset):
        yield "a pixel belongs to a segment that is not described"
    if empty and frames != _of_every_plane(dataset, source):
        yield f"{empty} frames are empty"


def _written(dataset: Dataset, frames: int) -> int:
    """Return how many frames Pixel Data holds; -1 where it is not of whole ones."""
    if is_label_map(dataset):
        return sum(1 for _ in generate_frames(dataset.PixelData, number_of_frames=frames))
    octets = -(-frames * dataset.Rows * dataset.Columns // 8)
    return frames if len(dataset.PixelData) == octets + octets % 2 else -1


def _planes(dataset: Dataset, frames: int) -> Iterator[Plane]:
    """Decode one frame after the other: all of them at once may be many times the object."""
    if is_label_map(dataset):
        yield from (plane.reshape(-1) for plane in iter_pixels(dataset, raw=True))
        return
    size = dataset.Rows * dataset.Columns
    octets = np.frombuffer(dataset.PixelData, np.uint8)
    for frame in range(frames):
        first, last = divmod(frame * size, 8), (frame + 1) * size
        bits = np.unpackbits(octets[first[0] : -(-last // 8)], bitorder="little")
        yield bits[first[1] : first[1] + size]


def _described(dataset: Dataset) -> set[int]:
    return {int(item.SegmentNumber) for item in dataset.SegmentSequence}


def _of_every_plane(dataset: Dataset, source: Source) -> int:
    """Return how many frames there are where a destination wants the empty ones too."""
    planes = len(source.series.planes)
    if is_label_map(dataset):
        return planes
    used = {
        int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        for item in dataset.PerFrameFunctionalGroupsSequence
    }
    return planes * len(used)
