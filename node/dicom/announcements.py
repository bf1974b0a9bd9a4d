"""The listener's normalised services of what peers have made: procedure steps, instance availability.

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
)

from node.core.announcement import Announcement, Kind, StepAnswer, StepChange, StepState
from node.core.identifiers import is_uid
from node.dicom import status
from node.dicom.contexts import UNCOMPRESSED
from node.dicom.normalised import Answer, answered
from node.dicom.references import available, first_item, performed, read, required, uid
from node.errors import Declined

_OF_STEP = {
    StepAnswer.TAKEN: status.SUCCESS,
    StepAnswer.DUPLICATE: status.DUPLICATE_INSTANCE,
    StepAnswer.UNKNOWN: status.NO_SUCH_INSTANCE,
    StepAnswer.OVER: status.PROCESSING_FAILURE,
}


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
        return answered(self._create, event, self._peer(event))

    def change(self, event: Event) -> Answer:
        """N-SET of a procedure step (PS3.4 F.7.2.2)."""
        return answered(self._change, event, self._peer(event))

    def _peer(self, event: Event) -> str:
        return self._peers[event.assoc.requestor.ae_title.strip()]

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
