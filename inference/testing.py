"""Doubles that keep this library's promises, for the tests of whoever calls it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import InferenceError, ModelFailed, ServerUnavailable
from inference.server import Output, Tensors
from inference.server.protocol import check


@dataclass(slots=True)
class ThresholdServer:
    """A `ModelServer` that calls a voxel part of segment 1 when it is brighter than half of the brightest.

    Parameters
    ----------
    models
        Names that it knows.
    failure
        Raised by the next `infer`, and by each one after it until it is None again.
    calls
        The models that were asked for, one entry for each call of `infer`.
    """

    models: frozenset[str] = frozenset({"brain-extraction"})
    failure: InferenceError | None = None
    calls: list[str] = field(default_factory=list)
    name: str = "a double that thresholds"

    def ready(self, model: str) -> bool:
        """See `ModelServer.ready`."""
        return model in self.models and self.failure is None

    def infer(
        self, model: str, inputs: Tensors, outputs: Sequence[Output], *, timeout_s: float
    ) -> dict[str, NDArray[Any]]:
        """See `ModelServer.infer`.

        Raises
        ------
        ModelFailed
            The volume has one value everywhere, or another output is expected than the double gives.
        ServerUnavailable
            The model is not one of `models`.
        """
        self.calls.append(model)
        if self.failure is not None:
            raise self.failure
        if model not in self.models:
            raise ServerUnavailable(f"the double knows no {model}")
        volume = next(iter(inputs.values()))
        if volume.min() == volume.max():
            raise ModelFailed(f"{model}: the volume has the same value everywhere")
        given: dict[str, NDArray[Any]] = {
            "mask": (volume > volume.max() / 2).astype(np.uint8),
            "forward_seconds": np.zeros(2, np.float32),
        }
        for output in outputs:
            if output.name not in given:
                raise ModelFailed(f"{model} gave no output {output.name}")
            check(output, given[output.name].shape, given[output.name].dtype)
        return {output.name: given[output.name] for output in outputs}
