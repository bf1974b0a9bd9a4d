"""Before step 10: ask the archive once more whose study it is, once for each job, while its deliveries wait.

Between reception and sending a patient may be merged, split or corrected. What is sent then must not be of
somebody else.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from integrations.errors import IntegrationError, Refused, Unavailable
from node.core.identity import (
    CheckState,
    Comparison,
    IdentityPolicy,
    IdentityQuestion,
    OnDifference,
    compare,
)
from node.core.lane import Backoff
from node.core.study import IDENTITY_KEYWORDS
from node.pipeline.apart import Apart
from node.pipeline.merged import MergedTo, not_merged
from node.pipeline.retrieve import Archive
from node.telemetry import log

AGAIN = Backoff(first_s=1.0, longest_s=60.0)
"""When an archive is asked again that could not say."""
DIFFERS, MOVED = "IDENTITY-DIFFERS", "SERIES-MOVED"


class Identities(Protocol):
    """What is to be asked of archives, and what came of it."""

    def due(self, sources: Collection[str]) -> list[IdentityQuestion]:
        """Return the checks to make now about studies of these sources."""

    def unasked(self, sources: Collection[str]) -> list[str]:
        """Return the jobs whose check is owed although their source has no archive any more."""

    def settle(
        self,
        job_id: str,
        state: CheckState,
        reason: str | None,
        detail: str,
        spared: Collection[str] = (),
    ) -> None:
        """Keep what came of a check; where it DIFFERS, park the job's deliveries to all but the spared."""

    def postpone(self, question: IdentityQuestion, reason: str, after_s: float) -> None:
        """Ask again after a while."""


class Unsaid(Exception):
    """The archive did not say who the patient is.

    Parameters
    ----------
    reason
        Reason code.
    final
        Asking again would give the same.
    differs
        What it has said is that it is another patient's: nothing is sent before it has sent the series again.
    """

    def __init__(self, reason: str, *, final: bool = False, differs: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final
        self.differs = differs


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """Makes the checks.

    Parameters
    ----------
    issuer_of
        Default Issuer of Patient ID of a source, by its name.
    merged_to
        Under which number a study's patient is known by now.
    """

    identities: Identities
    policy: IdentityPolicy
    issuer_of: Callable[[str], str | None]
    merged_to: MergedTo = not_merged

    def look(self, archive: Archive, apart: Apart) -> None:
        """Make every check that is due with one archive.

        Raises
        ------
        OutOfResources
            The records could not be read or written; the next round tries again.
        """
        for question in self.identities.due(archive.sources):
            work = partial(self._check, archive, question)
            apart.run(f"identify {question.job_id}", work, job_id=question.job_id)

    def let_go(self, sources: Collection[str]) -> None:
        """End the checks that nobody can make any more: their source has no archive in the configuration.

        Raises
        ------
        OutOfResources
            The records could not be read or written; the next round tries again.
        """
        for job_id in self.identities.unasked(sources):
            words = "the source names none any more"
            self.identities.settle(job_id, CheckState.NOT_VERIFIED, "NO-ARCHIVE", words)

    def _check(self, archive: Archive, question: IdentityQuestion) -> None:
        try:
            self._settle(archive, question)
        except Unsaid as unsaid:
            self._unsaid(archive, question, unsaid)

    def _settle(self, archive: Archive, question: IdentityQuestion) -> None:
        """Settle a check by what the archive says.

        Raises
        ------
        Unsaid
            It does not say.
        """
        reason, detail = self._asked(archive, question)
        if reason is None:
            self.identities.settle(question.job_id, CheckState.VERIFIED, None, detail)
            return
        log("identity differs", job_id=question.job_id, peer=archive.name, reason=reason)
        spared: tuple[str, ...] = ()
        match self.policy.on_difference:
            case OnDifference.REBUILD if reason == DIFFERS:
                detail += _fetched(archive, question)
            case OnDifference.ARCHIVE_CORRECTS if reason == DIFFERS:
                spared = (archive.name,)
                detail += f"; {archive.name} corrects what it gets"
        self.identities.settle(question.job_id, CheckState.DIFFERS, reason, detail, spared)

    def _asked(self, archive: Archive, question: IdentityQuestion) -> tuple[str | None, str]:
        """Return why the study is not the source's any more, None when it is; and what is to be said of it.

        Raises
        ------
        Unsaid
            The archive does not say.
        """
        study, series = question.study_instance_uid, question.series_instance_uid
        try:
            told = archive.index.attributes(study, IDENTITY_KEYWORDS)
            there = told is not None and (
                not question.listed or bool(archive.index.instances(study, series))
            )
        except Refused as error:
            raise Unsaid(error.reason, final=True) from error
        except Unavailable as error:
            raise Unsaid("PEER-UNAVAILABLE") from error
        if question.listed and not there:
            return MOVED, f"{archive.name} listed the series in this study before, and does not now"
        if told is None:
            raise Unsaid("STUDY-NOT-IN-ARCHIVE")
        compared, remark = self._compared(question, told)
        skipped = f"not compared: {', '.join(compared.skipped)}" if compared.skipped else ""
        if compared.differing:
            detail = f"{archive.name} has another {', '.join(compared.differing)}"
            return DIFFERS, "; ".join(filter(None, (detail, skipped)))
        if "PatientID" in compared.skipped:
            raise Unsaid("PATIENT-ID-NOT-TOLD", final=True)
        return None, f"{archive.name}: {skipped or 'every attribute compared'}{remark}"

    def _compared(
        self, question: IdentityQuestion, told: Mapping[str, str]
    ) -> tuple[Comparison, str]:
        """Compare, and once more where a merge explains the number; that is said besides.

        Whoever wants a study read anew, or looked at, when its patient changes wants it after a merge as well.
        """
        compared = self._compare(question, question.identity, told)
        if self.policy.on_difference is not OnDifference.ARCHIVE_CORRECTS or not compared.differing:
            return compared, ""
        now = self.merged_to(question.study_instance_uid)
        if now is None:
            return compared, ""
        number = {"PatientID": now.patient_id, "IssuerOfPatientID": now.issuer}
        merged = self._compare(question, {**question.identity, **number}, told)
        if merged.differing:
            return compared, ""
        return merged, "; the patient's number was merged into the one that it has"

    def _compare(
        self, question: IdentityQuestion, ours: Mapping[str, Any], told: Mapping[str, str]
    ) -> Comparison:
        return compare(
            ours,
            told,
            default_issuer=self.issuer_of(question.peer),
            keywords=self.policy.keywords,
        )

    def _unsaid(self, archive: Archive, question: IdentityQuestion, unsaid: Unsaid) -> None:
        over = unsaid.final or question.waited_s >= self.policy.wait_s
        waits = unsaid.differs or self.policy.hold or not over
        if waits:
            after_s = AGAIN.delay_s(question.attempt, question.job_id)
            self.identities.postpone(question, unsaid.reason, after_s)
            return
        log("identity not re-verified", job_id=question.job_id, peer=archive.name)
        words = f"{archive.name} did not say whose study it is"
        self.identities.settle(question.job_id, CheckState.NOT_VERIFIED, unsaid.reason, words)


def _fetched(archive: Archive, question: IdentityQuestion) -> str:
    """Have the archive send the series as it is there now: what arrives is a correction, and read anew.

    Raises
    ------
    Unsaid
        It cannot send now; until it does nothing is sent.
    """
    try:
        archive.retrieve(
            question.study_instance_uid, question.series_instance_uid, question.instances
        )
    except Unavailable as error:
        raise Unsaid("PEER-UNAVAILABLE", differs=True) from error
    except IntegrationError as error:
        reason = error.reason if isinstance(error, Refused) else type(error).__name__
        return f"; not fetched again: {reason}"
    return "; fetched again"
