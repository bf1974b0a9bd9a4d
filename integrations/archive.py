"""What an archive says it holds, in plain UIDs, and whose study it is, in plain text."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Protocol

from integrations.errors import Refused


class ArchiveIndex(Protocol):
    """What an archive holds (C-FIND at STUDY and IMAGE level, or QIDO-RS)."""

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> frozenset[str]:
        """SOP Instance UIDs of a series; empty when the archive does not know it.

        Raises
        ------
        Unavailable
            The archive cannot be asked now.
        Refused
            The archive does not answer this kind of question.
        """

    def attributes(
        self, study_instance_uid: str, keywords: Sequence[str]
    ) -> Mapping[str, str] | None:
        """Say attributes of a study by keyword, decoded; None when the archive does not know the study.

        One that the archive does not return, or returns empty, is left out. A person's name has its component
        groups as DICOM writes them, ``Alphabetic=Ideographic=Phonetic`` (PS3.5 6.2.1.2).

        Raises
        ------
        Unavailable
            The archive cannot be asked now.
        Refused
            It does not answer this kind of question, or answers it in several ways (``ARCHIVE-CONTRADICTS``).
        """


class PatientIndex(Protocol):
    """Which studies of a patient an archive holds, and which series they have; the same objects say it."""

    def studies_of(
        self, patient_id: str, days: tuple[date, date], keywords: Sequence[str]
    ) -> Sequence[Mapping[str, str]]:
        """Say attributes of the studies under a Patient ID, as `ArchiveIndex.attributes` does; in no order.

        Two patients of different issuers may have one number: whose each study is, is the caller's to compare.

        Parameters
        ----------
        patient_id
            The number, in full.
        days
            First and last Study Date (0008,0020).
        keywords
            What is asked of each study; its Study Instance UID is told besides.

        Raises
        ------
        Unavailable
            The archive cannot be asked now.
        Refused
            It does not answer this kind of question, or the number is none that can be asked for alone
            (``PATIENT-ID-AMBIGUOUS``).
        """

    def series_of(
        self, study_instance_uid: str, keywords: Sequence[str]
    ) -> Sequence[Mapping[str, str]]:
        """Say attributes of the series of a study, as `ArchiveIndex.attributes` does; in no order.

        Parameters
        ----------
        keywords
            What is asked of each series; its Series Instance UID is told besides.

        Raises
        ------
        Unavailable
            The archive cannot be asked now.
        Refused
            It does not answer this kind of question.
        """


def require_plain(patient_id: str) -> None:
    """Make sure that a Patient ID matches itself and nobody else (PS3.4 C.2.2.2).

    Raises
    ------
    Refused
        It is empty, which matches everybody, or has characters that match others (``PATIENT-ID-AMBIGUOUS``).
    """
    if not patient_id.strip() or set(patient_id) & set("*?\\"):
        raise Refused("PATIENT-ID-AMBIGUOUS", "the number would match other patients too")
