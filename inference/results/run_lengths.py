"""Frames in RLE Lossless (PS3.5 Annex G): packets are found for a whole frame at once, not byte by byte."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST = 128
"""Most pixels that one packet holds (PS3.5 G.3.1)."""

_HEADER = struct.Struct("<16I")


def compressed(plane: NDArray[np.unsignedinteger[Any]]) -> bytes:
    """Return one frame of 8 or 16 bits with its RLE header, of even length.

    Parameters
    ----------
    plane
        Shape ``(rows, columns)``, no colours.
    """
    # One RLE segment for each byte of a pixel, the most significant one first (PS3.5 G.2).
    octets = np.ascontiguousarray(plane, plane.dtype.newbyteorder(">")).view(np.uint8)
    size = plane.dtype.itemsize
    segments = [packed_rows(octets[:, place::size]) for place in range(size)]
    offsets = [_HEADER.size]
    for segment in segments[:-1]:
        offsets.append(offsets[-1] + len(segment))
    unused = [0] * (15 - len(segments))
    return b"".join((_HEADER.pack(len(segments), *offsets, *unused), *segments))


def packed_rows(plane: NDArray[np.uint8]) -> bytes:
    """Return a plane of bytes as PackBits packets, none of which leaves its row, of even length."""
    flat = np.ascontiguousarray(plane).reshape(-1)
    starts, lengths, literal = _packets(flat, plane.shape[1])
    sizes = np.where(literal, lengths + 1, 2)
    ends = np.cumsum(sizes)
    heads = ends - sizes
    packed = np.zeros(ends[-1] + ends[-1] % 2, np.uint8)
    # A replicate packet of one pixel, the rest of a run of 129, comes out as 0: a literal packet of one.
    packed[heads] = np.where(literal, lengths - 1, 257 - lengths) & 0xFF
    packed[heads + 1] = flat[starts]
    longer = literal & (lengths > 1)
    further = lengths[longer] - 1
    within = np.arange(further.sum()) - np.repeat(np.cumsum(further) - further, further)
    packed[np.repeat(heads[longer] + 2, further) + within] = flat[
        np.repeat(starts[longer] + 1, further) + within
    ]
    return packed.tobytes()


def _packets(
    flat: NDArray[np.uint8], columns: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """Return where each packet starts, how many pixels it holds, and whether they stand one by one."""
    starts = _runs(flat, columns)
    lengths = np.diff(starts, append=flat.size)
    first_of_row = starts % columns == 0
    literal = lengths == 1
    literal |= _pairs_between(literal, lengths, first_of_row)
    begins = ~literal | first_of_row
    begins[1:] |= ~literal[:-1]
    starts, literal = starts[begins], literal[begins]
    lengths = np.diff(starts, append=flat.size)
    if lengths.max() <= LONGEST:
        return starts, lengths, literal
    pieces = -(-lengths // LONGEST)
    within = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return (
        np.repeat(starts, pieces) + within * LONGEST,
        np.minimum(np.repeat(lengths, pieces) - within * LONGEST, LONGEST),
        np.repeat(literal, pieces),
    )


def _runs(flat: NDArray[np.uint8], columns: int) -> NDArray[np.intp]:
    change = np.empty(flat.size, np.bool_)
    np.not_equal(flat[1:], flat[:-1], out=change[1:])
    change[::columns] = True
    return np.flatnonzero(change)


def _pairs_between(
    single: NDArray[np.bool_], lengths: NDArray[np.intp], first_of_row: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Find two equal pixels between single ones of their row: one literal packet is shorter than three."""
    pairs = np.zeros_like(single)
    pairs[1:-1] = (lengths[1:-1] == 2) & single[:-2] & single[2:]
    pairs[1:-1] &= ~(first_of_row[1:-1] | first_of_row[2:])
    return pairs
