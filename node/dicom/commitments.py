"""The Storage Commitment Push Model (PS3.4 Annex J): requests that we take as SCP, reports that we take as SCU.

On an association that a peer opens, it may be either, and says so by role selection (PS3.7 D.3.3.4).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from node.core.commitment import Asked, CommitmentRequest
from node.core.confirmation import CommitmentReport, Told
from node.dicom import status
from node.dicom.contexts import UNCOMPRESSED
from node.dicom.normalised import Answer, answered
from node.dicom.references import failed_references, read, references, uid
from node.errors import Declined

_REQUEST_STORAGE_COMMITMENT = 1
_ALL_COMMITTED, _FAILURES_EXIST = 1, 2
_OF_ASKED = {
    Asked.TAKEN: status.SUCCESS,
    Asked.KNOWN: status.SUCCESS,
    Asked.DUPLICATE: status.DUPLICATE_TRANSACTION_UID,
    Asked.TOO_MANY: status.RESOURCE_LIMITATION,
}
_OF_TOLD = {
    Told.TAKEN: status.SUCCESS,
    Told.KNOWN: status.SUCCESS,
    Told.UNKNOWN: status.INVALID_ARGUMENT_VALUE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """What takes requests for commitment.

    Parameters
    ----------
    ask
        Makes a request durable (`node.pipeline.commit`).
    reachable
        Names of the peers that have an address: nobody else could be told the answer.
    """

    ask: Callable[[CommitmentRequest], Asked]
    reachable: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """What takes reports of archives that we asked to commit.

    Parameters
    ----------
    take
        Makes a report durable (`node.pipeline.confirm`).
    """

    take: Callable[[CommitmentReport], Told]

    def answer(self, event: Event, peer: str) -> Answer:
        """N-EVENT-REPORT (PS3.4 J.3.3): Success only when the report is durable.

        A transaction that we do not know, or have with somebody else, is an invalid argument value (0115).
        """
        return answered(self._answer, event, peer)

    def _answer(self, event: Event, peer: str) -> int:
        _require_service(
            str(event.request.AffectedSOPClassUID), str(event.request.AffectedSOPInstanceUID)
        )
        if event.event_type not in {_ALL_COMMITTED, _FAILURES_EXIST}:
            raise Declined(status.NO_SUCH_EVENT_TYPE, f"Event Type ID {event.event_type}")
        dataset = read(event, "EventInformation", "event_information")
        report = CommitmentReport(
            peer=peer,
            transaction_uid=uid(dataset, "TransactionUID"),
            committed=frozenset(
                references(dataset) if dataset.get("ReferencedSOPSequence") else ()
            ),
            failed=failed_references(dataset),
        )
        return _OF_TOLD[self.take(report)]


class Commitments:
    """The service on associations that peers open.

    Parameters
    ----------
    requests
        None: we commit nothing.
    reports
        None: we ask nobody to commit anything.
    peers
        Name of each peer by its AE title.
    """

    def __init__(
        self,
        *,
        requests: Requests | None = None,
        reports: Reports | None = None,
        peers: Mapping[str, str],
    ) -> None:
        self._requests = requests
        self._reports = reports
        self._peers = peers

    def contexts(self) -> list[PresentationContext]:
        """Return the Storage Commitment Push Model, with the roles that a requestor may take."""
        context = build_context(StorageCommitmentPushModel, list(UNCOMPRESSED[:2]))
        context.scu_role = self._requests is not None
        context.scp_role = self._reports is not None
        return [context]

    def bindings(self) -> list[Any]:
        """Return the handlers as pynetdicom wants them."""
        return [(evt.EVT_N_ACTION, self.action), (evt.EVT_N_EVENT_REPORT, self.report)]

    def action(self, event: Event) -> Answer:
        """N-ACTION (PS3.4 J.3.2): Success only when the request is durable."""
        return answered(self._action, event, self._peer(event))

    def report(self, event: Event) -> Answer:
        """N-EVENT-REPORT of an archive that we asked."""
        if self._reports is None:
            return status.NO_SUCH_EVENT_TYPE, None
        return self._reports.answer(event, self._peer(event))

    def _peer(self, event: Event) -> str:
        return self._peers[event.assoc.requestor.ae_title.strip()]

    def _action(self, event: Event, peer: str) -> int:
        _require_service(
            str(event.request.RequestedSOPClassUID), str(event.request.RequestedSOPInstanceUID)
        )
        if self._requests is None or event.action_type != _REQUEST_STORAGE_COMMITMENT:
            raise Declined(status.NO_SUCH_ACTION, f"Action Type ID {event.action_type}")
        if peer not in self._requests.reachable:
            detail = "the peer has no host and port to which the answer could go"
            raise Declined(status.NOT_AUTHORIZED, detail)
        dataset = read(event, "ActionInformation", "action_information")
        request = CommitmentRequest(
            peer=peer,
            transaction_uid=uid(dataset, "TransactionUID"),
            references=references(dataset),
        )
        return _OF_ASKED[self._requests.ask(request)]


def _require_service(sop_class_uid: str, sop_instance_uid: str) -> None:
    if sop_class_uid != StorageCommitmentPushModel:
        raise Declined(status.CLASS_INSTANCE_CONFLICT, "no Storage Commitment Push Model")
    if sop_instance_uid != StorageCommitmentPushModelInstance:
        raise Declined(status.NO_SUCH_INSTANCE, "no well-known Storage Commitment instance")
