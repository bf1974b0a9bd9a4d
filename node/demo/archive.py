"""A small archive: stores what it gets, answers C-ECHO and C-FIND at IMAGE level.

It stands in for Orthanc where that is not installed. Not a PACS: nothing is fsynced, nothing deleted.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pydicom import Dataset, dcmread
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from node.dicom.contexts import TRANSFER_SYNTAXES

SUCCESS = 0x0000
PENDING = 0xFF00
KEYS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


class Archive:
    """The archive's answers, from the files in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def store(self, event: Event) -> int:
        """C-STORE: keep the file as it came."""
        path = self._folder / f"{event.request.AffectedSOPInstanceUID}.dcm"
        path.write_bytes(event.encoded_dataset())
        return SUCCESS

    def find(self, event: Event) -> Iterator[tuple[int, Dataset | None]]:
        """C-FIND: every instance whose UIDs are those of the question (PS3.4 C.4.1)."""
        question = event.identifier
        for path in sorted(self._folder.glob("*.dcm")):
            held = dcmread(path, stop_before_pixels=True, specific_tags=list(KEYS))
            if all(question.get(key) in {None, "", held[key].value} for key in KEYS):
                answer = Dataset()
                answer.QueryRetrieveLevel = "IMAGE"
                for key in KEYS:
                    setattr(answer, key, held[key].value)
                yield PENDING, answer


@contextlib.contextmanager
def running_archive(folder: Path, ae_title: str, port: int) -> Iterator[None]:
    """Run an archive in threads of this process, on loopback."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = Archive(folder)
    entity = AE(ae_title=ae_title)
    entity.maximum_pdu_size = 1 << 20
    entity.add_supported_context(Verification)
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), list(TRANSFER_SYNTAXES))
    handlers = [(evt.EVT_C_STORE, archive.store), (evt.EVT_C_FIND, archive.find)]
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    try:
        yield
    finally:
        if server is not None:
            server.shutdown()
