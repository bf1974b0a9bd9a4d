"""Brain extraction: two networks of deepbet, one that finds the head's brain and one that cuts it out.

Runs in Triton's Python backend (`TritonPythonModel`) and in any process (`Model`) alike. Stands alone: it
imports nothing of the node, so that a Triton server elsewhere can serve this folder as it is.
"""

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch.nn.functional import interpolate

Array = np.ndarray[Any, np.dtype[Any]]
Shape = tuple[int, ...]

COARSE = (128, 128, 128)
FINE = (256, 256, 256)
MARGIN = 0.1
"""Share of the box that is added at each of its ends."""
SPECKS = 0.02
"""A plane belongs to the brain's box when more than this share of it does."""
MEAN, DEVIATION = 0.449, 0.226
"""What the networks were trained to see (means of ImageNet's channels)."""


class Model:
    """Finds the brain in a T1-weighted head.

    Parameters
    ----------
    folder
        Where ``bbox_model.pt`` and ``model.pt`` lie.
    """

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._finder = self._load(Path(folder) / "bbox_model.pt")
        self._cutter = self._load(Path(folder) / "model.pt")

    def predict(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Segment ``volume`` (float32, axes growing right, front and up, slowest first).

        Returns
        -------
        dict
            ``mask`` (uint8, shape of the volume, 1 inside the brain) and ``forward_seconds`` (float32, two:
            time in each network).

        Raises
        ------
        ValueError
            The volume is empty, not three-dimensional, or has one value everywhere.
        """
        volume = np.array(tensors["volume"])  # a copy: Triton's buffers are read-only
        if volume.ndim != 3 or volume.size == 0:
            raise ValueError(f"expected a volume of three axes, got the shape {volume.shape}")
        voxels = torch.from_numpy(volume).nan_to_num_()
        coarse = _resized(voxels, COARSE)
        low, high = (float(q) for q in np.quantile(coarse.numpy(), [0.005, 0.995]))
        if not high > low:
            raise ValueError("the volume has the same value nearly everywhere: it shows nothing")
        found, finder_seconds = self._forward(
            self._finder, _standardised(coarse, COARSE, low, high)
        )
        mask = np.zeros(volume.shape, np.uint8)
        cutter_seconds = 0.0
        box = _box(_largest(found > 0.5), volume.shape)
        if box is not None:
            fine = _standardised(voxels[box], FINE, low, high)
            cut, cutter_seconds = self._forward(self._cutter, fine)
            mask[box] = _resized(torch.from_numpy(cut), mask[box].shape).numpy() > 0.5
        return {
            "mask": mask,
            "forward_seconds": np.array([finder_seconds, cutter_seconds], np.float32),
        }

    def _load(self, path: Path) -> Any:
        network = torch.jit.load(path, map_location=self._device).eval()
        if self._device.type == "cpu":
            # Twice as fast on a CPU; probabilities change by at most 1e-4.
            return torch.jit.optimize_for_inference(torch.jit.freeze(network))
        return network

    def _forward(self, network: Any, image: torch.Tensor) -> tuple[Array, float]:
        """Probability of brain for each voxel, and the seconds that the network took."""
        with torch.inference_mode():
            batch = image[None, None].to(self._device)
            start = time.perf_counter()
            probability = network(batch)[0, 1].cpu()
            return probability.numpy(), time.perf_counter() - start


def _resized(voxels: torch.Tensor, shape: Shape) -> torch.Tensor:
    return interpolate(voxels[None, None], tuple(shape), mode="nearest-exact")[0, 0]


def _standardised(voxels: torch.Tensor, shape: Shape, low: float, high: float) -> torch.Tensor:
    """Resize, scale from `low` and `high` to 0 and 1, and give the result the mean and deviation expected.

    A resized voxel is a copy: mean and deviation follow from how often each voxel is copied, and only what
    there was before has to be gone through.
    """
    scaled = ((voxels - low) / (high - low)).clamp_(0, 1)
    count = math.prod(shape)
    mean = _copied_sum(scaled, shape) / count
    variance = (_copied_sum(scaled.square(), shape) - count * mean**2) / (count - 1)
    factor = DEVIATION / math.sqrt(variance)
    return _resized(scaled.mul_(factor).add_(MEAN - factor * mean), shape)


def _copied_sum(voxels: torch.Tensor, shape: Shape) -> float:
    """Sum over what `_resized` would make of `voxels`."""
    total = voxels
    for size, resized in zip(reversed(voxels.shape), reversed(shape), strict=True):
        indices = torch.arange(size, dtype=torch.float32)[None, None]
        source = interpolate(indices, (resized,), mode="nearest-exact")[0, 0].long()
        copies = torch.bincount(source, minlength=size)
        total = total @ copies.to(total.dtype)
        total = total.double()
    return float(total)


def _largest(mask: Array) -> Array:
    labels, count = ndimage.label(mask, ndimage.generate_binary_structure(3, 3))
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()


def _box(mask: Array, shape: Shape) -> tuple[slice, ...] | None:
    """Find the slices of a volume of `shape` round the brain in the coarse `mask`; None when there is none."""
    slices = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        planes = np.flatnonzero(mask.mean(axis=others) > SPECKS)
        if planes.size == 0:
            return None
        scale = shape[axis] / mask.shape[axis]
        start, stop = planes[0] * scale, (planes[-1] + 1) * scale
        centre, size = round((start + stop) / 2), round((1 + 2 * MARGIN) * (stop - start))
        first, last = int(centre - size / 2), int(centre + size / 2)
        slices.append(slice(max(0, first), min(shape[axis], last)))
    return tuple(slices)


class TritonPythonModel:
    """The same, as Triton's Python backend calls it."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the networks of this version's folder, once."""
        self._model = Model(Path(args["model_repository"]) / args["model_version"])
        self._outputs = [output["name"] for output in json.loads(args["model_config"])["output"]]

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request; a volume that shows nothing is answered with an error."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        import triton_python_backend_utils as triton  # exists only inside Triton

        volume = triton.get_input_tensor_by_name(request, "volume").as_numpy()
        try:
            answer = self._model.predict({"volume": volume})
        except ValueError as error:
            return triton.InferenceResponse(error=triton.TritonError(str(error)))
        return triton.InferenceResponse(
            output_tensors=[triton.Tensor(name, answer[name]) for name in self._outputs]
        )
