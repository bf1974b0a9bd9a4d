"""What an archive says it holds, in plain UIDs."""

from typing import Protocol


class ArchiveIndex(Protocol):
    """The list of instances that an archive holds (C-FIND at IMAGE level, or QIDO-RS)."""

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> frozenset[str]:
        """SOP Instance UIDs of a series; empty when the archive does not know it.

        Raises
        ------
        Unavailable
            The archive cannot be asked now.
        Refused
            The archive does not answer this kind of question.
        """
