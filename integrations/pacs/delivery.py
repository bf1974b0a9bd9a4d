"""What every archive is promised, however objects travel: asked in doubt, sent, asked what it has."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypedDict

from integrations.archive import ArchiveIndex
from integrations.destination import COMMITMENT, READ_BACK, Progress, Receipt
from integrations.errors import Refused, Unavailable
from integrations.pacs.peer import reason_code
from integrations.pacs.rejection import Rejection, UidOf, note, scratch, written
from integrations.report import Instance, PatientIdentity, Report

SUCCESS = 0x0000
_DUPLICATE_INSTANCE = 0x0111
_TEMPORARY = frozenset({0x0110, 0x0213})
"""Processing failure and resource limitation (PS3.7 Annex C), besides A7xx (PS3.4 Table B.2-1)."""

_WARNINGS = frozenset({0x0001, 0x0107, 0x0116, _DUPLICATE_INSTANCE})
"""Besides Bxxx. A duplicate is no loss: whoever has our SOP Instance UID has our bytes."""

TakeBack = Callable[[Report, Sequence[Instance], str], Receipt]
"""Takes objects back from an archive, because of a reason code; idempotent."""


class Ways(TypedDict, total=False):
    """What else an archive can: the keywords of every `ArchiveDestination`."""

    take_back: TakeBack | None
    notes: UidOf | None
    commits: bool


class ArchiveDestination(ABC):
    """The `Destination` that is an archive; how an object travels is its subclass's.

    Parameters
    ----------
    where
        The archive, for what is said of it.
    index
        Where it is asked for what it holds; None when it cannot be asked.
    take_back
        How it takes results back otherwise than by a rejection note; None when there is no such way.
    notes
        Gives the UIDs of the rejection notes (IHE RAD IOCM) by which results are taken back; None for an
        archive that is given none.
    commits
        It is an SCP of Storage Commitment: it is asked to commit what it took instead of what it lists.
    """

    def __init__(
        self,
        where: str,
        index: ArchiveIndex | None,
        *,
        take_back: TakeBack | None = None,
        notes: UidOf | None = None,
        commits: bool = False,
    ) -> None:
        self._where = where
        self._index = index
        self._take_back = take_back
        self._notes = notes
        self._commits = commits

    @abstractmethod
    def _send(self, instances: Sequence[Instance], progress: Progress) -> list[str]:
        """Send the instances in their order; return what the archive remarked.

        Raises
        ------
        Unavailable
            It cannot take one of them now.
        Refused
            It will not take one of them.
        SyntaxRefused
            It takes one of them in no way, and has none of these.
        OSError
            A file of ours cannot be read.
        """

    def deliver(
        self,
        report: Report,
        instances: Sequence[Instance],
        *,
        in_doubt: frozenset[str],
        progress: Progress,
    ) -> Receipt:
        """Send the instances in their order.

        An instance in doubt is asked for first; where the archive cannot be asked, the same bytes go again
        under the same UID.

        Raises
        ------
        Unavailable
            It cannot be reached, does not answer, or is out of resources (A7xx, 0110, 0213).
        Refused
            Another failure status, as ``PACS-A900``, or it does not let us.
        SyntaxRefused
            It takes one of them in no way.
        OSError
            A file of ours cannot be read.
        """
        study = report.study.study_instance_uid
        arrived = self._arrived(study, [i for i in instances if i.sop_instance_uid in in_doubt])
        for uid in arrived:
            progress(uid, "SENT")
        owed = [one for one in instances if one.sop_instance_uid not in arrived]
        remarks = self._send(owed, progress) if owed else []
        if self._commits:
            return Receipt(
                references=tuple(one.sop_instance_uid for one in instances),
                confirmed=False,
                remark="; ".join(remarks) or None,
                awaits=COMMITMENT,
            )
        return self._receipt(study, instances, remarks)

    def withdraw(
        self,
        report: Report,
        receipt: Receipt | None,
        reason: str,
        *,
        instances: Sequence[Instance] = (),
        owed_at: datetime | None = None,
        patient: PatientIdentity | None = None,
    ) -> Receipt:
        """Take the instances back that the archive has, by the way that is configured.

        A note names those of `instances` that the archive lists, or all of them where it cannot be asked.

        Raises
        ------
        Unavailable
            The archive cannot be reached, or cannot answer now.
        Refused
            It has no way (``NO-WITHDRAWAL``), or refuses.
        """
        if self._take_back is not None:
            return self._take_back(report, instances, reason)
        if self._notes is None:
            raise Refused("NO-WITHDRAWAL", f"{self._where} keeps what was stored ({reason})")
        standing = self._standing(report, instances)
        if not standing:
            return Receipt(references=(), confirmed=True, remark="nothing stood there")
        rejection = Rejection(
            report=report,
            instances=standing,
            reason=reason,
            owed_at=owed_at or report.issued,
            patient=patient,
        )
        dataset = note(rejection, self._notes)
        with scratch() as folder:
            return self._store_note(report, standing, written(dataset, Path(folder)))

    def _standing(self, report: Report, instances: Sequence[Instance]) -> list[Instance]:
        """Return those of the instances that the archive has; all of them when it cannot be asked."""
        if self._index is None or not instances:
            return list(instances)
        try:
            there = _held(self._index, report.study.study_instance_uid, instances)
        except Refused:
            return list(instances)
        return [one for one in instances if one.sop_instance_uid in there]

    def _store_note(
        self, report: Report, rejected: Sequence[Instance], stored: Instance
    ) -> Receipt:
        references = tuple(one.sop_instance_uid for one in rejected)
        study = report.study.study_instance_uid
        if self._arrived(study, [stored]):
            return Receipt(references=references, confirmed=True, remark="it was withdrawn before")
        remarks = self._send([stored], lambda uid, state: None)
        receipt = self._receipt(study, [stored], remarks)
        return Receipt(references=references, confirmed=receipt.confirmed, remark=receipt.remark)

    def _arrived(self, study_instance_uid: str, doubtful: Sequence[Instance]) -> frozenset[str]:
        """Those of the doubtful instances that the archive has; none when it cannot be asked."""
        if not doubtful or self._index is None:
            return frozenset()
        try:
            held = _held(self._index, study_instance_uid, doubtful)
        except Refused:
            return frozenset()
        return held & {one.sop_instance_uid for one in doubtful}

    def _receipt(
        self, study_instance_uid: str, instances: Sequence[Instance], remarks: list[str]
    ) -> Receipt:
        references = tuple(one.sop_instance_uid for one in instances)
        confirmed, awaits = False, None
        try:
            if self._index is not None:
                held = _held(self._index, study_instance_uid, instances)
                confirmed = held.issuperset(references)
                if not confirmed:
                    awaits = READ_BACK
                    remarks = [*remarks, "the archive does not list every instance yet"]
        except (Refused, Unavailable) as error:
            # every instance was answered with success: what is missing is only the second opinion
            awaits = READ_BACK if isinstance(error, Unavailable) else None
            remarks = [*remarks, f"not read back: {error}"]
        return Receipt(
            references=references,
            confirmed=confirmed,
            remark="; ".join(remarks) or None,
            awaits=awaits,
        )


def _held(
    index: ArchiveIndex, study_instance_uid: str, instances: Sequence[Instance]
) -> frozenset[str]:
    series = dict.fromkeys(one.series_instance_uid for one in instances)
    return frozenset().union(*(index.instances(study_instance_uid, uid) for uid in series))


def require_stored(status: int, instance: Instance, where: str) -> None:
    """Tell sent from refused by PS3.4 Table B.2-1 and PS3.7 Annex C.

    Raises
    ------
    Unavailable
        The archive is out of resources, or failed for a reason that may pass.
    Refused
        Any other failure.
    """
    if status == SUCCESS or status in _WARNINGS or status & 0xF000 == 0xB000:
        return
    if status & 0xFF00 == 0xA700 or status in _TEMPORARY:
        raise Unavailable(f"{where} cannot store now ({reason_code(status)})")
    detail = f"{where} refused {instance.sop_instance_uid} of {instance.sop_class_uid}"
    raise Refused(reason_code(status), detail)
