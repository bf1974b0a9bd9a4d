"""The command sets of C-STORE, as bytes (PS3.7 6.3.1, 9.3.1): Implicit VR Little Endian, group 0000.

Everything else that arrives is pynetdicom's to read; this is what stands before and behind every image.
"""

import struct
from dataclasses import dataclass

from node.errors import NotUnderstood

C_STORE_RQ = 0x0001
C_STORE_RSP = 0x8001
NO_DATA_SET = 0x0101

LONGEST = 64 * 1024
"""Bytes of a command set; a longer one is no command."""

_HEAD = struct.Struct("<HHI")
_US = struct.Struct("<H")
_AFFECTED_SOP_CLASS_UID = 0x0002
_COMMAND_FIELD = 0x0100
_MESSAGE_ID = 0x0110
_RESPONDED_TO = 0x0120
_DATA_SET_TYPE = 0x0800
_STATUS = 0x0900
_AFFECTED_SOP_INSTANCE_UID = 0x1000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """What a C-STORE-RQ announces (PS3.7 Table 9.3-1).

    Parameters
    ----------
    message_id
        Names the request in its response.
    sop_class_uid, sop_instance_uid
        What is coming.
    """

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str


def read_request(encoded: bytes) -> StoreRequest | None:
    """Read a command set; None when it is another command than C-STORE-RQ, or brings no data set.

    Raises
    ------
    NotUnderstood
        The bytes are no command set.
    """
    elements = _elements(encoded)
    if _number(elements, _COMMAND_FIELD) != C_STORE_RQ:
        return None
    if _number(elements, _DATA_SET_TYPE) == NO_DATA_SET:
        return None
    return StoreRequest(
        message_id=_number(elements, _MESSAGE_ID),
        sop_class_uid=_uid(elements, _AFFECTED_SOP_CLASS_UID),
        sop_instance_uid=_uid(elements, _AFFECTED_SOP_INSTANCE_UID),
    )


def encode_response(request: StoreRequest, status: int) -> bytes:
    """Return the C-STORE-RSP (PS3.7 Table 9.3-2)."""
    body = b"".join((
        _element(_AFFECTED_SOP_CLASS_UID, _even(request.sop_class_uid)),
        _element(_COMMAND_FIELD, _US.pack(C_STORE_RSP)),
        _element(_RESPONDED_TO, _US.pack(request.message_id)),
        _element(_DATA_SET_TYPE, _US.pack(NO_DATA_SET)),
        _element(_STATUS, _US.pack(status)),
        _element(_AFFECTED_SOP_INSTANCE_UID, _even(request.sop_instance_uid)),
    ))
    return _element(0x0000, struct.pack("<I", len(body))) + body


def _elements(encoded: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(encoded):
        if at + _HEAD.size > len(encoded):
            raise NotUnderstood("the command set ends inside an element")
        group, element, length = _HEAD.unpack_from(encoded, at)
        at += _HEAD.size
        if group != 0 or at + length > len(encoded):
            raise NotUnderstood("the command set holds an element that is none of its own")
        found[element] = encoded[at : at + length]
        at += length
    return found


def _number(elements: dict[int, bytes], element: int) -> int:
    value = elements.get(element, b"")
    if len(value) != _US.size:
        raise NotUnderstood(f"the command set lacks (0000,{element:04X})")
    return int(_US.unpack(value)[0])


def _uid(elements: dict[int, bytes], element: int) -> str:
    return elements.get(element, b"").decode("ascii", "replace").strip(" \0")


def _element(element: int, value: bytes) -> bytes:
    return _HEAD.pack(0, element, len(value)) + value


def _even(uid: str) -> bytes:
    encoded = uid.encode("ascii", "replace")
    return encoded + b"\0" if len(encoded) % 2 else encoded
