"""Random studies with random masks, each by its number: what a Segmentation must be able to carry."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference import phantoms
from inference.card import Segment
from inference.findings import Result
from inference.results.profile import Profile, Segments
from inference.volume import Series, read_series
from tests.unit.inference_results.studies import BRAIN, Study, enhanced, result_on

Mask = NDArray[np.uint8]
Shape = tuple[int, int, int]
Random = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Turned(Study):
    """A study whose axes lie anyhow in the patient."""

    axes: NDArray[np.float64]

    def affine(self) -> NDArray[np.float64]:
        affine = np.eye(4)
        affine[:3, :3] = self.axes * self.spacing_mm
        affine[:3, 3] = (-31.25, 17.5, -40.125)
        return affine


@dataclass(frozen=True, kw_only=True)
class RandomCase:
    """One study, one mask, one form; `told` names them where a judge finds fault."""

    study: Study
    mask: Mask
    profile: Profile
    multi_frame: bool
    told: str

    def result(self, folder: Path) -> Result:
        return result_on(self._series(folder), self.study, self.mask)

    def _series(self, folder: Path) -> Series:
        if self.multi_frame:
            return enhanced(self.study, folder)
        return read_series(phantoms.write(self.study.phantom(), folder))


def case(number: int) -> RandomCase:
    """Return the case of a number: always the same."""
    random = np.random.default_rng(number)
    shape = tuple(int(random.integers(2, most)) for most in (13, 41, 41))
    segments = int(random.integers(1, 6))
    geometry = random.choice(list(GEOMETRIES))
    kind = random.choice(list(MASKS))
    form = Segments(random.choice([Segments.BINARY, Segments.LABELMAP]))
    every_frame, multi_frame = bool(random.random() < 0.25), bool(random.random() < 0.2)
    study = Turned(
        shape=(shape[0], shape[1], shape[2]),
        spacing_mm=tuple(np.round(random.uniform(0.4, 5, 3), 3).tolist()),
        axes=GEOMETRIES[geometry](random),
        segments=tuple(_segment(place + 1) for place in range(segments)),
    )
    return RandomCase(
        study=study,
        mask=MASKS[kind](random, study.shape, segments),
        profile=Profile(name="random", segments=form, every_frame=every_frame),
        multi_frame=multi_frame,
        told=f"case {number}: {kind}, {shape}, {segments} segments, {geometry}, {form}, "
        f"{every_frame=}, {multi_frame=}",
    )


def _straight(random: Random) -> NDArray[np.float64]:
    return np.eye(3)[:, [2, 1, 0]]


def _flipped(random: Random) -> NDArray[np.float64]:
    """Any of the 48 ways in which axes lie along the patient's, right-handed or not."""
    turned: NDArray[np.float64] = np.eye(3)[:, random.permutation(3)]
    turned *= random.choice([-1.0, 1.0], 3)
    return turned


def _sagittal(random: Random) -> NDArray[np.float64]:
    return phantoms.grid(plane="sagittal")[:3, :3]


def _oblique(random: Random) -> NDArray[np.float64]:
    turned, _ = np.linalg.qr(random.normal(size=(3, 3)))
    return np.asarray(turned, np.float64)


def _empty(random: Random, shape: Shape, segments: int) -> Mask:
    return np.zeros(shape, np.uint8)


def _one_voxel(random: Random, shape: Shape, segments: int) -> Mask:
    mask = np.zeros(shape, np.uint8)
    mask[tuple(random.integers(0, shape))] = random.integers(1, segments + 1)
    return mask


def _border(random: Random, shape: Shape, segments: int) -> Mask:
    """Make a shell around the volume, with other segments at its corners."""
    mask = np.ones(shape, np.uint8)
    mask[1:-1, 1:-1, 1:-1] = 0
    mask[0, 0, :] = segments
    mask[-1, :, -1] = segments
    return mask


def _full(random: Random, shape: Shape, segments: int) -> Mask:
    return np.full(shape, random.integers(1, segments + 1), np.uint8)


def _noise(random: Random, shape: Shape, segments: int) -> Mask:
    return random.integers(0, segments + 1, shape, dtype=np.uint8)


def _components(random: Random, shape: Shape, segments: int) -> Mask:
    """Many islands, dealt out to the segments."""
    labels, count = ndimage.label(random.random(shape) > random.uniform(0.5, 0.95))
    dealt = random.integers(0, segments + 1, count + 1, dtype=np.uint8)
    dealt[0] = 0
    return np.asarray(dealt[labels], np.uint8)


def _blobs(random: Random, shape: Shape, segments: int) -> Mask:
    field = ndimage.gaussian_filter(random.normal(size=shape), 1.5)
    cuts = np.quantile(field, np.linspace(0.5, 1, segments + 1)[:-1])
    return np.asarray(np.searchsorted(cuts, field), np.uint8)


def _far_apart(random: Random, shape: Shape, segments: int) -> Mask:
    """Something on the first slice and on the last, and nothing between them."""
    mask = np.zeros(shape, np.uint8)
    mask[[0, -1]] = random.integers(0, segments + 1, (2, *shape[1:]))
    return mask


GEOMETRIES: dict[str, Callable[[Random], NDArray[np.float64]]] = {
    "axial": _straight,
    "flipped": _flipped,
    "sagittal": _sagittal,
    "oblique": _oblique,
}
MASKS: dict[str, Callable[[Random, Shape, int], Mask]] = {
    "empty": _empty,
    "one voxel": _one_voxel,
    "border": _border,
    "full": _full,
    "noise": _noise,
    "components": _components,
    "blobs": _blobs,
    "far apart": _far_apart,
}


def _segment(number: int) -> Segment:
    return replace(
        BRAIN, number=number, label=f"Region {number}", colour_rgb=(40 * number, 90, 200)
    )
