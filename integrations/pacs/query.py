"""What an archive holds, asked by C-FIND (PS3.4 C.4.1)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from pydicom.dataset import Dataset
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyRootFind

from integrations.archive import require_plain
from integrations.errors import Refused, Unavailable
from integrations.pacs.peer import DicomPeer, associated, reason_code, status_of

_PENDING = frozenset({0xFF00, 0xFF01})
_RESOURCES = 0xA700


class DicomArchiveIndex:
    """The `ArchiveIndex` and `PatientIndex` of a peer with the Study Root query service.

    For instances it is asked at IMAGE level with both unique keys above it (hierarchical search, PS3.4
    C.4.1.2.1), and only for UIDs: then nothing of a patient crosses the wire. For a patient's studies it is
    asked by Patient ID alone.

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
        asked = _identifier(study_instance_uid, series_instance_uid)
        return frozenset(
            str(one.SOPInstanceUID) for one in self._matches(asked) if "SOPInstanceUID" in one
        )

    def attributes(
        self, study_instance_uid: str, keywords: Sequence[str]
    ) -> Mapping[str, str] | None:
        """Say attributes of a study by keyword, decoded; None when the archive does not know the study.

        Asked at STUDY level by its UID alone: nothing of a patient is in the question.

        Raises
        ------
        Unavailable
            The archive cannot be reached, is out of resources, or broke off its answer.
        Refused
            It has no query service, does not know us, fails the query, or answers in several ways.
        """
        asked = _question("STUDY", keywords)
        asked.StudyInstanceUID = study_instance_uid
        told = [
            _told(one, keywords)
            for one in self._matches(asked)
            if one.get("StudyInstanceUID") == study_instance_uid
        ]
        return only(told, str(self._peer))

    def studies_of(
        self, patient_id: str, days: tuple[date, date], keywords: Sequence[str]
    ) -> Sequence[Mapping[str, str]]:
        """Say attributes of the studies under a Patient ID; see `PatientIndex.studies_of`.

        Raises
        ------
        Unavailable
            The archive cannot be reached, is out of resources, or broke off its answer.
        Refused
            It has no query service, does not know us, fails the query; or ``PATIENT-ID-AMBIGUOUS``.
        """
        require_plain(patient_id)
        keywords = (*keywords, "StudyInstanceUID")
        asked = _question("STUDY", keywords)
        if not patient_id.isascii():
            asked.SpecificCharacterSet = "ISO_IR 192"
        asked.PatientID = patient_id
        asked.StudyDate = f"{days[0]:%Y%m%d}-{days[1]:%Y%m%d}"
        return [_told(one, keywords) for one in self._matches(asked) if "StudyInstanceUID" in one]

    def series_of(
        self, study_instance_uid: str, keywords: Sequence[str]
    ) -> Sequence[Mapping[str, str]]:
        """Say attributes of the series of a study; see `PatientIndex.series_of`.

        Raises
        ------
        Unavailable
            The archive cannot be reached, is out of resources, or broke off its answer.
        Refused
            It has no query service, does not know us, or fails the query.
        """
        keywords = (*keywords, "SeriesInstanceUID")
        asked = _question("SERIES", keywords)
        asked.StudyInstanceUID = study_instance_uid
        return [_told(one, keywords) for one in self._matches(asked) if "SeriesInstanceUID" in one]

    def _matches(self, asked: Dataset) -> Iterator[Dataset]:
        with associated(self._peer, [build_context(StudyRootFind)]) as association:
            for answer, identifier in association.send_c_find(asked, StudyRootFind):
                status = status_of(answer, self._peer)
                if status not in _PENDING:
                    self._check(status)
                elif identifier is not None:
                    yield identifier

    def _check(self, status: int) -> None:
        if status == _RESOURCES:
            raise Unavailable(f"{self._peer} has no resources for a query now")
        if status != 0:
            raise Refused(reason_code(status), f"{self._peer} failed a query")


def _question(level: str, keywords: Sequence[str]) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    for keyword in keywords:
        setattr(asked, keyword, "")
    return asked


def _told(answer: Dataset, keywords: Sequence[str]) -> dict[str, str]:
    return {keyword: text for keyword in keywords if (text := _text(answer.get(keyword)))}


def _identifier(study_instance_uid: str, series_instance_uid: str) -> Dataset:
    asked = _question("IMAGE", ["SOPInstanceUID"])
    asked.StudyInstanceUID = study_instance_uid
    asked.SeriesInstanceUID = series_instance_uid
    return asked


def only(told: Sequence[Mapping[str, str]], who: str) -> Mapping[str, str] | None:
    """Return the one answer there is, None without any.

    Raises
    ------
    Refused
        There are several that are not the same.
    """
    if any(one != told[0] for one in told):
        raise Refused("ARCHIVE-CONTRADICTS", f"{who} answers for one study in several ways")
    return told[0] if told else None


def _text(value: object) -> str:
    text = str(value if value is not None else "").strip(" \0")
    # delimiters without a name between them: characters that the archive's answer has no place for
    return text if text.strip("^=") else ""
