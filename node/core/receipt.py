"""What a received file says of itself before any record does: that it is whole, and who brought it.

A receipt stands in the preamble of the file (PS3.10 7.1: 128 bytes for the implementation's use). It is
written when every byte behind it is durable, and is durable itself before its sender is answered Success;
so a file that has one was whole, and one that has none was promised to nobody.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Self

PREAMBLE_BYTES = 128
"""Less than a sector of a disk, which writes all of it or nothing."""

LONGEST_ASSOCIATION_ID = 32

_MAGIC = b"OVERREAD RECEIPT"
_FORM = struct.Struct(f"<{len(_MAGIC)}sQ{LONGEST_ASSOCIATION_ID}s")
_SUM = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A promise that was made about a file.

    Parameters
    ----------
    association_id
        The association that brought it; at most `LONGEST_ASSOCIATION_ID` ASCII characters.
    size
        Bytes of the file.
    """

    association_id: str
    size: int

    def encode(self) -> bytes:
        """Return the preamble."""
        body = _FORM.pack(_MAGIC, self.size, self.association_id.encode("ascii"))
        body = body.ljust(PREAMBLE_BYTES - _SUM.size, b"\0")
        return body + _SUM.pack(zlib.crc32(body))

    @classmethod
    def decode(cls, preamble: bytes) -> Self | None:
        """Read a preamble; None when it holds no receipt."""
        if len(preamble) != PREAMBLE_BYTES or not preamble.startswith(_MAGIC):
            return None
        body, found = preamble[: -_SUM.size], preamble[-_SUM.size :]
        if _SUM.unpack(found) != (zlib.crc32(body),):
            return None
        _, size, association_id = _FORM.unpack_from(body)
        return cls(association_id=association_id.rstrip(b"\0").decode("ascii"), size=size)
