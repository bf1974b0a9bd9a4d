"""The frames of a Segmentation as the Pixel Data of a file, written where they will stay.

A mask of a whole body makes hundreds of megabytes of bits: they are packed into the file itself, and
there is never a second copy of them, nor one of the mask.
"""

import hashlib
import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.results import explicit
from inference.results.frames import Frame
from inference.results.run_lengths import compressed

_HEAD = struct.Struct("<HH2sHI")
_UNDEFINED = 0xFFFFFFFF
_END_OF_SEQUENCE = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bits:
    """A BINARY Segmentation's pixels, one bit each, uncompressed.

    Parameters
    ----------
    mask
        Shape ``(slices, rows, columns)``, segment numbers.
    frames
        In the order in which they are written.
    """

    mask: NDArray[np.unsignedinteger[Any]]
    frames: Sequence[Frame]

    def digest(self) -> bytes:
        """Return the SHA-256 of what the frames show."""
        return _digest(self.mask, self.frames)

    def write(self, buffer: io.BytesIO) -> None:
        """Append Pixel Data (7FE0,0010) to a file.

        Frames follow each other without a gap: where Rows × Columns is no multiple of 8, a frame starts
        within a byte (PS3.5 8.1.1).
        """
        size = self.mask[0].size
        octets = -(-len(self.frames) * size // 8)
        octets += octets % 2
        buffer.write(_HEAD.pack(0x7FE0, 0x0010, b"OB", 0, octets))
        start = buffer.tell()
        buffer.seek(octets - 1, io.SEEK_CUR)
        buffer.write(b"\0")  # makes room for all frames, empty
        with buffer.getbuffer() as file:
            self._pack(np.frombuffer(file, np.uint8)[start:], size)

    def _pack(self, octets: NDArray[np.uint8], size: int) -> None:
        columns = self.mask.shape[2]
        for place, frame in enumerate(self.frames):
            first, behind = frame.rows
            if first == behind:
                continue
            region = (self.mask[frame.index, first:behind] == frame.number).reshape(-1)
            octet, bit = divmod(place * size + first * columns, 8)
            if bit:
                region = np.concatenate((np.zeros(bit, np.bool_), region))
            packed = np.packbits(region, bitorder="little")
            packed[0] |= octets[octet]  # the frame before may end in this byte
            octets[octet : octet + packed.size] = packed


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """A LABELMAP Segmentation's pixels in RLE Lossless, one fragment for each frame.

    Parameters
    ----------
    mask
        Shape ``(slices, rows, columns)``, segment numbers.
    frames
        In the order in which they are written.
    shown
        What each value of the mask becomes, by the value, in 8 or 16 bits; None where the mask holds nothing
        but what is shown, and has the bits that are wanted.
    """

    mask: NDArray[np.unsignedinteger[Any]]
    frames: Sequence[Frame]
    shown: NDArray[np.unsignedinteger[Any]] | None

    def digest(self) -> bytes:
        """Return the SHA-256 of what the frames show."""
        return _digest(self.mask, self.frames)

    def write(self, buffer: io.BytesIO) -> None:
        """Append Pixel Data (7FE0,0010) to a file, with a Basic Offset Table (PS3.5 A.4)."""
        count = len(self.frames)
        buffer.write(_HEAD.pack(0x7FE0, 0x0010, b"OB", 0, _UNDEFINED))
        buffer.write(explicit.item_head(4 * count))
        table = buffer.tell()
        buffer.write(bytes(4 * count))
        start, offsets = buffer.tell(), []
        for frame in self.frames:
            plane = self.mask[frame.index]
            fragment = compressed(plane if self.shown is None else self.shown[plane])
            offsets.append(buffer.tell() - start)
            buffer.write(explicit.item_head(len(fragment)))
            buffer.write(fragment)
        buffer.write(_END_OF_SEQUENCE)
        buffer.seek(table)
        buffer.write(struct.pack(f"<{count}I", *offsets))


def _digest(mask: NDArray[np.unsignedinteger[Any]], frames: Sequence[Frame]) -> bytes:
    digest = hashlib.sha256(repr((mask.dtype.str, mask.shape)).encode())
    seen = {frame.index: frame.rows for frame in frames}
    for frame in frames:
        rows = seen[frame.index]
        seen[frame.index] = min(rows[0], frame.rows[0]), max(rows[1], frame.rows[1])
    for index, (first, behind) in seen.items():
        digest.update(repr((index, first, behind)).encode())
        digest.update(np.ascontiguousarray(mask[index, first:behind]).data)
    return digest.digest()
