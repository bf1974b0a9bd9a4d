"""Minimal Lower Layer Protocol: where a message begins and ends in a stream of bytes.

A block is ``<VT> message <FS><CR>`` (HL7 Transport Specification: MLLP, Release 1, section 2.1).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

START = b"\x0b"
END = b"\x1c\r"
LARGEST_MESSAGE = 4 << 20
"""Bytes of one message: an order has some thousand, a report with a document some hundred thousand."""


class FramingError(Exception):
    """The stream of bytes is no sequence of MLLP blocks."""


def framed(message: bytes) -> bytes:
    """Return a message as a block.

    Raises
    ------
    FramingError
        The message itself holds what marks a block's start or end.
    """
    if START in message or END[:1] in message:
        raise FramingError("the message holds a byte (0B or 1C) that marks a block")
    return START + message + END


@dataclass(slots=True, kw_only=True)
class Unframer:
    """Collects bytes as they come, and gives out whole messages.

    Parameters
    ----------
    largest
        Bytes that one message may have.
    """

    largest: int = LARGEST_MESSAGE
    _held: bytearray = field(default_factory=bytearray)
    _searched: int = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take what has arrived, and yield the messages that are whole by now.

        Raises
        ------
        FramingError
            A block begins with something else than VT, or is longer than `largest`.
        """
        self._held += data
        while self._held:
            if self._held[:1] != START:
                raise FramingError(f"a block begins with byte {self._held[0]:02X}, not with 0B")
            # from where the last search stopped: a message of single bytes is not searched over and over
            end = self._held.find(END, max(0, self._searched - 1))
            self._searched = len(self._held)
            if max(end, len(self._held) if end < 0 else 0) > self.largest:
                raise FramingError(f"a message has more than {self.largest} bytes")
            if end < 0:
                return
            message = bytes(self._held[1:end])
            del self._held[: end + len(END)]
            self._searched = 0
            yield message

    @property
    def within_message(self) -> bool:
        """Whether a block has begun that has not ended."""
        return bool(self._held)
