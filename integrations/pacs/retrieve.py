"""What an archive holds, brought to us by C-MOVE (PS3.4 C.4.2)."""

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as StudyRootMove

from integrations.errors import Refused, Unavailable
from integrations.pacs.peer import DicomPeer, associated, reason_code, status_of

_PENDING = 0xFF00
_RESOURCES = frozenset({0xA701, 0xA702})
BATCH = 64
"""Instances that one request names."""


class DicomRetriever:
    """Asks an archive to send instances to us.

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
            It has no retrieve service, does not know us as a destination (``PACS-A801``), or failed some.
        """
        with associated(self._peer, [build_context(StudyRootMove)]) as association:
            for start in range(0, len(instances), BATCH):
                asked = Dataset()
                asked.QueryRetrieveLevel = "IMAGE"
                asked.StudyInstanceUID = study_instance_uid
                asked.SeriesInstanceUID = series_instance_uid
                asked.SOPInstanceUID = list(instances[start : start + BATCH])
                answers = association.send_c_move(asked, self._destination, StudyRootMove)
                for answer, _ in answers:
                    self._check(status_of(answer, self._peer))

    def _check(self, status: int) -> None:
        if status in _RESOURCES:
            raise Unavailable(f"{self._peer} has no resources for a retrieval now")
        if status not in {0, _PENDING}:
            raise Refused(reason_code(status), f"{self._peer} failed a retrieval")
