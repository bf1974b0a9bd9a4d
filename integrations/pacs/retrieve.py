"""What an archive holds, brought to us by C-MOVE (PS3.4 C.4.2) or by C-GET (PS3.4 C.4.3)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import build_role, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as StudyRootGet
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as StudyRootMove

from integrations.errors import Refused, Unavailable
from integrations.pacs.peer import DicomPeer, associated, reason_code, status_of

_PENDING = 0xFF00
_RESOURCES = frozenset({0xA701, 0xA702})
_NOT_AUTHORIZED = 0x0124
BATCH = 64
"""Instances that one request names."""

GET_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
    "1.2.840.10008.5.1.4.1.1.1.2",  # Digital Mammography X-Ray, for presentation
    "1.2.840.10008.5.1.4.1.1.2",  # CT
    "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT
    "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT
    "1.2.840.10008.5.1.4.1.1.3.1",  # Ultrasound Multi-frame
    "1.2.840.10008.5.1.4.1.1.4",  # MR
    "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR
    "1.2.840.10008.5.1.4.1.1.4.3",  # Enhanced MR Color
    "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR
    "1.2.840.10008.5.1.4.1.1.6.1",  # Ultrasound
    "1.2.840.10008.5.1.4.1.1.12.1",  # X-Ray Angiographic
    "1.2.840.10008.5.1.4.1.1.13.1.3",  # Breast Tomosynthesis
    "1.2.840.10008.5.1.4.1.1.20",  # Nuclear Medicine
    "1.2.840.10008.5.1.4.1.1.128",  # Positron Emission Tomography
    "1.2.840.10008.5.1.4.1.1.128.1",  # Enhanced PET
    "1.2.840.10008.5.1.4.1.1.128.2",  # Legacy Converted Enhanced PET
)
GET_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless only
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.5",  # RLE Lossless
)
"""One presentation context for each class and syntax, so that an archive sends what it has as it has it; all of
them and the service itself are 127, and an association has 128 (PS3.8 9.3.2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """One instance that an archive sends on our association.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid
        As its C-STORE names them.
    transfer_syntax_uid
        That of its presentation context.
    data_set
        The data set as it came; it is gone after the call.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set: memoryview


Take = Callable[[Offered], int]
"""Makes an instance safe; returns the DIMSE status that the archive is told."""


class DicomRetriever:
    """Asks an archive to send instances to our listener.

    Parameters
    ----------
    peer
        The archive.
    destination_ae_title
        Ours, as the archive knows it with our address.
    """

    def __init__(self, peer: DicomPeer, destination_ae_title: str) -> None:
        self._peer = peer
        self._destination = destination_ae_title

    def retrieve(
        self, study_instance_uid: str, series_instance_uid: str, instances: Sequence[str]
    ) -> None:
        """Have exactly these instances of a series sent to us, and wait for the end of it.

        Raises
        ------
        Unavailable
            The archive cannot be reached, is out of resources, or broke off.
        Refused
            It has no retrieve service, does not know us as a destination (``PACS-A801``), or failed some
            (``PACS-B000``).
        """
        with associated(self._peer, [build_context(StudyRootMove)]) as association:
            for asked in _requests(study_instance_uid, series_instance_uid, instances):
                answers = association.send_c_move(asked, self._destination, StudyRootMove)
                _follow(answers, self._peer)


class DicomGetter:
    """Fetches instances from an archive on an association of our own: it need not know our address.

    Parameters
    ----------
    peer
        The archive.
    """

    def __init__(self, peer: DicomPeer) -> None:
        self._peer = peer

    def retrieve(
        self,
        study_instance_uid: str,
        series_instance_uid: str,
        instances: Sequence[str],
        take: Take,
    ) -> None:
        """Fetch exactly these instances of a series; what else the archive sends is refused (0124).

        One instance at a time lies in memory.

        Raises
        ------
        Unavailable
            The archive cannot be reached, is out of resources, or broke off.
        Refused
            It has no such service, or failed some (``PACS-B000``).
        """
        contexts = [build_context(StudyRootGet)]
        for sop_class in GET_CLASSES:
            contexts += [build_context(sop_class, syntax) for syntax in GET_SYNTAXES]
        roles = [build_role(sop_class, scp_role=True) for sop_class in GET_CLASSES]
        store = (evt.EVT_C_STORE, partial(_store, take, frozenset(instances)))
        with associated(self._peer, contexts, roles, [store]) as association:
            if not any(
                one.abstract_syntax == StudyRootGet for one in association.accepted_contexts
            ):
                raise Refused("NO-PRESENTATION-CONTEXT", f"{self._peer} has no C-GET")
            for asked in _requests(study_instance_uid, series_instance_uid, instances):
                _follow(association.send_c_get(asked, StudyRootGet), self._peer)


def _store(take: Take, wanted: frozenset[str], event: Any) -> int:
    request = event.request
    if str(request.AffectedSOPInstanceUID) not in wanted:
        return _NOT_AUTHORIZED
    with request.DataSet.getbuffer() as data_set:
        return take(
            Offered(
                sop_class_uid=str(request.AffectedSOPClassUID),
                sop_instance_uid=str(request.AffectedSOPInstanceUID),
                transfer_syntax_uid=str(event.context.transfer_syntax),
                data_set=data_set,
            )
        )


def _requests(
    study_instance_uid: str, series_instance_uid: str, instances: Sequence[str]
) -> Iterator[Dataset]:
    for start in range(0, len(instances), BATCH):
        asked = Dataset()
        asked.QueryRetrieveLevel = "IMAGE"
        asked.StudyInstanceUID = study_instance_uid
        asked.SeriesInstanceUID = series_instance_uid
        asked.SOPInstanceUID = list(instances[start : start + BATCH])
        yield asked


def _follow(answers: Iterator[tuple[Dataset, Any]], peer: DicomPeer) -> None:
    """Wait for the end of one request.

    Raises
    ------
    Unavailable
        The archive is out of resources, or broke off.
    Refused
        It failed the request, or some of what it names.
    """
    for answer, _ in answers:
        status = status_of(answer, peer)
        if status in _RESOURCES:
            raise Unavailable(f"{peer} has no resources for a retrieval now")
        if status not in {0, _PENDING}:
            raise Refused(reason_code(status), f"{peer} failed a retrieval")
