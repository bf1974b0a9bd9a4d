from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.dsutils import decode, encode
from pynetdicom.sop_class import (
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from node.core.announcement import Announcement, StepAnswer, StepChange, StepState
from node.core.commitment import Asked, CommitmentRequest, Reference
from node.core.confirmation import CommitmentReport, Told
from node.dicom import references
from node.dicom.announcements import Announcements
from node.dicom.commitments import Commitments, Reports, Requests
from node.errors import OutOfResources
from tests.unit.node.samples import MR, SERIES, STUDY

PEERS = {"PACS": "pacs"}


class Event:
    """What pynetdicom gives a handler of a normalised request, as far as ours look at it."""

    def __init__(self, data: bytes, **request: Any) -> None:
        self.assoc = SimpleNamespace(requestor=SimpleNamespace(ae_title="PACS "))
        encoded = dict.fromkeys((
            "ActionInformation",
            "AttributeList",
            "EventInformation",
            "ModificationList",
        ))
        self.request = SimpleNamespace(**{**encoded, **request})
        for name in encoded:
            setattr(self.request, name, BytesIO(data))
        self.context = SimpleNamespace(transfer_syntax=ImplicitVRLittleEndian)
        self.action_type = request.get("ActionTypeID")
        self.event_type = request.get("EventTypeID")

    def _decoded(self) -> Dataset:
        dataset: Dataset = decode(self.request.AttributeList, True, True)
        return dataset

    action_information = attribute_list = modification_list = property(_decoded)
    event_information = property(_decoded)


def encoded(dataset: Dataset) -> bytes:
    data: bytes | None = encode(dataset, True, True)
    assert data is not None
    return data


def items(*uids: str, sop_class: str = MR) -> list[Dataset]:
    found = []
    for uid in uids:
        item = Dataset()
        with disable_value_validation():
            item.ReferencedSOPClassUID = sop_class
            item.ReferencedSOPInstanceUID = uid
        found.append(item)
    return found


@dataclass
class Node:
    """What stands behind the services."""

    asked: list[CommitmentRequest] = field(default_factory=list)
    announced: list[Announcement] = field(default_factory=list)
    changes: list[StepChange] = field(default_factory=list)
    answer: Asked = Asked.TAKEN
    reports: list[CommitmentReport] = field(default_factory=list)
    told: Told = Told.TAKEN
    step: StepAnswer = StepAnswer.TAKEN
    failure: Exception | None = None

    def ask(self, request: CommitmentRequest) -> Asked:
        if self.failure is not None:
            raise self.failure
        self.asked.append(request)
        return self.answer

    def change(self, change: StepChange) -> StepAnswer:
        self.changes.append(change)
        return self.step

    def commitments(self) -> Commitments:
        return Commitments(
            requests=Requests(ask=self.ask, reachable=frozenset({"pacs"})),
            reports=Reports(take=self.take),
            peers=PEERS,
        )

    def take(self, report: CommitmentReport) -> Told:
        if self.failure is not None:
            raise self.failure
        self.reports.append(report)
        return self.told

    def announcements(self) -> Announcements:
        return Announcements(
            announce=self.announced.append,
            begin_step=self.change,
            change_step=self.change,
            peers=PEERS,
        )


def commitment(change: Callable[[Dataset], None] = lambda _: None) -> bytes:
    dataset = Dataset()
    dataset.TransactionUID = "2.25.9"
    dataset.ReferencedSOPSequence = items("2.25.1", "2.25.2", "2.25.1")
    change(dataset)
    return encoded(dataset)


def action(node: Node, data: bytes, **request: Any) -> int:
    asked = {
        "RequestedSOPClassUID": StorageCommitmentPushModel,
        "RequestedSOPInstanceUID": StorageCommitmentPushModelInstance,
        "ActionTypeID": 1,
        **request,
    }
    event: Any = Event(data, **asked)
    status, _ = node.commitments().action(event)
    assert isinstance(status, int)
    return status


def test_a_request_for_commitment_is_read_without_doubles() -> None:
    node = Node()
    assert action(node, commitment()) == 0
    (request,) = node.asked
    assert (request.peer, request.transaction_uid) == ("pacs", "2.25.9")
    assert request.references == (Reference("2.25.1", MR), Reference("2.25.2", MR))


@pytest.mark.parametrize(
    ("answer", "status"),
    [(Asked.KNOWN, 0), (Asked.DUPLICATE, 0x0131), (Asked.TOO_MANY, 0x0213)],
)
def test_every_answer_has_its_status(answer: Asked, status: int) -> None:
    assert action(Node(answer=answer), commitment()) == status


def test_a_request_that_is_not_durable_is_not_success() -> None:
    assert action(Node(failure=OutOfResources("disk")), commitment()) == 0x0213


def _del(keyword: str) -> Callable[[Dataset], None]:
    return lambda dataset: delattr(dataset, keyword)


def _set(keyword: str, value: Any) -> Callable[[Dataset], None]:
    return lambda dataset: setattr(dataset, keyword, value)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (_del("TransactionUID"), 0x0120),
        (_set("TransactionUID", ""), 0x0121),
        (_set("TransactionUID", "2.25.09"), 0x0106),
        (_del("ReferencedSOPSequence"), 0x0120),
        (_set("ReferencedSOPSequence", []), 0x0121),
        (_set("ReferencedSOPSequence", items("../../etc/passwd")), 0x0106),
        (_set("ReferencedSOPSequence", items("1." * 40 + "1")), 0x0106),
        (
            _set(
                "ReferencedSOPSequence",
                [*items("2.25.1"), *items("2.25.1", sop_class="1.2.3")],
            ),
            0x0106,
        ),
        (_set("ReferencedSOPSequence", items("2.25.1", sop_class="")), 0x0121),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_malformed_request_is_told_what_is_wrong(
    change: Callable[[Dataset], None], status: int
) -> None:
    node = Node()
    assert action(node, commitment(change)) == status
    assert node.asked == []


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"RequestedSOPInstanceUID": "2.25.1"}, 0x0112),
        ({"RequestedSOPClassUID": MR}, 0x0119),
        ({"ActionTypeID": 2}, 0x0123),
    ],
)
def test_a_request_for_something_else(request_: dict[str, Any], status: int) -> None:
    assert action(Node(), commitment(), **request_) == status


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "data",
    [
        commitment()[:-3],
        b"\xff" * 64,
        # a sequence in a sequence, and so on, deeper than anybody may call
        b"\x08\x00\x99\x11\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 20_000,
    ],
    ids=["cut off", "garbage", "nested without end"],
)
def test_what_is_no_data_set_costs_an_answer_and_no_more(data: bytes) -> None:
    node = Node()
    assert action(node, data) != 0
    assert node.asked == []


def test_a_list_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "MOST_INSTANCES", 2)
    assert action(Node(), commitment()) == 0x0213
    monkeypatch.setattr(references, "MOST_INSTANCES", 3)
    assert action(Node(), commitment()) == 0
    monkeypatch.setattr(references, "MOST_BYTES", 10)
    assert action(Node(), commitment()) == 0x0213


def step(state: str | None, *uids: str) -> bytes:
    scheduled = Dataset()
    scheduled.StudyInstanceUID = STUDY
    series = Dataset()
    series.SeriesInstanceUID = SERIES
    series.ReferencedImageSequence = items(*uids)
    dataset = Dataset()
    if state is not None:
        dataset.PerformedProcedureStepStatus = state
    dataset.ScheduledStepAttributesSequence = [scheduled]
    dataset.PerformedSeriesSequence = [series]
    return encoded(dataset)


def create(node: Node, data: bytes, sop_class: str, instance: str | None = "2.25.7") -> Any:
    event: Any = Event(data, AffectedSOPClassUID=sop_class, AffectedSOPInstanceUID=instance)
    return node.announcements().create(event)[0]


def change(node: Node, data: bytes) -> Any:
    event: Any = Event(data, RequestedSOPInstanceUID="2.25.7")
    return node.announcements().change(event)[0]


def test_a_step_is_read_with_what_it_performed() -> None:
    node = Node()
    assert create(node, step("IN PROGRESS"), ModalityPerformedProcedureStep) == 0
    assert change(node, step("COMPLETED", "2.25.1", "2.25.2")) == 0
    begun, done = node.changes
    assert (begun.state, begun.study_instance_uid) == (StepState.IN_PROGRESS, STUDY)
    assert done.state is StepState.COMPLETED
    assert done.performed == ((SERIES, "2.25.1"), (SERIES, "2.25.2"))


def test_a_step_that_says_nothing_about_its_list_leaves_it() -> None:
    node = Node()
    dataset = Dataset()
    dataset.PerformedProcedureStepStatus = "COMPLETED"
    assert change(node, encoded(dataset)) == 0
    assert node.changes[0].performed is None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("data", "instance", "status"),
    [
        (step("COMPLETED"), "2.25.7", 0x0106),
        (step(None), "2.25.7", 0x0120),
        (step("IN PROGRESS"), None, 0x0117),
        (step("IN PROGRESS"), "../x", 0x0117),
        (step("IN PROGRESS", "x"), "2.25.7", 0x0106),
    ],
)
def test_a_step_that_cannot_begin_so(data: bytes, instance: str | None, status: int) -> None:
    node = Node()
    assert create(node, data, ModalityPerformedProcedureStep, instance) == status
    assert node.changes == []


def test_a_step_that_is_over_says_so_in_the_standards_words() -> None:
    answer = change(Node(step=StepAnswer.OVER), step("COMPLETED"))
    assert (answer.Status, answer.ErrorID) == (0x0110, 0xA710)


def test_a_status_that_no_step_has_is_refused() -> None:
    assert change(Node(), step("DONE")) == 0x0106


def test_a_notification_needs_study_and_list() -> None:
    node = Node()
    dataset = Dataset()
    dataset.StudyInstanceUID = STUDY
    assert create(node, encoded(dataset), InstanceAvailabilityNotification) == 0x0120
    assert node.announced == []


def report(node: Node, data: bytes, **request: Any) -> int:
    told = {
        "AffectedSOPClassUID": StorageCommitmentPushModel,
        "AffectedSOPInstanceUID": StorageCommitmentPushModelInstance,
        "EventTypeID": 2,
        **request,
    }
    event: Any = Event(data, **told)
    status, _ = node.commitments().report(event)
    assert isinstance(status, int)
    return status


def reported(change: Callable[[Dataset], None] = lambda _: None) -> bytes:
    dataset = Dataset()
    dataset.TransactionUID = "2.25.9"
    dataset.ReferencedSOPSequence = items("2.25.1")
    dataset.FailedSOPSequence = items("2.25.2", "2.25.3")
    dataset.FailedSOPSequence[0].FailureReason = 0x0112
    change(dataset)
    return encoded(dataset)


def test_a_report_is_read_with_the_reason_of_each_failure() -> None:
    node = Node()
    assert report(node, reported()) == 0
    assert node.reports == [
        CommitmentReport(
            peer="pacs",
            transaction_uid="2.25.9",
            committed=frozenset({Reference("2.25.1", MR)}),
            failed={"2.25.2": 0x0112, "2.25.3": 0x0110},
        )
    ]


@pytest.mark.parametrize(
    ("told", "status"), [(Told.KNOWN, 0), (Told.TAKEN, 0), (Told.UNKNOWN, 0x0115)]
)
def test_a_report_of_a_transaction_is_answered_by_what_is_known_of_it(
    told: Told, status: int
) -> None:
    assert report(Node(told=told), reported()) == status


def test_a_report_that_could_not_be_written_is_to_be_sent_again() -> None:
    assert report(Node(failure=OutOfResources("full")), reported()) == 0x0213


def _without(keyword: str) -> Callable[[Dataset], None]:
    return lambda dataset: delattr(dataset, keyword)


@pytest.mark.parametrize(
    ("data", "request_of", "status"),
    [
        (reported(_without("TransactionUID")), {}, 0x0120),
        (reported()[:-3], {}, 0x0110),
        (reported(), {"EventTypeID": 3}, 0x0113),
        (reported(), {"AffectedSOPInstanceUID": "2.25.1"}, 0x0112),
        (reported(), {"AffectedSOPClassUID": MR}, 0x0119),
    ],
)
def test_a_report_that_is_none_is_declined(
    data: bytes, request_of: dict[str, Any], status: int
) -> None:
    node = Node()
    assert report(node, data, **request_of) == status
    assert node.reports == []


def test_roles_are_those_of_the_services_that_are_on() -> None:
    node = Node()
    requests = Requests(ask=node.ask, reachable=frozenset())
    reports = Reports(take=node.take)
    for service, roles in (
        (Commitments(requests=requests, peers=PEERS), (True, False)),
        (Commitments(reports=reports, peers=PEERS), (False, True)),
        (Commitments(requests=requests, reports=reports, peers=PEERS), (True, True)),
    ):
        (context,) = service.contexts()
        assert (context.scu_role, context.scp_role) == roles
