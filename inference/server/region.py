"""System shared memory that carries the tensors of one request to a server on the same machine."""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import np_to_triton_dtype, shared_memory, triton_to_np_dtype

from inference.errors import ModelFailed
from inference.server.protocol import Output, Tensors, check

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - where Linux keeps it, not a temporary file
PREFIX = "overread-"

_ALIGNMENT = 64
_UNWRITTEN = 0xFF
"""What the space of an output holds before the server writes: no segment number, and NaN as a float.

The answer does not say how many bytes were written, and Triton's Python backend writes none when its numpy
is of another major version than it was built for.
"""


class Region:
    """System shared memory for the tensors of one request, gone when the `with` ends."""

    def __init__(self, inputs: Tensors, outputs: Sequence[Output]) -> None:
        self.name = f"{PREFIX}{os.getpid()}-{uuid.uuid4().hex}"
        self._inputs = inputs
        self._outputs = outputs
        sizes = [tensor.nbytes for tensor in inputs.values()] + [out.nbytes for out in outputs]
        self._offsets = [0]
        for size in sizes:
            self._offsets.append(self._offsets[-1] + -(-size // _ALIGNMENT) * _ALIGNMENT)
        self.nbytes = self._offsets[-1]
        self._handle: Any = None
        self._lock = -1

    @property
    def fits(self) -> bool:
        """Whether there is room; a container's 64 MB are soon full, and writing past them is fatal."""
        room = os.statvfs(SHARED_MEMORY)
        return self.nbytes < room.f_bavail * room.f_frsize

    def __enter__(self) -> "Region":
        self._handle = shared_memory.create_shared_memory_region(
            self.name, self.name, self.nbytes, create_only=True
        )
        self._lock = os.open(Path(SHARED_MEMORY) / self.name, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)  # the kernel lets it go with this process
        for tensor, offset in zip(self._inputs.values(), self._offsets, strict=False):
            shared_memory.set_shared_memory_region(self._handle, [tensor], offset)
        answers = self._offsets[len(self._inputs)]
        self._view(np.dtype(np.uint8), (self.nbytes - answers,), answers)[:] = _UNWRITTEN
        return self

    def __exit__(self, *_: object) -> None:
        shared_memory.destroy_shared_memory_region(self._handle)
        os.close(self._lock)

    def asked(self) -> list[triton.InferInput]:
        """Where the server finds each input."""
        asked = []
        for (name, tensor), offset in zip(self._inputs.items(), self._offsets, strict=False):
            item = described(name, tensor)
            item.set_shared_memory(self.name, tensor.nbytes, offset)
            asked.append(item)
        return asked

    def wanted(self) -> list[triton.InferRequestedOutput]:
        """Where the server writes each output."""
        wanted = []
        for output, offset in self._places():
            item = triton.InferRequestedOutput(output.name)
            item.set_shared_memory(self.name, output.nbytes, offset)
            wanted.append(item)
        return wanted

    def answers(self, answer: Any) -> dict[str, NDArray[Any]]:
        """Copy the outputs out of the region.

        Raises
        ------
        ModelFailed
            An output is missing or does not fill its place.
        """
        arrays = {}
        for output, offset in self._places():
            said = answer.get_output(output.name)
            if said is None:
                raise ModelFailed(f"the model gave no output {output.name}")
            check(output, said.shape, np.dtype(triton_to_np_dtype(said.datatype)))
            array = self._view(output.dtype, output.shape, offset).copy()
            if _unwritten(array):
                raise ModelFailed(f"the server wrote nothing into the output {output.name}")
            arrays[output.name] = array
        return arrays

    def _view(self, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int) -> NDArray[Any]:
        view: NDArray[Any] = shared_memory.get_contents_as_numpy(self._handle, dtype, shape, offset)
        return view

    def _places(self) -> Iterator[tuple[Output, int]]:
        return zip(self._outputs, self._offsets[len(self._inputs) : -1], strict=True)


def sweep() -> set[str]:
    """Remove the regions of processes that were killed, and with them a patient's images; return their names.

    A process that lives holds a lock on each of its regions, in whichever container it runs.
    """
    swept = set()
    for path in Path(SHARED_MEMORY).glob(f"{PREFIX}*"):
        owner = path.name.removeprefix(PREFIX).partition("-")[0]
        if Path("/proc", owner).exists():
            continue  # perhaps it has not locked it yet
        with contextlib.suppress(OSError):  # in use, or another's, or gone meanwhile
            descriptor = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                swept.add(path.name)
            finally:
                os.close(descriptor)
    return swept


def _unwritten(array: NDArray[Any]) -> bool:
    octets = array.reshape(-1).view(np.uint8)
    # The first octet says it nearly always; all of them are gone through only when it is unwritten.
    return bool((octets[:1] == _UNWRITTEN).all() and (octets == _UNWRITTEN).all())


def described(name: str, tensor: NDArray[Any]) -> triton.InferInput:
    """Name, shape and type of an input, without its values."""
    return triton.InferInput(name, list(tensor.shape), np_to_triton_dtype(tensor.dtype))
