"""What stands before a data set in a file (PS3.10 7.1): preamble, prefix, File Meta Information."""

import struct
from functools import lru_cache

from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION

_SHORT = struct.Struct("<HH2sH")
_LONG = struct.Struct("<HH2sHI")


def file_head(
    sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, ae_title: str
) -> bytes:
    """Return the head of a file.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax_uid
        As its C-STORE announced and its presentation context agreed.
    ae_title
        Who sent it: Source Application Entity Title (0002,0016).
    """
    before, behind = _around(sop_class_uid, transfer_syntax_uid, ae_title)
    meta = before + _text(0x0003, b"UI", sop_instance_uid, b"\0") + behind
    length = _SHORT.pack(0x0002, 0x0000, b"UL", 4) + struct.pack("<I", len(meta))
    return bytes(128) + b"DICM" + length + meta


@lru_cache(maxsize=256)
def _around(sop_class_uid: str, transfer_syntax_uid: str, ae_title: str) -> tuple[bytes, bytes]:
    """Return what stands before and behind the instance's UID, the same for all of an association."""
    before = (
        _LONG.pack(0x0002, 0x0001, b"OB", 0, 2) + b"\0\1",
        _text(0x0002, b"UI", sop_class_uid, b"\0"),
    )
    behind = (
        _text(0x0010, b"UI", transfer_syntax_uid, b"\0"),
        _text(0x0012, b"UI", str(PYNETDICOM_IMPLEMENTATION_UID), b"\0"),
        _text(0x0013, b"SH", str(PYNETDICOM_IMPLEMENTATION_VERSION), b" "),
        _text(0x0016, b"AE", ae_title, b" "),
    )
    return b"".join(before), b"".join(behind)


def _text(element: int, representation: bytes, value: str, padding: bytes) -> bytes:
    encoded = value.encode("ascii", "replace")
    encoded += padding * (len(encoded) % 2)
    return _SHORT.pack(0x0002, element, representation, len(encoded)) + encoded
