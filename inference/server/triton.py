"""A Triton server, asked by gRPC."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from inference.errors import ModelFailed, ServerUnavailable
from inference.server.protocol import Output, Tensors, check
from inference.server.region import Region, described, sweep

_CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", triton.MAX_GRPC_MESSAGE_SIZE),
    ("grpc.max_receive_message_length", triton.MAX_GRPC_MESSAGE_SIZE),
    # gRPC's own default waits up to two minutes before it looks for a restarted server again.
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.enable_http_proxy", 0),
]

READY_TIMEOUT_S = 5.0
"""How long a server may take to say how it is."""

_LATER = frozenset(
    f"StatusCode.{name}"
    for name in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "NOT_FOUND", "RESOURCE_EXHAUSTED", "CANCELLED")
)
"""gRPC statuses after which the same request may succeed; NOT_FOUND is a model not loaded yet."""


class TritonServer:
    """A Triton server, asked by gRPC.

    Parameters
    ----------
    url
        ``host:port`` of its gRPC service.
    shared_memory
        Hand tensors over in system shared memory, which only a server on this machine can read. A server
        that refuses gets them by gRPC from then on.
    """

    def __init__(self, url: str, *, shared_memory: bool) -> None:
        self._url = url
        self._shared_memory = shared_memory
        self._version = ""
        self._connected: triton.InferenceServerClient | None = None
        self._connecting = threading.Lock()
        # the server forgets the regions of killed processes with the next request
        self._still_in_use: set[str] = sweep() if shared_memory else set()

    @property
    def name(self) -> str:
        """See `ModelServer.name`."""
        if not self._version:
            with _translated():
                metadata = self._client.get_server_metadata(client_timeout=READY_TIMEOUT_S)
            self._version = str(metadata.version)
        way = "gRPC, system shared memory" if self._shared_memory else "gRPC"
        return f"Triton {self._version} ({way})"

    def ready(self, model: str) -> bool:
        """See `ModelServer.ready`."""
        try:
            return bool(self._client.is_model_ready(model, client_timeout=READY_TIMEOUT_S))
        except InferenceServerException:
            return False

    def infer(
        self, model: str, inputs: Tensors, outputs: Sequence[Output], *, timeout_s: float
    ) -> dict[str, NDArray[Any]]:
        """See `ModelServer.infer`."""
        region = Region(inputs, outputs)
        if self._shared_memory and region.fits:
            with region:
                if self._registered(region):
                    return self._infer_shared(model, region, timeout_s)
        asked = []
        for name, tensor in inputs.items():
            asked.append(described(name, tensor))
            asked[-1].set_data_from_numpy(np.ascontiguousarray(tensor))
        wanted = [triton.InferRequestedOutput(output.name) for output in outputs]
        with _translated():
            answer = self._client.infer(model, asked, outputs=wanted, client_timeout=timeout_s)
        return {output.name: _checked(answer, output) for output in outputs}

    @property
    def _client(self) -> triton.InferenceServerClient:
        # Made on first use: a gRPC channel does not survive a fork.
        with self._connecting:
            if self._connected is None:
                self._connected = triton.InferenceServerClient(
                    self._url, channel_args=_CHANNEL_OPTIONS
                )
            return self._connected

    def _registered(self, region: Region) -> bool:
        try:
            self._client.register_system_shared_memory(
                region.name, region.name, region.nbytes, client_timeout=READY_TIMEOUT_S
            )
        except InferenceServerException as error:
            if error.status() in _LATER - {"StatusCode.NOT_FOUND"}:
                raise ServerUnavailable(_said(error)) from error
            self._shared_memory = False
            return False
        return True

    def _infer_shared(
        self, model: str, region: Region, timeout_s: float
    ) -> dict[str, NDArray[Any]]:
        try:
            with _translated():
                answer = self._client.infer(
                    model, region.asked(), outputs=region.wanted(), client_timeout=timeout_s
                )
            return region.answers(answer)
        finally:
            self._forget({region.name} | self._still_in_use)

    def _forget(self, regions: set[str]) -> None:
        # After a deadline the server is still writing: it keeps the region, and is asked again next time.
        for region in regions:
            try:
                self._client.unregister_system_shared_memory(region, client_timeout=READY_TIMEOUT_S)
            except InferenceServerException as error:
                if error.status() == "StatusCode.INTERNAL":
                    self._still_in_use.add(region)
                    continue
            self._still_in_use.discard(region)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except InferenceServerException as error:
        kind = ServerUnavailable if error.status() in _LATER else ModelFailed
        raise kind(_said(error)) from error


def _said(error: InferenceServerException) -> str:
    return f"Triton: {error.message()}"


def _checked(answer: triton.InferResult, output: Output) -> NDArray[Any]:
    said = answer.get_output(output.name)
    if said is None:
        raise ModelFailed(f"the model gave no output {output.name}")
    try:
        array: NDArray[Any] = answer.as_numpy(output.name)
    except ValueError as error:
        # Triton's Python backend sends a shape and no bytes when its numpy is of another major version.
        raise ModelFailed(f"the output {output.name} does not fill its shape") from error
    check(output, array.shape, array.dtype)
    return array.copy()
