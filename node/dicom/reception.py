"""One C-STORE from its command to its status: bytes to a file as they come, then made safe."""

from collections.abc import Callable
from io import BytesIO

from node.core.identifiers import is_uid
from node.core.study import Arrival, Header, Incoming
from node.dicom.command_set import StoreRequest
from node.dicom.header import HeaderReader
from node.dicom.part10 import file_head
from node.dicom.status import CANNOT_PROCESS, SUCCESS, status_of
from node.errors import DoesNotMatch, NotUnderstood, Rejected
from node.telemetry import log, log_failure

HEAD_BYTES = 64 * 1024
"""The first bytes of a file, in which most headers end."""

Receive = Callable[[Arrival], object]
"""Makes an instance durable, and sees to its records."""


class InstanceReception:
    """One instance while it arrives.

    What goes wrong in between is told when the data set is over: a sender does not listen before.

    Parameters
    ----------
    request
        What the C-STORE announced.
    transfer_syntax_uid
        That of its presentation context.
    ae_title
        Who sends it.
    incoming
        Opens the file that it is written to.
    receive
        Makes the instance durable, and sees to its records.
    association
        The association's identifier and its peer's name.
    reader
        Reads its header.
    """

    def __init__(
        self,
        request: StoreRequest,
        transfer_syntax_uid: str,
        ae_title: str,
        *,
        incoming: Callable[[], Incoming],
        receive: Receive,
        association: tuple[str, str],
        reader: HeaderReader,
    ) -> None:
        self._request = request
        self._syntax = transfer_syntax_uid
        self._ae_title = ae_title
        self._incoming = incoming
        self._receive = receive
        self._association = association
        self._reader = reader
        self._head = bytearray()
        self._header: Header | None = None
        self._file: Incoming | None = None
        self._failure: Exception | None = None

    def write(self, part: memoryview) -> None:
        """Take the next bytes of the data set."""
        if self._failure is not None:
            return
        try:
            if self._file is None:
                self._file = self._begin()
            self._file.write(part)
            if self._header is None and len(self._head) < HEAD_BYTES:
                self._read_early(part)
        except Exception as error:
            # the outermost frame of a C-STORE: whatever it is, the sender is told when it has ended
            self._failure = error
            self.abandon()

    def finish(self) -> int:
        """Make the instance safe; return the status that its sender is told.

        Success only when the instance is durable, and sure to be recorded. A bug of ours ends as 0110, and
        the sender keeps the instance.
        """
        try:
            self._receive(self._arrival())
        except Rejected as error:
            status = status_of(error)
            log("instance rejected", status=f"{status:04X}", detail=str(error))
        except Exception as error:
            # the outermost frame of a C-STORE: an association is worth more than this instance
            status = CANNOT_PROCESS
            log_failure("instance not processed", error, status=f"{status:04X}")
        else:
            return SUCCESS
        self.abandon()
        return status

    def abandon(self) -> None:
        """Remove what was written: the instance was not taken."""
        if self._file is not None:
            self._file.discard()
            self._file = None

    def _begin(self) -> Incoming:
        request = self._request
        if not is_uid(request.sop_class_uid) or not is_uid(request.sop_instance_uid):
            raise NotUnderstood("the command names no valid SOP class or instance")
        file = self._incoming()
        self._head += file_head(
            request.sop_class_uid, request.sop_instance_uid, self._syntax, self._ae_title
        )
        file.write(bytes(self._head))
        return file

    def _read_early(self, part: memoryview) -> None:
        """Read the header while the pixels are still on their way: the sender works at the same time."""
        self._head += part[: HEAD_BYTES - len(self._head)]
        if len(self._head) < HEAD_BYTES:
            return
        self._header = self._reader.read_early(bytes(self._head))

    def _arrival(self) -> Arrival:
        file = self._file
        if self._failure is not None:
            raise self._failure
        if file is None:
            raise NotUnderstood("the data set is empty")
        header = self._header if self._header is not None else self._read_late(file)
        found = (header.sop_class_uid, header.sop_instance_uid)
        if found != (self._request.sop_class_uid, self._request.sop_instance_uid):
            raise DoesNotMatch("the data set names another SOP class or instance than the command")
        association_id, peer = self._association
        return Arrival(header=header, file=file, association_id=association_id, peer=peer)

    def _read_late(self, file: Incoming) -> Header:
        if len(self._head) < HEAD_BYTES:  # it is all that came
            head = bytes(self._head)
            return self._reader.read_early(head) or self._reader.read(BytesIO(head))
        with file.reading() as source:
            return self._reader.read(source)
