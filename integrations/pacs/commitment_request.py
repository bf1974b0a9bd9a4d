"""Ask an archive to commit what it took: the request of Storage Commitment (PS3.4 Annex J.3.2)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.presentation import build_context, build_role
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from integrations.errors import Refused, Unavailable
from integrations.pacs.peer import DicomPeer, associated, reason_code, status_of

_REQUEST_STORAGE_COMMITMENT = 1
_DUPLICATE_TRANSACTION_UID = 0x0131
_TEMPORARY = frozenset({0x0110, 0x0213})
"""Processing failure and resource limitation (PS3.7 Annex C)."""

OnReport = Callable[[Any], Any]
"""Answers an N-EVENT-REPORT, given pynetdicom's event: what it takes is durable when it returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked for.

    Parameters
    ----------
    transaction_uid
        Ours, stored before; the report will name it.
    references
        (SOP Class UID, SOP Instance UID) of each instance.
    """

    transaction_uid: str
    references: Sequence[tuple[str, str]]


def request_commitment(
    peer: DicomPeer, asked: Asked, on_report: OnReport, *, linger_s: float
) -> None:
    """Send one N-ACTION, and take the report if it comes on the same association.

    We are the SCU and say so (PS3.7 D.3.3.4). The report may come before the response to the request, after
    it, or hours later on an association of the archive's own, which is not ours to hear. A Transaction UID
    that the archive knows already is a request whose answer was lost: its report is awaited all the same.

    Parameters
    ----------
    linger_s
        How long the association stays open after the response.

    Raises
    ------
    Unavailable
        No association, no response, or a failure that may pass (0110, 0213); the same request may be sent
        again.
    Refused
        Rejected for good, the service is not accepted (``NO-PRESENTATION-CONTEXT``), or another failure
        status (``PACS-0122``).
    """
    context = build_context(StorageCommitmentPushModel)
    role = build_role(StorageCommitmentPushModel, scu_role=True, scp_role=False)
    handler = (evt.EVT_N_EVENT_REPORT, on_report)
    with associated(peer, [context], [role], [handler]) as association:
        if not any(accepted.as_scu for accepted in association.accepted_contexts):
            raise Refused("NO-PRESENTATION-CONTEXT", f"{peer} is no SCP of storage commitment")
        reports = _Reports(association)
        answered, _ = association.send_n_action(
            _information(asked),
            _REQUEST_STORAGE_COMMITMENT,
            StorageCommitmentPushModel,
            StorageCommitmentPushModelInstance,
        )
        status = status_of(answered, peer)
        if status in _TEMPORARY:
            raise Unavailable(f"{peer} cannot commit now ({reason_code(status)})")
        if status not in {0, _DUPLICATE_TRANSACTION_UID}:
            raise Refused(reason_code(status), f"{peer} refused to commit")
        reports.linger(linger_s)


class _Reports:
    """Answers reports wherever they come while we wait for something.

    pynetdicom takes the next message for the response, whatever it is, and gives the association up when it
    is none.
    """

    def __init__(self, association: Any) -> None:
        self.heard = False
        self._association = association
        self._take = association.dimse.get_msg
        association.dimse.get_msg = self._response

    def linger(self, linger_s: float) -> None:
        """Wait for one report, unless it came before."""
        if not self.heard:
            self._association.dimse_timeout = linger_s
            self._served(*self._take(block=True))

    def _response(self, block: bool = False) -> tuple[Any, Any]:
        while True:
            context_id, message = self._take(block)
            if not self._served(context_id, message):
                return context_id, message

    def _served(self, context_id: Any, message: Any) -> bool:
        if not (isinstance(message, N_EVENT_REPORT) and message.is_valid_request):
            return False
        self._association._serve_request(message, context_id)  # noqa: SLF001 - as its own loop does
        self.heard = True
        return True


def _information(asked: Asked) -> Dataset:
    information = Dataset()
    information.TransactionUID = asked.transaction_uid
    items = []
    for sop_class_uid, sop_instance_uid in asked.references:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class_uid
        item.ReferencedSOPInstanceUID = sop_instance_uid
        items.append(item)
    information.ReferencedSOPSequence = items
    return information
