"""DCMTK's `wlmscpfs` as the Modality Worklist of a RIS: one file for each item."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from tests.peers import free_port, program
from tests.peers.dcmtk import serving

AE_TITLE = "RISMWL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worklist:
    """A running worklist."""

    folder: Path
    port: int
    ae_title: str = AE_TITLE

    def add(self, **attributes: str) -> None:
        """Add an item; `attributes` replace or join those of an ordinary one."""
        item = Dataset()
        values = {
            "SpecificCharacterSet": "ISO_IR 192",
            "AccessionNumber": "ACC42",
            "PatientName": "Muster^Erika",
            "PatientID": "OVR-000042",
            "IssuerOfPatientID": "EXAMPLE",
            "PatientBirthDate": "19640812",
            "PatientSex": "F",
            "StudyInstanceUID": "2.25.100",
            "RequestedProcedureID": "RP1",
            "RequestedProcedureDescription": "CT Chest",
            "RequestedProcedurePriority": "ROUTINE",
            **attributes,
        }
        for keyword, value in values.items():
            setattr(item, keyword, value)
        step = Dataset()
        step.Modality = "CT"
        step.ScheduledStationAETitle = "CT1"
        step.ScheduledProcedureStepStartDate = "20261015"
        step.ScheduledProcedureStepStartTime = "101500"
        step.ScheduledProcedureStepID = "SPS1"
        step.ScheduledProcedureStepDescription = "CT Chest"
        step.ScheduledPerformingPhysicianName = ""
        item.ScheduledProcedureStepSequence = [step]
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.31")
        item.file_meta.MediaStorageSOPInstanceUID = UID("2.25.1")
        folder = self.folder / self.ae_title
        item.save_as(folder / f"{len(list(folder.glob('*.wl')))}.wl", enforce_file_format=True)


@contextmanager
def running_worklist(folder: Path) -> Iterator[Worklist]:
    """Start an empty worklist in `folder`, and end it."""
    (folder / AE_TITLE).mkdir(parents=True)
    (folder / AE_TITLE / "lockfile").touch()
    server = Worklist(folder=folder, port=free_port())
    command = [str(program("wlmscpfs", "dcmtk")), "-dfp", str(folder), str(server.port)]
    with serving(command, folder, ae_title=server.ae_title, port=server.port):
        yield server
