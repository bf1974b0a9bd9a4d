"""The models of a repository, run by the process that asks."""

import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from inference.errors import ModelFailed, ServerUnavailable
from inference.server.protocol import Output, Tensors, check


class InProcessServer:
    """The models of a repository in this process, where no Triton server is.

    A model takes part by a class ``Model(folder)`` with ``predict(tensors) -> tensors`` in its newest
    version's ``model.py``. It runs to its end: `timeout_s` cannot be enforced here.

    Parameters
    ----------
    repository
        Folder of the models.
    """

    name = "this process (no Triton)"

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._models: dict[str, Any] = {}
        self._one_at_a_time = threading.Lock()

    def ready(self, model: str) -> bool:
        """See `ModelServer.ready`."""
        return self._file(model) is not None

    def infer(
        self, model: str, inputs: Tensors, outputs: Sequence[Output], *, timeout_s: float
    ) -> dict[str, NDArray[Any]]:
        """See `ModelServer.infer`.

        Raises
        ------
        ModelFailed
            The model raised, or answered with another shape or type.
        """
        with self._one_at_a_time:
            loaded = self._load(model)
            try:
                answer = loaded.predict(dict(inputs))
            except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
                raise ModelFailed(f"{model}: {error}") from error
        for output in outputs:
            if output.name not in answer:
                raise ModelFailed(f"{model} gave no output {output.name}")
            check(output, answer[output.name].shape, answer[output.name].dtype)
        return {output.name: answer[output.name] for output in outputs}

    def _file(self, model: str) -> Path | None:
        versions = [
            path
            for path in self._repository.glob(f"{model}/*/model.py")
            if path.parent.name.isdecimal()
        ]
        return max(versions, key=lambda path: int(path.parent.name), default=None)

    def _load(self, model: str) -> Any:
        path = self._file(model)
        if path is None:
            raise ServerUnavailable(f"{self._repository} holds no model.py of {model}")
        if model not in self._models:
            spec = importlib.util.spec_from_file_location(f"model of {model}", path)
            if spec is None or spec.loader is None:
                raise ModelFailed(f"{path} cannot be imported")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            self._models[model] = module.Model(path.parent)
        return self._models[model]
