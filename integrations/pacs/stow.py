"""Bring instances to an archive by STOW-RS (PS3.18 10.5)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Unpack
from uuid import uuid4

from integrations.archive import ArchiveIndex
from integrations.destination import Progress
from integrations.errors import Refused, SyntaxRefused
from integrations.pacs.delivery import SUCCESS, ArchiveDestination, Ways, require_stored
from integrations.pacs.dicom_json import objects, raw, values
from integrations.pacs.dicomweb import Answer, Body, Dicomweb
from integrations.pacs.peer import reason_code
from integrations.report import Instance

_CHUNK_BYTES = 1 << 16
_MULTIPART = 'multipart/related; type="application/dicom"; boundary='
_TOLD_OF_EACH = frozenset({200, 202, 400, 409})
"""All stored; some, or with warnings; none. Which, and why, stands in the body (PS3.18 Table 10.5.3-1)."""
_EMPTY = frozenset({*_TOLD_OF_EACH, 204, 422})
"""What is answered to a request that brings nothing, by who would take something."""

_UNSUPPORTED = frozenset({0x0122, 0xC122})
"""Failure Reasons: the SOP class, the transfer syntax is not supported (PS3.18 Table I.2-2)."""
_UNSUPPORTED_MEDIA_TYPE = "DICOMWEB-415"

_WARNING_REASON, _FAILURE_REASON = "00081196", "00081197"
_FAILED, _REFERENCED, _OTHER_FAILURES = "00081198", "00081199", "0008119A"
"""Failed SOP, Referenced SOP and Other Failures Sequence (PS3.18 Table I.1-1)."""
_REFERENCED_SOP_INSTANCE_UID = "00081155"


class StowDestination(ArchiveDestination):
    """The `Destination` that is an archive with a DICOMweb service that stores.

    One instance goes in each request, so that they arrive in their order, an answer that is lost leaves one
    in doubt, and only what failed is sent again. The files' bytes are sent as they are read.

    Parameters
    ----------
    service
        The archive.
    index, ways
        As of every `ArchiveDestination`.
    """

    def __init__(self, service: Dicomweb, index: ArchiveIndex | None, **ways: Unpack[Ways]) -> None:
        super().__init__(str(service), index, **ways)
        self._service = service

    def _send(self, instances: Sequence[Instance], progress: Progress) -> list[str]:
        remarks = []
        for number, instance in enumerate(instances):
            progress(instance.sop_instance_uid, "SENDING")
            try:
                remark = self._store(instance)
            except SyntaxRefused as refused:
                if number:  # another form of the result must not come beside the part that it has
                    raise Refused(refused.reason, refused.detail) from None
                raise
            progress(instance.sop_instance_uid, "SENT")
            if remark is not None:
                remarks.append(f"{remark} for {instance.sop_instance_uid}")
        return remarks

    def _store(self, instance: Instance) -> str | None:
        """Store one instance; return what the archive remarks.

        Raises
        ------
        SyntaxRefused
            It does not support the SOP class, the transfer syntax or the media type.
        Refused
            It says no.
        """
        url = f"{self._service.base_url}/studies"
        try:
            answer = self._service.post(url, _body(instance.path), expected=_TOLD_OF_EACH)
        except Refused as refused:
            if refused.reason == _UNSUPPORTED_MEDIA_TYPE:
                raise SyntaxRefused(refused.reason, refused.detail) from None
            raise
        return self._read(answer, instance)

    def _read(self, answer: Answer, instance: Instance) -> str | None:
        """Read what became of the instance, and not only of the request.

        Raises
        ------
        Unavailable
            The archive is out of resources, or failed for a reason that may pass.
        SyntaxRefused
            It does not support the SOP class or the transfer syntax.
        Refused
            Another failure, or nobody knows which (``DICOMWEB-409``).
        """
        for one in objects(answer.body):
            failed = _of(one, _FAILED, instance) or raw(one, _OTHER_FAILURES)
            if failed:
                return self._failed(answer, _reason(failed[0], _FAILURE_REASON), instance)
            stored = _of(one, _REFERENCED, instance)
            if stored:
                warning = _reason(stored[0], _WARNING_REASON)
                return None if warning is None else reason_code(warning)
        if answer.status >= 400:
            raise Refused(f"DICOMWEB-{answer.status}", f"{self._where} named no reason")
        # 200 says that all was stored; whether it was is asked afterwards, as always
        return None if answer.status == 200 else "no word of it beside 202"

    def _failed(self, answer: Answer, status: int | None, instance: Instance) -> str:
        """Raise what a Failure Reason means; return one that is no loss.

        Raises
        ------
        Unavailable
            The same instance may be stored later.
        SyntaxRefused
            It is not taken in this form.
        Refused
            It is not taken.
        """
        if status is None or status == SUCCESS:
            raise Refused(f"DICOMWEB-{answer.status}", f"{self._where} named no reason")
        if status in _UNSUPPORTED:
            form = f"{instance.sop_class_uid} in {instance.transfer_syntax_uid}"
            raise SyntaxRefused(reason_code(status), f"{self._where} does not take {form}")
        require_stored(status, instance, self._where)
        return reason_code(status)


def store_nothing(service: Dicomweb) -> None:
    """Bring a body without parts, to see whether the service would take one with some.

    Raises
    ------
    Unavailable
        It cannot be reached, or cannot answer now.
    Refused
        It does not let us (``DICOMWEB-401``), or stores nothing (``DICOMWEB-404``, ``DICOMWEB-405``).
    """
    boundary = uuid4().hex
    end = f"--{boundary}--\r\n".encode()
    body = Body(content_type=_MULTIPART + boundary, length=len(end), parts=[end])
    service.post(f"{service.base_url}/studies", body, expected=_EMPTY)


def _body(path: Path) -> Body:
    """Give a file as the one part of a multipart body (RFC 2387), read while it is sent.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    boundary = uuid4().hex
    before = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    after = f"\r\n--{boundary}--\r\n".encode()

    def parts() -> Iterator[bytes]:
        yield before
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
        yield after

    return Body(
        content_type=_MULTIPART + boundary,
        length=len(before) + path.stat().st_size + len(after),
        parts=parts(),
    )


def _of(told: Any, sequence: str, instance: Instance) -> list[Any]:
    """Return the items of a sequence that are about an instance."""
    return [
        item
        for item in raw(told, sequence)
        if instance.sop_instance_uid in values(item, _REFERENCED_SOP_INSTANCE_UID)
    ]


def _reason(item: Any, tag: str) -> int | None:
    """Return a reason, which is a status as C-STORE has it; None without one."""
    return next((one for one in raw(item, tag) if type(one) is int), None)
