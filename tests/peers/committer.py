"""An archive with Storage Commitment that can lie: it answers Success, and forgets.

It runs in the process of the tests, in pynetdicom's threads. Beside Storage it answers C-FIND at IMAGE level
and N-ACTION; how its report comes is a switch.
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from pydicom.dataset import Dataset
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
)

from integrations.errors import IntegrationError
from integrations.pacs.commitment import Answer, report_commitment
from integrations.pacs.peer import DicomPeer
from tests.unit.integrations.samples import SEGMENTATION, STRUCTURED_REPORT

MR = "1.2.840.10008.5.1.4.1.1.4"
Report = Literal["own", "same", "before", "never"]
"""On an association of its own; on ours after the response; on ours before it; not at all."""


@dataclass
class Committer:
    """A running archive; its switches may be moved at any time."""

    ae_title: str = "COMMITTER"
    port: int = 0
    report: Report = "own"
    node_port: int = 0
    forget: list[str] = field(default_factory=list)
    """Each of these is forgotten once, after it was answered with Success."""
    lies: bool = False
    """Everything is, as long as it is so."""
    out_of_resources: bool = False
    """C-STORE is answered A700."""
    fails: dict[str, int] = field(default_factory=dict)
    """Failure Reasons that are reported whatever it holds."""
    answers: list[int] = field(default_factory=list)
    """Statuses of the next N-ACTIONs; Success when it is empty."""
    stored: dict[str, bytes] = field(default_factory=dict)
    arrivals: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    """What came although it was stored."""
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    """(Transaction UID, SOP Instance UIDs) of each N-ACTION."""
    reported: list[int] = field(default_factory=list)
    """How each report was answered."""
    series: dict[str, tuple[str, str]] = field(default_factory=dict)
    _waiting: list[tuple[str, list[Answer]]] = field(default_factory=list)

    def on_store(self, event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        dataset = event.dataset
        self.arrivals.append(uid)
        if self.out_of_resources:
            return 0xA700
        if self.lies:
            return 0
        if uid in self.stored:
            self.twice.append(uid)
        if uid in self.forget:
            self.forget.remove(uid)
            return 0
        self.series[uid] = (str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID))
        self.stored[uid] = event.encoded_dataset()
        return 0

    def on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        for uid in list(self.stored):  # more may be stored while this is answered
            if self.series[uid] == (asked.StudyInstanceUID, asked.SeriesInstanceUID):
                answer = Dataset()
                answer.QueryRetrieveLevel = "IMAGE"
                answer.SOPInstanceUID = uid
                yield 0xFF00, answer

    def on_action(self, event: evt.Event) -> tuple[int, None]:
        information = event.action_information
        items = information.ReferencedSOPSequence
        uids = tuple(str(item.ReferencedSOPInstanceUID) for item in items)
        self.asked.append((str(information.TransactionUID), uids))
        status = self.answers.pop(0) if self.answers else 0
        if status == 0:
            answers = [self._answer(item) for item in items]
            self._tell(event.assoc, str(information.TransactionUID), answers)
        return status, None

    def report_late(self) -> None:
        """Report what was not reported, on an association of its own."""
        waiting, self._waiting = self._waiting, []
        for transaction_uid, answers in waiting:
            self._report(transaction_uid, answers)

    def _answer(self, item: Dataset) -> Answer:
        uid = str(item.ReferencedSOPInstanceUID)
        reason = self.fails.get(uid, None if uid in self.stored else 0x0112)
        return Answer(
            sop_class_uid=str(item.ReferencedSOPClassUID),
            sop_instance_uid=uid,
            failure_reason=reason,
        )

    def _tell(self, association: Any, transaction_uid: str, answers: list[Answer]) -> None:
        arguments: tuple[Any, ...]
        match self.report:
            case "never":
                self._waiting.append((transaction_uid, answers))
            case "before":
                self._send(association, transaction_uid, answers)
            case "same":
                arguments = (association, transaction_uid, answers)
                threading.Thread(target=self._send, args=arguments, daemon=True).start()
            case "own":
                arguments = (transaction_uid, answers)
                threading.Thread(target=self._report, args=arguments, daemon=True).start()

    def _report(self, transaction_uid: str, answers: list[Answer]) -> None:
        node = DicomPeer(
            ae_title="OVERREAD",
            host="127.0.0.1",
            port=self.node_port,
            calling_ae_title=self.ae_title,
        )
        try:
            report_commitment(node, transaction_uid, answers)
            self.reported.append(0)
        except IntegrationError as error:
            self.reported.append(int(getattr(error, "reason", "PACS-FFFF")[-4:], 16))

    def _send(self, association: Any, transaction_uid: str, answers: list[Answer]) -> None:
        event = Dataset()
        event.TransactionUID = transaction_uid
        for keyword, wanted in (("ReferencedSOPSequence", False), ("FailedSOPSequence", True)):
            items = []
            for one in answers:
                if (one.failure_reason is not None) is wanted:
                    item = Dataset()
                    item.ReferencedSOPClassUID = one.sop_class_uid
                    item.ReferencedSOPInstanceUID = one.sop_instance_uid
                    if one.failure_reason is not None:
                        item.FailureReason = one.failure_reason
                    items.append(item)
            if items:
                setattr(event, keyword, items)
        failed = any(one.failure_reason is not None for one in answers)
        status, _ = association.send_n_event_report(
            event,
            2 if failed else 1,
            StorageCommitmentPushModel,
            StorageCommitmentPushModelInstance,
        )
        self.reported.append(int(status.Status) if "Status" in status else -1)


@contextlib.contextmanager
def running_committer(*, find: bool = True, commits: bool = True) -> Iterator[Committer]:
    """Start an empty archive on loopback and a free port, and end it.

    Parameters
    ----------
    find, commits
        False leaves out the query service, or Storage Commitment.
    """
    archive = Committer()
    entity = AE(ae_title=archive.ae_title)
    for sop_class in (SEGMENTATION, STRUCTURED_REPORT, MR):
        entity.add_supported_context(sop_class, list(AllTransferSyntaxes))
    if find:
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    if commits:
        entity.add_supported_context(StorageCommitmentPushModel)
    handlers = [
        (evt.EVT_C_STORE, archive.on_store),
        (evt.EVT_C_FIND, archive.on_find),
        (evt.EVT_N_ACTION, archive.on_action),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    archive.port = server.socket.getsockname()[1]
    try:
        yield archive
    finally:
        server.shutdown()
