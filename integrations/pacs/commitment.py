"""Tell a peer what we keep for it: the report of Storage Commitment (PS3.4 Annex J.3.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom.presentation import build_context, build_role
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from integrations.errors import Refused, Unavailable
from integrations.pacs.peer import DicomPeer, associated, reason_code, status_of

_ALL_COMMITTED = 1
_FAILURES_EXIST = 2
_TEMPORARY = frozenset({0x0110, 0x0213})
"""Processing failure and resource limitation (PS3.7 Annex C)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one instance.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid
        The instance, as it was asked for.
    failure_reason
        Failure Reason (0008,1197); None when it is committed.
    """

    sop_class_uid: str
    sop_instance_uid: str
    failure_reason: int | None = None


def report_commitment(peer: DicomPeer, transaction_uid: str, answers: Sequence[Answer]) -> None:
    """Send the result of a Storage Commitment request on an association of its own.

    We open it and are the SCP on it, so the role is negotiated (PS3.7 D.3.3.4).

    Raises
    ------
    Unavailable
        No association, no response, or a failure that may pass (0110, 0213).
    Refused
        Rejected for good, the role or the service is not accepted (``NO-PRESENTATION-CONTEXT``), or another
        failure status (``PACS-0112``).
    """
    context = build_context(StorageCommitmentPushModel)
    role = build_role(StorageCommitmentPushModel, scp_role=True)
    with associated(peer, [context], [role]) as association:
        if not any(accepted.as_scp for accepted in association.accepted_contexts):
            raise Refused(
                "NO-PRESENTATION-CONTEXT", f"{peer} does not let us report storage commitment"
            )
        answered, _ = association.send_n_event_report(
            _event(transaction_uid, answers),
            _FAILURES_EXIST if any(one.failure_reason for one in answers) else _ALL_COMMITTED,
            StorageCommitmentPushModel,
            StorageCommitmentPushModelInstance,
        )
        status = status_of(answered, peer)
    if status in _TEMPORARY:
        raise Unavailable(f"{peer} cannot take a commitment report now ({reason_code(status)})")
    if status != 0:
        raise Refused(reason_code(status), f"{peer} refused a commitment report")


def _event(transaction_uid: str, answers: Sequence[Answer]) -> Dataset:
    event = Dataset()
    event.TransactionUID = transaction_uid
    committed = [_item(one) for one in answers if one.failure_reason is None]
    failed = [_item(one) for one in answers if one.failure_reason is not None]
    if committed:
        event.ReferencedSOPSequence = committed
    if failed:
        event.FailedSOPSequence = failed
    return event


def _item(answer: Answer) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = answer.sop_class_uid
    item.ReferencedSOPInstanceUID = answer.sop_instance_uid
    if answer.failure_reason is not None:
        item.FailureReason = answer.failure_reason
    return item
