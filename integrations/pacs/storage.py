"""Bring instances to an archive by C-STORE (PS3.4 Annex B)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from pynetdicom import _config
from pynetdicom.presentation import PresentationContext, build_context

from integrations.archive import ArchiveIndex
from integrations.destination import Progress
from integrations.errors import SyntaxRefused
from integrations.pacs.delivery import SUCCESS, ArchiveDestination, Ways, require_stored
from integrations.pacs.peer import DicomPeer, associated, reason_code, status_of
from integrations.pacs.rejection import scratch
from integrations.pacs.transcoding import NATIVE, transcoded
from integrations.report import Instance

# Given a path, pynetdicom then sends the bytes behind the file meta information as they are; otherwise it
# decodes and encodes the dataset again, and the archive's bytes are no longer the ones whose digest we keep.
_config.STORE_SEND_CHUNKED_DATASET = True

_SLOWEST_BYTES_PER_S = 1 << 20
"""pynetdicom counts its waiting time from before the transfer, so that grows with the object."""


class StorageDestination(ArchiveDestination):
    """The `Destination` that is an archive with the Storage service.

    All instances go over one association, each file's dataset byte for byte, or decoded where the archive takes
    the class and not the syntax. Nothing is sent when one of them has no accepted presentation context: half a
    result set would mislead.

    Parameters
    ----------
    peer
        The archive.
    index, ways
        As of every `ArchiveDestination`.
    """

    def __init__(self, peer: DicomPeer, index: ArchiveIndex | None, **ways: Unpack[Ways]) -> None:
        super().__init__(str(peer), index, **ways)
        self._peer = peer

    def _send(self, instances: Sequence[Instance], progress: Progress) -> list[str]:
        remarks = []
        with scratch() as folder, associated(self._peer, _contexts(instances)) as association:
            fit = _fit(association, instances, self._peer, Path(folder))
            for number, (instance, path) in enumerate(zip(instances, fit, strict=True), start=1):
                progress(instance.sop_instance_uid, "SENDING")
                status = self._store(association, path, number)
                require_stored(status, instance, self._where)
                progress(instance.sop_instance_uid, "SENT")
                if status != SUCCESS:
                    remarks.append(f"{reason_code(status)} for {instance.sop_instance_uid}")
        return remarks

    def _store(self, association: Any, path: Path, number: int) -> int:
        size = path.stat().st_size
        association.dimse_timeout = self._peer.dimse_timeout_s + size / _SLOWEST_BYTES_PER_S
        message_id = (number - 1) % 0xFFFF + 1
        return status_of(association.send_c_store(path, msg_id=message_id), self._peer)


def _contexts(instances: Sequence[Instance]) -> list[PresentationContext]:
    """One context for each pair of class and syntax, so that the acceptor has nothing to choose."""
    pairs = dict.fromkeys(
        (one.sop_class_uid, syntax)
        for one in instances
        for syntax in (one.transfer_syntax_uid, *NATIVE)
    )
    return [build_context(sop_class, [syntax]) for sop_class, syntax in pairs]


def _fit(
    association: Any, instances: Sequence[Instance], peer: DicomPeer, folder: Path
) -> list[Path]:
    """Return each instance's file, or a native copy of it where only that is accepted, before any is sent.

    Raises
    ------
    SyntaxRefused
        One of them is taken in no syntax in which it can be sent.
    """
    accepted = {
        (str(context.abstract_syntax), str(context.transfer_syntax[0]))
        for context in association.accepted_contexts
    }
    fit = []
    for one in instances:
        takes = [
            syntax
            for syntax in (one.transfer_syntax_uid, *NATIVE)
            if (one.sop_class_uid, syntax) in accepted
        ]
        if not takes:
            detail = f"{peer} does not take {one.sop_class_uid} in {one.transfer_syntax_uid}"
            raise SyntaxRefused("NO-PRESENTATION-CONTEXT", detail)
        as_it_is = takes[0] == one.transfer_syntax_uid
        fit.append(one.path if as_it_is else transcoded(one, takes[0], folder))
    return fit
