"""Pixels that stand in a file as they stand in memory: values of a map, colours of a picture."""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEAD = struct.Struct("<HH2sHI")


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncompressed:
    """Frames of an image, uncompressed.

    Parameters
    ----------
    frames
        Arrays in the order of the file: uint8 for Pixel Data (7FE0,0010), float32 for Float Pixel Data
        (7FE0,0008). They are read where they are, and never copied but into the file.
    """

    frames: Sequence[NDArray[Any]]

    def digest(self) -> bytes:
        """Return the SHA-256 of what the frames show."""
        content = sha256()
        for part in self._parts():
            content.update(part)
        return content.digest()

    def write(self, buffer: io.BytesIO) -> None:
        """Append the element that holds them to a file."""
        parts = self._parts()
        length = sum(part.nbytes for part in parts)
        whole = self.frames[0].dtype.itemsize == 1
        element, vr = (0x0010, b"OB") if whole else (0x0008, b"OF")
        buffer.write(_HEAD.pack(0x7FE0, element, vr, 0, length + length % 2))
        buffer.writelines(parts)
        buffer.write(b"\0" * (length % 2))

    def _parts(self) -> list[memoryview]:
        little = [f.astype(f.dtype.newbyteorder("<"), copy=False) for f in self.frames]
        return [np.ascontiguousarray(one).data.cast("B") for one in little]
