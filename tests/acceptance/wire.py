"""An association byte by byte, for what no toolkit would send: endless objects, garbage, a sender that counts.

Only what a Storage SCU needs (PS3.8 9.3, PS3.7 9.3.1), so that a test knows every byte on the socket.
"""

import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

APPLICATION = "1.2.840.10008.3.1.1.1"
VERIFICATION = "1.2.840.10008.1.1"
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
MULTI_FRAME_BYTE = "1.2.840.10008.5.1.4.1.1.7.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
CONTEXTS = ((1, VERIFICATION), (3, MR_IMAGE), (5, MULTI_FRAME_BYTE))
"""Presentation Context IDs that are proposed, each in Explicit VR Little Endian."""

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
OURS_BYTES = 1 << 17
"""Maximum PDU length that this side advertises."""


class Refused(ConnectionError):
    """The association was rejected, aborted or broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One object as it is sent: its data set in Explicit VR Little Endian, without file meta."""

    sop_class_uid: str
    sop_instance_uid: str
    data_set: bytes = field(repr=False)


def minimal(sop_class_uid: str, number: int, pixels: bytes = b"", *, series: int = 2) -> Image:
    """Return the least that is taken, with these pixels (Explicit VR Little Endian)."""
    uid = f"2.25.{10**30 + number}"
    elements = [
        (0x00080016, b"UI", _even(sop_class_uid)),
        (0x00080018, b"UI", _even(uid)),
        (0x00080060, b"CS", b"OT"),
        (0x00100020, b"LO", b"LOAD"),
        (0x0020000D, b"UI", _even("2.25.1")),
        (0x0020000E, b"UI", _even(f"2.25.{series}")),
    ]
    body = b"".join(
        struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value
        for tag, vr, value in elements
    )
    if pixels:
        body += pixel_element(len(pixels)) + pixels
    return Image(sop_class_uid=sop_class_uid, sop_instance_uid=uid, data_set=body)


def pixel_element(length: int) -> bytes:
    """Return the head of Pixel Data (7FE0,0010) OB of this length."""
    return struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, length)


def association_request(called: str = "OVERREAD", calling: str = "MODALITY") -> bytes:
    """Encode an A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    items = _item(0x10, APPLICATION.encode())
    for number, abstract_syntax in CONTEXTS:
        syntaxes = _item(0x30, abstract_syntax.encode()) + _item(0x40, EXPLICIT_LITTLE.encode())
        items += _item(0x20, bytes((number, 0, 0, 0)) + syntaxes)
    user = _item(0x51, struct.pack(">L", OURS_BYTES)) + _item(0x52, b"2.25.20261015")
    items += _item(0x50, user)
    titles = f"{called:<16}{calling:<16}".encode()
    return pdu(0x01, struct.pack(">HH", 1, 0) + titles + bytes(32) + items)


def release_request() -> bytes:
    """Encode an A-RELEASE-RQ (PS3.8 9.3.6)."""
    return pdu(0x05, bytes(4))


def store_command(image: Image, message_id: int) -> bytes:
    """Encode the command set of a C-STORE-RQ (PS3.7 9.3.1.1)."""
    return _command(
        (0x0002, _even(image.sop_class_uid)),
        (0x0100, struct.pack("<H", 0x0001)),
        (0x0110, struct.pack("<H", message_id)),
        (0x0700, struct.pack("<H", 0)),
        (0x0800, struct.pack("<H", 0x0001)),
        (0x1000, _even(image.sop_instance_uid)),
    )


def echo_command(message_id: int) -> bytes:
    """Encode the command set of a C-ECHO-RQ (PS3.7 9.3.5.1)."""
    return _command(
        (0x0002, _even(VERIFICATION)),
        (0x0100, struct.pack("<H", 0x0030)),
        (0x0110, struct.pack("<H", message_id)),
        (0x0800, struct.pack("<H", 0x0101)),
    )


def data_pdu(context: int, value: bytes, *, command: bool, last: bool) -> bytes:
    """Encode a P-DATA-TF of one presentation data value (PS3.8 9.3.5)."""
    control = command | last << 1
    return pdu(0x04, struct.pack(">LBB", len(value) + 2, context, control) + value)


def pdu(kind: int, body: bytes) -> bytes:
    """Encode a protocol data unit."""
    return struct.pack(">BBL", kind, 0, len(body)) + body


def read_command(command_set: bytes) -> dict[int, bytes]:
    """Decode a command set (Implicit VR Little Endian): values by element number of group 0000."""
    values, position = {}, 0
    while position + 8 <= len(command_set):
        _, element, length = struct.unpack_from("<HHL", command_set, position)
        values[element] = command_set[position + 8 : position + 8 + length]
        position += 8 + length
    return values


class Association:
    """An established association; leaving the block releases it.

    Raises
    ------
    Refused
        It was rejected, aborted, or the connection broke.
    """

    def __init__(self, port: int, *, calling: str = "MODALITY", timeout_s: float = 60) -> None:
        try:
            self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        except OSError as error:
            raise Refused(f"no connection: {error}") from error
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            body = self._negotiate(calling)
        except BaseException:
            self.socket.close()
            raise
        self.accepted = dict(_accepted(body))
        self.pdu_bytes = min(_maximum(body) or 1 << 20, 1 << 20)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: object, __: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._send(release_request())
                self._receive()
        except Refused:
            pass  # it is over, one way or the other
        finally:
            self.socket.close()

    def echo(self, message_id: int = 1) -> int:
        """Ask for an echo; return the status."""
        self._send(data_pdu(1, echo_command(message_id), command=True, last=True))
        return self.answer(message_id)

    def store(self, image: Image, message_id: int) -> int:
        """Send one object; return the status."""
        fragments = self._cut(image.data_set)
        return self.stream(image, message_id, fragments)

    def stream(self, image: Image, message_id: int, fragments: Iterable[bytes]) -> int:
        """Send an object whose data set comes piece by piece, none longer than `pdu_bytes`."""
        context = next(n for n, uid in CONTEXTS if uid == image.sop_class_uid)
        self._send(data_pdu(context, store_command(image, message_id), command=True, last=True))
        for fragment in fragments:
            self._send(data_pdu(context, fragment, command=False, last=False))
        self._send(data_pdu(context, b"", command=False, last=True))
        return self.answer(message_id)

    def answer(self, message_id: int) -> int:
        """Wait for the response to a message; return its status."""
        command_set, last = b"", False
        while not last:
            kind, body = self._receive()
            if kind != 0x04:
                raise Refused(f"PDU {kind:02X} for a response")
            command_set += body[6:]
            last = bool(body[5] & 0x02)
        values = read_command(command_set)
        assert struct.unpack("<H", values[0x0120]) == (message_id,)
        status: int = struct.unpack("<H", values[0x0900])[0]
        return status

    def _negotiate(self, calling: str) -> bytes:
        self._send(association_request(calling=calling))
        kind, body = self._receive()
        if kind != 0x02:
            raise Refused(f"PDU {kind:02X} for an answer, {body.hex()}")
        return body

    def _cut(self, data: bytes) -> Iterator[bytes]:
        step = self.pdu_bytes - 6
        return (data[start : start + step] for start in range(0, len(data), step))

    def _send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Refused(f"broken while sending: {error}") from error

    def _receive(self) -> tuple[int, bytes]:
        kind, _, length = struct.unpack(">BBL", self._exactly(6))
        return kind, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                more = self.socket.recv(count - len(data))
            except OSError as error:
                raise Refused(f"broken while waiting: {error}") from error
            if not more:
                raise Refused("closed by the peer")
            data += more
        return data


def echo_within(port: int, timeout_s: float) -> bool:
    """Whether a C-ECHO on a new association is answered Success in time."""
    try:
        with Association(port, timeout_s=timeout_s) as association:
            return association.echo() == SUCCESS
    except Refused:
        return False


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def _items(body: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    while start + 4 <= len(body):
        kind, _, length = struct.unpack_from(">BBH", body, start)
        yield kind, body[start + 4 : start + 4 + length]
        start += 4 + length


def _accepted(body: bytes) -> Iterator[tuple[int, bool]]:
    for kind, item in _items(body, 68):
        if kind == 0x21:
            yield item[0], item[2] == 0


def _maximum(body: bytes) -> int:
    user = next(item for kind, item in _items(body, 68) if kind == 0x50)
    value = next(item for kind, item in _items(user, 0) if kind == 0x51)
    return int.from_bytes(value, "big")


def _command(*elements: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack("<HHL", 0, e, len(value)) + value for e, value in elements)
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def _even(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)
