"""Whether a message may be taken at all: its header (HL7 v2.5.1 chapter 2.9.2.2)."""

import string
from collections.abc import Collection
from dataclasses import dataclass

from integrations.hl7.message import Message, MessageRefused

_PRINTABLE = frozenset(string.printable) - frozenset("\r\n\t\x0b\x0c")
LONGEST_CONTROL_ID = 199
"""MSH-10 has 20 characters up to version 2.5.1, and 199 from 2.6 on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What a receiver takes.

    Parameters
    ----------
    kinds
        Message codes with trigger event: ``ADT^A40``.
    processing_ids
        Values of MSH-11: ``P`` for production.
    """

    kinds: Collection[str]
    processing_ids: Collection[str]


def require(message: Message, accepted: Accepted) -> None:
    """Look at the header of a message.

    Raises
    ------
    MessageRefused
        It has no usable control id (``CONTROL-ID``), or its kind, version or processing id is not one that
        is taken.
    """
    header = message.header
    control_id = message.control_id
    if not control_id or len(control_id) > LONGEST_CONTROL_ID or set(control_id) - _PRINTABLE:
        text = "MSH-10 is empty, too long, or not printable ASCII"
        raise MessageRefused(101, "MSH^1^10", "CONTROL-ID", text)
    if not header.text(12).startswith("2."):
        raise MessageRefused(203, "MSH^1^12", "VERSION", "the version is not one of 2")
    if header.text(11).upper() not in accepted.processing_ids:
        text = "the processing id is not one that is taken here"
        raise MessageRefused(202, "MSH^1^11", "PROCESSING-ID", text)
    if message.kind not in accepted.kinds:
        codes = {kind.partition("^")[0] for kind in accepted.kinds}
        known = header.text(9, 1) in codes
        text = "this kind of message is not taken here"
        raise MessageRefused(201 if known else 200, "MSH^1^9", "MESSAGE-KIND", text)
