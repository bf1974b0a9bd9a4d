"""Ask an archive to commit what it took: the request of Storage Commitment (PS3.4 Annex J.3.2)."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt
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
    reported = threading.Event()
    hearing: list[threading.Thread] = []

    def hear(event: Any) -> Any:
        # pynetdicom calls it in a thread of its own, also while the response is awaited
        hearing.append(threading.current_thread())
        answer = on_report(event)
        reported.set()
        return answer

    handler = (evt.EVT_N_EVENT_REPORT, hear)
    with associated(peer, [context], [role], [handler]) as association:
        if not any(accepted.as_scu for accepted in association.accepted_contexts):
            raise Refused("NO-PRESENTATION-CONTEXT", f"{peer} is no SCP of storage commitment")
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
        reported.wait(linger_s)
        for thread in hearing:  # our answer leaves before the association is released
            thread.join(peer.dimse_timeout_s)


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
