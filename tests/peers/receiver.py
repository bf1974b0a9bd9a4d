"""An archive that logs every C-STORE it gets, and fails on demand: what counts *exactly once*.

It runs in the process of the tests, in pynetdicom's threads. Beside Storage it answers C-ECHO and C-FIND
(Study Root) from what it has stored.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

SUCCESS = 0x0000
PENDING = 0xFF00


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One C-STORE request, and how it was answered."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    series_instance_uid: str
    study_instance_uid: str
    calling_ae_title: str
    at_s: float
    """Seconds since the epoch, when the request was complete."""
    status: int


@dataclass
class Receiver:
    """A running archive; its switches may be moved at any time."""

    folder: Path
    ae_title: str
    port: int = 0
    statuses: list[int] = field(default_factory=list)
    """Answers for the next C-STORE requests, in order; Success when it is empty."""
    delay_s: float = 0.0
    """How long every C-STORE response is held back after the instance is stored."""
    answer_find: bool = True
    """False: C-FIND fails with A700."""
    identity: dict[str, str] = field(default_factory=dict)
    """What it says of every study instead of what was stored: somebody has corrected it there."""
    _gate: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _log: list[Received] = field(default_factory=list)

    @property
    def log_path(self) -> Path:
        """One JSON object per C-STORE request, in the order of arrival."""
        return self.folder / "received.jsonl"

    @property
    def received(self) -> list[Received]:
        """Every C-STORE request so far."""
        with self._lock:
            return list(self._log)

    @property
    def stored(self) -> dict[str, Path]:
        """The files that it has, by SOP Instance UID."""
        return {path.stem: path for path in sorted((self.folder / "stored").glob("*.dcm"))}

    def times(self, sop_instance_uid: str) -> int:
        """How many C-STORE requests there were for an instance."""
        return sum(one.sop_instance_uid == sop_instance_uid for one in self.received)

    def hang(self) -> None:
        """Store, but answer no further C-STORE before `go_on`."""
        self._gate.clear()

    def go_on(self) -> None:
        """Answer again."""
        self._gate.set()

    def reset(self) -> None:
        """Forget every file, every request and every switch."""
        self.statuses.clear()
        self.delay_s = 0.0
        self.answer_find = True
        self.identity.clear()
        self.go_on()
        with self._lock:
            self._log.clear()
            self.log_path.unlink(missing_ok=True)
        for path in self.stored.values():
            path.unlink()

    def on_store(self, event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        with self._lock:
            status = self.statuses.pop(0) if self.statuses else SUCCESS
        if status == SUCCESS or status & 0xF000 == 0xB000:
            (self.folder / "stored" / f"{uid}.dcm").write_bytes(event.encoded_dataset())
        self._record(event, uid, status)
        if self.delay_s:
            time.sleep(self.delay_s)
        self._gate.wait(timeout=120)
        return status

    def _record(self, event: evt.Event, uid: str, status: int) -> None:
        dataset = event.dataset
        one = Received(
            sop_instance_uid=uid,
            sop_class_uid=str(event.request.AffectedSOPClassUID),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            series_instance_uid=str(dataset.SeriesInstanceUID),
            study_instance_uid=str(dataset.StudyInstanceUID),
            calling_ae_title=str(event.assoc.requestor.ae_title),
            at_s=time.time(),
            status=status,
        )
        with self._lock:
            self._log.append(one)
            with self.log_path.open("a") as log:
                log.write(json.dumps(asdict(one)) + "\n")

    def on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        if not self.answer_find:
            yield 0xA700, None
            return
        asked = event.identifier
        seen: set[str] = set()
        for path in self.stored.values():
            held = dcmread(path, stop_before_pixels=True)
            key = _LEVELS[str(asked.QueryRetrieveLevel)]
            if held[key].value not in seen and _matches(asked, held):
                seen.add(held[key].value)
                yield PENDING, self._answer(asked, held)

    def _answer(self, asked: Dataset, held: Dataset) -> Dataset:
        answer = Dataset()
        answer.SpecificCharacterSet = held.get("SpecificCharacterSet", "ISO_IR 6")
        answer.QueryRetrieveLevel = asked.QueryRetrieveLevel
        for element in asked:
            if element.keyword and element.keyword in held:
                answer[element.tag] = held[element.tag]
        if asked.QueryRetrieveLevel == "STUDY":
            for keyword, value in self.identity.items():
                setattr(answer, keyword, value)
        return answer


_LEVELS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


def _matches(asked: Dataset, held: Dataset) -> bool:
    """Match the keys that a query of ours has (PS3.4 C.2.2.2): UIDs, a number, a range of dates."""
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "PatientID"):
        wanted = asked.get(keyword)
        if wanted and wanted != held.get(keyword):
            return False
    first, _, last = str(asked.get("StudyDate") or "").partition("-")
    return not first or first <= str(held.get("StudyDate", "")) <= last


@contextlib.contextmanager
def running_receiver(
    folder: Path,
    *,
    ae_title: str = "RECEIVER",
    find: bool = True,
    only_sop_class: str | None = None,
    refuses: frozenset[str] = frozenset(),
    syntaxes: Sequence[str] = AllTransferSyntaxes,
) -> Iterator[Receiver]:
    """Start an empty archive on loopback and a free port, and end it.

    Parameters
    ----------
    find
        False leaves out the query service: the archive cannot be asked.
    only_sop_class
        The one storage class to accept; None accepts all that pynetdicom knows.
    refuses
        Storage classes that are not accepted.
    syntaxes
        Transfer syntaxes in which it takes objects.
    """
    (folder / "stored").mkdir(parents=True, exist_ok=True)
    receiver = Receiver(folder=folder, ae_title=ae_title)
    receiver.go_on()
    entity = AE(ae_title=ae_title)
    entity.require_called_aet = True
    entity.maximum_pdu_size = 1 << 20
    entity.add_supported_context(Verification)
    if find:
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    classes = [only_sop_class] if only_sop_class else _all_storage_classes()
    for sop_class in (one for one in classes if one not in refuses):
        entity.add_supported_context(sop_class, list(syntaxes))
    handlers = [(evt.EVT_C_STORE, receiver.on_store), (evt.EVT_C_FIND, receiver.on_find)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    receiver.port = server.socket.getsockname()[1]
    try:
        yield receiver
    finally:
        receiver.go_on()
        server.shutdown()


def _all_storage_classes() -> list[str]:
    return [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
