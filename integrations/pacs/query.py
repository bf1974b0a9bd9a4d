"""What an archive holds, asked by C-FIND (PS3.4 C.4.1)."""

from pydicom.dataset import Dataset
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyRootFind

from integrations.errors import Refused, Unavailable
from integrations.pacs.peer import DicomPeer, associated, reason_code, status_of

_PENDING = frozenset({0xFF00, 0xFF01})
_RESOURCES = 0xA700


class DicomArchiveIndex:
    """The `ArchiveIndex` of a peer with the Study Root query service.

    Asked at IMAGE level with both unique keys above it (hierarchical search, PS3.4 C.4.1.2.1), and only for
    UIDs: nothing of a patient crosses the wire.

    Parameters
    ----------
    peer
        The archive.
    """

    def __init__(self, peer: DicomPeer) -> None:
        self._peer = peer

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> frozenset[str]:
        """SOP Instance UIDs of a series; empty when the archive does not know it.

        Raises
        ------
        Unavailable
            The archive cannot be reached, is out of resources, or broke off its answer.
        Refused
            It has no query service, does not know us, or fails the query (``PACS-C001``).
        """
        with associated(self._peer, [build_context(StudyRootFind)]) as association:
            found = set()
            asked = _identifier(study_instance_uid, series_instance_uid)
            for answer, identifier in association.send_c_find(asked, StudyRootFind):
                status = status_of(answer, self._peer)
                if status not in _PENDING:
                    self._check(status)
                elif identifier is not None and "SOPInstanceUID" in identifier:
                    found.add(str(identifier.SOPInstanceUID))
            return frozenset(found)

    def _check(self, status: int) -> None:
        if status == _RESOURCES:
            raise Unavailable(f"{self._peer} has no resources for a query now")
        if status != 0:
            raise Refused(reason_code(status), f"{self._peer} failed a query")


def _identifier(study_instance_uid: str, series_instance_uid: str) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = "IMAGE"
    asked.StudyInstanceUID = study_instance_uid
    asked.SeriesInstanceUID = series_instance_uid
    asked.SOPInstanceUID = ""
    return asked
