"""What an archive says it holds, in plain UIDs, and whose study it is, in plain text."""

from collections.abc import Mapping, Sequence
from typing import Protocol


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
