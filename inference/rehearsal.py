"""A whole analysis of a phantom, for nobody: what a process does for the first time, it does slowly.

Tables that the libraries load when they are first asked, code that is imported late and memory that was
never touched cost the first study of a fresh process a second; here they cost nobody anything.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference import phantoms
from inference.analysis import MASK, SALIENCY, analyse
from inference.card import Card
from inference.context import Context
from inference.results import gate
from inference.results.objects import Equipment, ResultRequest
from inference.results.set import build
from inference.server import Output, Tensors
from inference.volume import read_series

_SHAPE = (40, 48, 48)
_SPACING_MM = (3.0, 2.0, 2.0)
_RADIUS_MM = 30.0
_CREATED = datetime(2026, 1, 1, tzinfo=UTC)


def rehearse(card: Card, equipment: Equipment) -> None:
    """Read a phantom, segment it without a network, build its objects and check them; forget it all.

    Parameters
    ----------
    card
        Whose analysis is rehearsed; its model is not asked.
    equipment
        Who makes the objects.

    Raises
    ------
    InferenceError
        The phantom cannot be analysed by this card; a real study may well be.
    OSError
        There is no room for temporary files.
    """
    affine = phantoms.grid(spacing_mm=_SPACING_MM)
    voxels = phantoms.sphere(affine, _SHAPE, radius_mm=_RADIUS_MM)
    with tempfile.TemporaryDirectory(prefix="overread-rehearsal-") as folder:
        phantom = phantoms.Phantom(voxels=voxels, affine=affine)
        series = read_series(phantoms.write(phantom, Path(folder), compress=True))
        inputs = {one.name: series for one in card.inputs}
        # Coarser than the card asks for: interpolation is rehearsed, and quickly.
        coarse = replace(card, spacing_mm=_SPACING_MM)
        result = analyse(coarse, inputs, Context(), {}, server=_BrighterHalf())
        objects = build(result, ResultRequest(equipment=equipment, created=_CREATED))
        gate.check(objects, result.series)


class _BrighterHalf:
    """A `ModelServer` without models: segment 1 is what is brighter than half of the brightest."""

    name = "none"

    def ready(self, model: str) -> bool:
        return bool(model)

    def infer(
        self, model: str, inputs: Tensors, outputs: Sequence[Output], *, timeout_s: float
    ) -> dict[str, NDArray[Any]]:
        volume = next(iter(inputs.values()))
        mask = (volume > volume.max() / 2).astype(np.uint8)
        nothing = {one.name: np.zeros(one.shape, one.dtype) for one in outputs}
        known = {MASK: mask, SALIENCY: mask.astype(np.float32)}
        return nothing | {name: known[name] for name in known if name in nothing}
