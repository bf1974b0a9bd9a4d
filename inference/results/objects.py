"""What is asked of this package, and what it answers."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydicom import Dataset

from inference.uids import UUID_ROOT, derived_uid


class Kind(StrEnum):
    """The kinds of object, in the order of their delivery; PM and SC have the Modality (0008,0060) OT."""

    SEG = "SEG"
    PM = "PM"
    SC = "SC"
    KO = "KO"
    PR = "PR"
    DOC = "DOC"
    SR = "SR"


SERIES_OFFSET = {
    Kind.SEG: 0,
    Kind.SR: 1,
    Kind.PM: 2,
    Kind.SC: 3,
    Kind.KO: 4,
    Kind.PR: 5,
    Kind.DOC: 6,
}
"""Where a kind stands behind the first Series Number of its result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """The node that makes the objects: General Equipment (PS3.3 C.7.5.1) and the observer (PS3.16 TID 1004).

    Parameters
    ----------
    model_name
        Manufacturer's Model Name (0008,1090).
    device_serial_number
        Device Serial Number (0018,1000) of this installation.
    software_versions
        Software Versions (0018,1020), the node's own first.
    manufacturer
        Manufacturer (0008,0070).
    """

    model_name: str
    device_serial_number: str
    software_versions: tuple[str, ...]
    manufacturer: str = "Overread"

    def device_uid(self, uid_root: str) -> str:
        """UID of this installation, for Device Observer UID (121012, DCM)."""
        return derived_uid(
            "node", self.manufacturer, self.model_name, self.device_serial_number, root=uid_root
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Predecessor:
    """A report that another one takes the place of: Predecessor Documents Sequence (0040,A360)."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRequest:
    """What the node knows and the result does not.

    Parameters
    ----------
    equipment
        Who makes the objects.
    created
        When; with an offset. The same result built again at the same moment gives the same bytes.
    request_number
        0 for the automatic analysis, one more for each rerun or correction.
    revision
        0 for the first result of the series, one more each time that images arrive late.
    uid_root
        UID root of the site, without a final dot.
    first_series_number
        Series Number of the first object. The node gives every result of a study its own ten from 9000 up:
        viewers list series by number, and two of one number look like one.
    predecessors
        Reports that this result takes the place of.
    """

    equipment: Equipment
    created: datetime
    request_number: int = 0
    revision: int = 0
    uid_root: str = UUID_ROOT
    first_series_number: int = 9000
    predecessors: tuple[Predecessor, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultObject:
    """One DICOM object as it was created.

    Parameters
    ----------
    kind
        What it is.
    dataset
        The object in memory, pixels aside where there are many; what is sent is `encoded`.
    encoded
        The object as a file (PS3.10), made once: every delivery sends these bytes.
    """

    kind: Kind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    dataset: Dataset
    encoded: bytes


ResultObjects = tuple[ResultObject, ...]
"""The objects of one result, in the order in which they are delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One DICOM object as a file.

    Parameters
    ----------
    path
        Where its bytes lie.
    sha256
        Hexadecimal SHA-256 of the file.
    """

    kind: Kind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    path: Path
    sha256: str
