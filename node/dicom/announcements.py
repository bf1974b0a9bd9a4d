"""The listener's normalised services: Storage Commitment, procedure steps, instance availability.

pynetdicom has one handler for each kind of request, so the two services that are told by N-CREATE share one.
Every handler answers a status; a bug of ours ends as 0110 (pynetdicom's answer for an exception).
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from node.core.announcement import Announcement, Kind, StepAnswer, StepChange, StepState
from node.core.commitment import Asked, CommitmentRequest
from node.core.identifiers import is_uid
from node.dicom import status
from node.dicom.contexts import UNCOMPRESSED
from node.dicom.references import available, first_item, performed, read, references, required, uid
from node.errors import Declined, OutOfResources
from node.telemetry import log

Answer = tuple[int | Dataset, None]

_REQUEST_STORAGE_COMMITMENT = 1
_OF_ASKED = {
    Asked.TAKEN: status.SUCCESS,
    Asked.KNOWN: status.SUCCESS,
    Asked.DUPLICATE: status.DUPLICATE_TRANSACTION_UID,
    Asked.TOO_MANY: status.RESOURCE_LIMITATION,
}
_OF_STEP = {
    StepAnswer.TAKEN: status.SUCCESS,
    StepAnswer.DUPLICATE: status.DUPLICATE_INSTANCE,
    StepAnswer.UNKNOWN: status.NO_SUCH_INSTANCE,
    StepAnswer.OVER: status.PROCESSING_FAILURE,
}


class Commitments:
    """The Storage Commitment Push Model as SCP (PS3.4 Annex J): takes requests; the report goes another way.

    Parameters
    ----------
    ask
        Makes a request durable (`node.pipeline.commit`).
    peers
        Name of each peer by its AE title.
    reachable
        Names of the peers that have an address: nobody else could be told the answer.
    """

    def __init__(
        self,
        *,
        ask: Callable[[CommitmentRequest], Asked],
        peers: Mapping[str, str],
        reachable: frozenset[str],
    ) -> None:
        self._ask = ask
        self._peers = peers
        self._reachable = reachable

    def contexts(self) -> list[PresentationContext]:
        """Return the Storage Commitment Push Model; the requestor is its SCU and nothing else."""
        context = build_context(StorageCommitmentPushModel, list(UNCOMPRESSED[:2]))
        context.scu_role, context.scp_role = True, False
        return [context]

    def bindings(self) -> list[Any]:
        """Return the handlers as pynetdicom wants them."""
        return [(evt.EVT_N_ACTION, self.action)]

    def action(self, event: Event) -> Answer:
        """N-ACTION (PS3.4 J.3.2): Success only when the request is durable."""
        return _answered(self._action, event, self._peers)

    def _action(self, event: Event, peer: str) -> int:
        named = str(event.request.RequestedSOPInstanceUID)
        if str(event.request.RequestedSOPClassUID) != StorageCommitmentPushModel:
            raise Declined(status.CLASS_INSTANCE_CONFLICT, "no Storage Commitment Push Model")
        if named != StorageCommitmentPushModelInstance:
            raise Declined(status.NO_SUCH_INSTANCE, "no well-known Storage Commitment instance")
        if event.action_type != _REQUEST_STORAGE_COMMITMENT:
            raise Declined(status.NO_SUCH_ACTION, f"Action Type ID {event.action_type}")
        if peer not in self._reachable:
            detail = "the peer has no host and port to which the answer could go"
            raise Declined(status.NOT_AUTHORIZED, detail)
        dataset = read(event, "ActionInformation", "action_information")
        request = CommitmentRequest(
            peer=peer,
            transaction_uid=uid(dataset, "TransactionUID"),
            references=references(dataset),
        )
        return _OF_ASKED[self._ask(request)]


class Announcements:
    """Modality Performed Procedure Step (PS3.4 F.7) and Instance Availability Notification (PS3.4 R) as SCP.

    Parameters
    ----------
    announce, begin_step, change_step
        Note what was said (`node.pipeline.announce`).
    peers
        Name of each peer by its AE title.
    """

    def __init__(
        self,
        *,
        announce: Callable[[Announcement], None],
        begin_step: Callable[[StepChange], StepAnswer],
        change_step: Callable[[StepChange], StepAnswer],
        peers: Mapping[str, str],
    ) -> None:
        self._announce = announce
        self._begin_step = begin_step
        self._change_step = change_step
        self._peers = peers

    def contexts(self) -> list[PresentationContext]:
        """Return the two SOP classes."""
        return [
            build_context(sop_class, list(UNCOMPRESSED[:2]))
            for sop_class in (ModalityPerformedProcedureStep, InstanceAvailabilityNotification)
        ]

    def bindings(self) -> list[Any]:
        """Return the handlers as pynetdicom wants them."""
        return [(evt.EVT_N_CREATE, self.create), (evt.EVT_N_SET, self.change)]

    def create(self, event: Event) -> Answer:
        """N-CREATE of a procedure step or of an availability notification."""
        return _answered(self._create, event, self._peers)

    def change(self, event: Event) -> Answer:
        """N-SET of a procedure step (PS3.4 F.7.2.2)."""
        return _answered(self._change, event, self._peers)

    def _create(self, event: Event, peer: str) -> int:
        instance = str(event.request.AffectedSOPInstanceUID or "")
        _require_instance(instance)
        dataset = read(event, "AttributeList", "attribute_list")
        if str(event.request.AffectedSOPClassUID) == InstanceAvailabilityNotification:
            listed = available(dataset)
            self._announce(Announcement(kind=Kind.IAN, peer=peer, instances=listed))
            return status.SUCCESS
        if required(dataset, "PerformedProcedureStepStatus") != StepState.IN_PROGRESS:
            raise Declined(status.INVALID_ATTRIBUTE_VALUE, "a step begins IN PROGRESS")
        scheduled = first_item(dataset, "ScheduledStepAttributesSequence")
        change = StepChange(
            sop_instance_uid=instance,
            peer=peer,
            state=StepState.IN_PROGRESS,
            study_instance_uid=uid(scheduled, "StudyInstanceUID"),
            performed=performed(dataset),
        )
        return _OF_STEP[self._begin_step(change)]

    def _change(self, event: Event, peer: str) -> int | Dataset:
        instance = str(event.request.RequestedSOPInstanceUID or "")
        _require_instance(instance)
        dataset = read(event, "ModificationList", "modification_list")
        change = StepChange(
            sop_instance_uid=instance,
            peer=peer,
            state=_state(dataset),
            performed=performed(dataset),
        )
        answer = self._change_step(change)
        return _over() if answer is StepAnswer.OVER else _OF_STEP[answer]


def _answered(
    work: Callable[[Event, str], int | Dataset], event: Event, peers: Mapping[str, str]
) -> Answer:
    peer = peers[event.assoc.requestor.ae_title.strip()]
    try:
        return work(event, peer), None
    except Declined as error:
        log("request declined", peer=peer, status=f"{error.status:04X}", detail=error.detail)
        return error.status, None
    except OutOfResources as error:
        code = status.RESOURCE_LIMITATION
        log("request declined", peer=peer, status=f"{code:04X}", detail=str(error))
        return code, None


def _require_instance(instance: str) -> None:
    if not is_uid(instance):
        raise Declined(status.INVALID_INSTANCE, "the request names no valid SOP Instance UID")


def _state(dataset: Dataset) -> StepState | None:
    if "PerformedProcedureStepStatus" not in dataset:
        return None
    told = str(required(dataset, "PerformedProcedureStepStatus"))
    if told not in {*StepState}:
        raise Declined(status.INVALID_ATTRIBUTE_VALUE, "no Performed Procedure Step Status")
    return StepState(told)


def _over() -> Dataset:
    answer = Dataset()
    answer.Status = status.PROCESSING_FAILURE
    answer.ErrorID = status.STEP_IS_OVER
    answer.ErrorComment = "may no longer be updated"
    return answer
