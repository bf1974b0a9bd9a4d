"""P-DATA-TF PDUs taken apart (PS3.8 9.3.5), and C-STORE messages put together from their fragments.

A C-STORE goes straight from the PDU to its file and is answered from here. Every other message is handed
on, fragment by fragment.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from node.dicom.command_set import LONGEST, StoreRequest, encode_response, read_request
from node.errors import NotUnderstood

P_DATA_TF = 0x04
IS_COMMAND, IS_LAST = 0x01, 0x02
LARGEST_FOREIGN_DATA_SET = 16 << 20
"""Bytes of a data set that comes with another command than C-STORE: those are lists, not images."""

_PDV = struct.Struct(">IBB")
_PDU = struct.Struct(">BBI")


class Reception(Protocol):
    """One instance while it arrives."""

    def write(self, part: memoryview) -> None:
        """Take the next bytes of the data set; they change after the call."""

    def finish(self) -> int:
        """Make the instance safe; return the status that its sender is told."""

    def abandon(self) -> None:
        """Forget it: the association ended before the instance did."""


Begin = Callable[[StoreRequest, str], Reception]
"""Starts to receive an instance whose data set is in the given transfer syntax."""


class StoreMessages:
    """Puts one association's messages together.

    Parameters
    ----------
    begin
        Takes an instance.
    syntaxes
        Transfer syntax of each accepted presentation context, by its ID.
    hand_on
        Takes a fragment of any other message: context ID, message control header, fragment.
    answer
        Sends the bytes of a response on a presentation context.
    """

    def __init__(
        self,
        *,
        begin: Begin,
        syntaxes: Mapping[int, str],
        hand_on: Callable[[int, int, bytes], None],
        answer: Callable[[int, bytes], None],
    ) -> None:
        self._begin = begin
        self._syntaxes = syntaxes
        self._hand_on = hand_on
        self._answer = answer
        self._command = bytearray()
        self._context_id: int | None = None
        self._request: StoreRequest | None = None
        self._reception: Reception | None = None
        self._foreign = 0

    @property
    def arriving(self) -> bool:
        """Whether an instance has begun to arrive and is not complete."""
        return self._reception is not None

    def take(self, pdu: memoryview) -> None:
        """Take the variable field of one P-DATA-TF PDU.

        Raises
        ------
        NotUnderstood
            It breaks the protocol; the association is to be aborted.
        """
        for context_id, control, fragment in values(pdu):
            if self._context_id not in {None, context_id}:
                raise NotUnderstood("a message continues in another presentation context")
            self._context_id = context_id
            if control & IS_COMMAND:
                self._take_command(control, fragment)
            else:
                self._take_data(control, fragment)

    def abandon(self) -> None:
        """Forget a half-received instance: the association is over."""
        if self._reception is not None:
            self._reception.abandon()
        self._reset()

    def _take_command(self, control: int, fragment: memoryview) -> None:
        if self._request is not None:
            raise NotUnderstood("a command came where a data set was announced")
        if len(self._command) + len(fragment) > LONGEST:
            raise NotUnderstood(f"a command set of more than {LONGEST} bytes")
        self._command += fragment
        if not control & IS_LAST:
            return
        encoded = bytes(self._command)
        context_id = self._context_id or 0
        request = read_request(encoded) if context_id in self._syntaxes else None
        if request is None:
            # whether a data set follows is pynetdicom's to know: a next command starts the next message
            self._reset()
            self._foreign = 0
            self._hand_on(context_id, control, encoded)
            return
        self._request = request
        self._reception = self._begin(request, self._syntaxes[context_id])

    def _take_data(self, control: int, fragment: memoryview) -> None:
        if self._request is None or self._reception is None:
            self._foreign += len(fragment)
            if self._foreign > LARGEST_FOREIGN_DATA_SET:
                raise NotUnderstood(f"a data set of more than {LARGEST_FOREIGN_DATA_SET} bytes")
            context_id = self._context_id or 0
            self._context_id = None
            self._hand_on(context_id, control, bytes(fragment))
            return
        self._reception.write(fragment)
        if control & IS_LAST:
            context_id, request = self._context_id or 0, self._request
            reception = self._reception
            self._reset()
            self._answer(context_id, encode_response(request, reception.finish()))

    def _reset(self) -> None:
        self._command.clear()
        self._context_id = self._request = self._reception = None


def values(pdu: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Return context ID, message control header and fragment of each PDV item (PS3.8 9.3.5.1).

    Raises
    ------
    NotUnderstood
        The items do not fill the PDU.
    """
    at = 0
    while at < len(pdu):
        if at + _PDV.size > len(pdu):
            raise NotUnderstood("a P-DATA-TF PDU ends inside an item")
        length, context_id, control = _PDV.unpack_from(pdu, at)
        end = at + 4 + length
        if length < 2 or end > len(pdu):
            raise NotUnderstood("a P-DATA-TF PDU holds an item that is longer than itself")
        yield context_id, control, pdu[at + _PDV.size : end]
        at = end


def pdus(context_id: int, command: bytes, longest: int) -> Iterator[bytes]:
    """Return the P-DATA-TF PDUs of a command set.

    Parameters
    ----------
    longest
        Bytes of a variable field that the receiver takes; 0 for any (PS3.8 D.1.1).
    """
    room = max(longest - _PDV.size, 2) if longest else len(command)
    for at in range(0, len(command), room):
        part = command[at : at + room]
        control = IS_COMMAND | (IS_LAST if at + room >= len(command) else 0)
        head = _PDU.pack(P_DATA_TF, 0, len(part) + _PDV.size)
        yield head + _PDV.pack(len(part) + 2, context_id, control) + part
