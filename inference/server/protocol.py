"""What is asked of whoever runs the networks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.errors import ModelFailed

Tensors = Mapping[str, NDArray[Any]]
"""Arrays by the names that the model's configuration gives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What is expected of one output of a model.

    Parameters
    ----------
    name
        As the model's configuration spells it.
    shape
        Known beforehand: shared memory is set aside for it.
    dtype
        Of its elements.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


class ModelServer(Protocol):
    """Runs models by name. One object may be used by several threads."""

    @property
    def name(self) -> str:
        """What runs the networks, for people: ``Triton 2.51.0 (gRPC, system shared memory)``.

        Raises
        ------
        ServerUnavailable
            The server has not said yet what it is, and does not answer.
        """

    def ready(self, model: str) -> bool:
        """Whether the server answers and has loaded `model`; never raises."""

    def infer(
        self, model: str, inputs: Tensors, outputs: Sequence[Output], *, timeout_s: float
    ) -> dict[str, NDArray[Any]]:
        """Run a model once.

        Parameters
        ----------
        model
            Name of its folder in the repository.
        inputs
            Every input of the model.
        outputs
            The outputs wanted, with the shapes and types that they must have.
        timeout_s
            Longest time to wait for the answer.

        Returns
        -------
        dict
            The outputs by name; they belong to the caller.

        Raises
        ------
        ServerUnavailable
            The server did not answer in time or does not have the model now; try again later.
        ModelFailed
            The model raised, or answered with another shape or type; the job is parked.
        """


def check(output: Output, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
    """Compare what a model answered with what was expected of it.

    Raises
    ------
    ModelFailed
        Shape or type differ.
    """
    if tuple(shape) != output.shape or dtype != output.dtype:
        raise ModelFailed(
            f"the output {output.name} is {dtype} {tuple(shape)}, "
            f"not {output.dtype} {output.shape} as expected"
        )
