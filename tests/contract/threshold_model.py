"""The model of the contract: what `inference.testing.ThresholdServer` does, as a server runs it."""

from pathlib import Path
from typing import Any

import numpy as np


class Model:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def predict(self, tensors: dict[str, Any]) -> dict[str, Any]:
        volume = tensors["volume"] + tensors.get("before", 0)
        if volume.min() == volume.max():
            raise ValueError("the volume has the same value everywhere")
        return {
            "mask": (volume > volume.max() / 2).astype(np.uint8),
            "forward_seconds": np.zeros(2, np.float32),
        }


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self.model = Model(Path(args["model_repository"]))

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self.answer(request) for request in requests]

    def answer(self, request: Any) -> Any:
        import triton_python_backend_utils as triton

        given = {
            name: triton.get_input_tensor_by_name(request, name) for name in ("volume", "before")
        }
        tensors = {name: one.as_numpy() for name, one in given.items() if one is not None}
        try:
            answer = self.model.predict(tensors)
        except ValueError as error:
            return triton.InferenceResponse(error=triton.TritonError(str(error)))
        return triton.InferenceResponse(
            output_tensors=[triton.Tensor(name, values) for name, values in answer.items()]
        )
