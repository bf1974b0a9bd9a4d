"""What the pipeline needs of the world. Adapters stand in `node.store` and `node.worker`.

Every call may be made twice with one effect, and is one transaction.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from node.core.announcement import Announcement, StepAnswer, StepChange
from node.core.choice import Decision
from node.core.commitment import (
    Asked,
    CommitmentClaim,
    CommitmentRequest,
    FailureReason,
    Holding,
    Reference,
)
from node.core.completeness import Evidence
from node.core.confirmation import CommitmentReport, ConfirmationClaim, Told
from node.core.expectation import Due, Expected, Judgement, Newcomer
from node.core.job import (
    Claim,
    DeliveryClaim,
    DeliveryState,
    InstanceState,
    JobRequest,
    Origin,
    Readiness,
    ResultSet,
    Unnoticed,
)
from node.core.reception import Known
from node.core.retention import Holding as HeldSeries
from node.core.study import Header, Incoming, Outcome, Received, SeriesOfStudy, StoredSeries
from node.core.withdrawal import WithdrawalClaim, WithdrawalState


class Files(Protocol):
    """The folder that holds every byte that was received or made."""

    root: Path

    def keep_result(self, folder: str, name: str, data: bytes) -> str:
        """Make one result file durable; return the path relative to `root`."""

    def result_path(self, folder: str, name: str) -> str:
        """Return where `keep_result` keeps a file, relative to `root`."""

    def discard_results(self, folder: str) -> None:
        """Remove what `keep_result` wrote there: the claim was lost."""


class LeftOver(Protocol):
    """What a listener's earlier life left."""

    def left_over(self) -> Iterator[tuple[str, Incoming]]:
        """Return each file that is durable and perhaps not recorded, with its association's identifier."""


class Promises(Protocol):
    """Files that were acknowledged and are in no record yet, by their first names."""

    def waiting(self, *, aside: bool = False) -> list[str]:
        """Return the names of all, oldest first; `aside`: with those that `set_aside` put away."""

    def reopened(self, name: str) -> tuple[str, Incoming] | None:
        """Open one, with its association's identifier; None when it is recorded by now.

        Raises
        ------
        OutOfResources
            The disk did not give it back.
        NotUnderstood
            Its receipt does not fit it.
        """

    def keep(self, files: Sequence[tuple[Any, Header, str]]) -> list[str]:
        """Do what `Incoming.keep` does for several that were reopened, each with its header and its digest.

        Raises
        ------
        OutOfResources
            The disk would not take one of them.
        """

    def set_aside(self, name: str) -> None:
        """Put one away of which no record can be made."""


class Intake(Protocol):
    """What was received."""

    def peer_of(self, association_id: str) -> str:
        """Return the name of the peer that opened an association; empty when it is not on record."""

    def known(self, sop_instance_uid: str) -> Known | None:
        """Tell what we hold under this UID: (OWN, "") for a result of ours, (STORED, digest) else."""

    def kept(self, sop_instance_uid: str) -> tuple[str, str]:
        """Return path and digest of the instance that is on record under this UID."""

    def record(self, received: Received) -> Outcome | None:
        """Write the journal's line and the records of one instance; durable on return.

        Returns
        -------
        Outcome | None
            What the records say of its UID and its content. None, and nothing is written: another content
            is on record, and `received.verdict` does not say what this one is beside it.

        Raises
        ------
        OutOfResources
            The records could not be made durable.
        """

    def record_all(self, received: Sequence[Received]) -> list[Outcome | None]:
        """Do what `record` does for several instances, in one transaction."""

    def association_opened(self, association_id: str, peer: str) -> None:
        """Note that an association brings instances now."""

    def association_ended(self, association_id: str, *, released: bool) -> None:
        """Note how it ended: by release, or broken."""

    def open_series(self) -> list[StoredSeries]:
        """Return every series that is still open."""

    def close_series(self, series: StoredSeries, evidence: Evidence) -> bool:
        """Close a series, unless something of it arrived since it was read; tell whether it was closed."""

    def undispatched_series(self) -> list[StoredSeries]:
        """Return every closed series about which a rule has not decided yet."""


class Jobs(Protocol):
    """What is owed to studies."""

    def siblings(self, study_instance_uid: str) -> list[SeriesOfStudy]:
        """Return every series of a study, for a rule that reads the best of them."""

    def dispatch(
        self,
        series: StoredSeries,
        requests: Sequence[JobRequest],
        notes: Sequence[str],
        excluded: str | None = None,
        decisions: Sequence[Decision] = (),
    ) -> None:
        """Create jobs with their outbox rows and keep what was decided of the series: one transaction.

        `excluded` is the reason code of the site's exclusion, None without one. `notes` tell, rule by rule,
        why no rule wanted the series. `decisions` are those of the rules that were asked; while one of them
        waits, the series is returned by `Intake.undispatched_series`. An earlier job for the same series and
        model that is not done yet is canceled (``OVERTAKEN``); a rule that waited joins the job that another
        one ordered. Nothing happens when something of the series arrived since it was read, or when this was
        decided before.
        """

    def unprepared(self) -> list[Claim]:
        """Return jobs whose inputs are INCOMPLETE and due to be prepared; their Transaction UID is empty."""

    def prepared(self, job_id: str, readiness: Readiness, context: Mapping[str, Any]) -> None:
        """Store a job's context and ring for it."""

    def postpone_preparation(self, job_id: str, after_s: float) -> None:
        """Try to prepare again later."""

    def claim(self) -> Claim | None:
        """Take the most urgent owed job under a new Transaction UID; None when nothing is owed."""

    def renew(self, claim: Claim) -> None:
        """Prolong the lease.

        Raises
        ------
        LeaseLost
            Another worker holds the job, or it is over.
        """

    def publish(self, claim: Claim, *result_sets: ResultSet) -> None:
        """Complete the job: its result in each form, deliveries and their outbox rows, in one transaction.

        Whoever is to have the result and is named by no set gets the first one.

        Raises
        ------
        LeaseLost
            Another worker holds the job, or it is over; nothing was written.
        """

    def cancel(self, claim: Claim, reason: str, detail: str) -> None:
        """Park the job with a reason code.

        Raises
        ------
        LeaseLost
            Another worker holds the job, or it is over.
        """

    def give_back(self, claim: Claim, reason: str, after_s: float) -> None:
        """Return the job to the owed ones, to be claimed after a while.

        Raises
        ------
        LeaseLost
            Another worker holds the job, or it is over.
        """


class Expectations(Protocol):
    """What rules with a deadline expect of studies."""

    def newcomers(self) -> list[Newcomer]:
        """Return series about which nobody has said yet whether their study is expected."""

    def expect(self, newcomer: Newcomer, expected: Sequence[Expected]) -> None:
        """Keep what is expected because of a series; what was expected before stays as it is."""

    def due(self) -> list[Due]:
        """Return the expectations whose deadline is over, and that were not judged."""

    def judge(self, due: Due, judgement: Judgement) -> None:
        """Keep what became of an expectation, and tell of one that was missed; once."""


class Deliveries(Protocol):
    """What is owed to destinations."""

    def claim(self, destination: str | None = None) -> DeliveryClaim | None:
        """Take the delivery to a destination that is due longest; None when nothing is due.

        Without a destination, one to those that no lane serves (`core.lane`).
        """

    def renew(self, claim: DeliveryClaim) -> None:
        """Prolong the lease.

        Raises
        ------
        LeaseLost
            Another worker holds the delivery.
        """

    def progress(self, claim: DeliveryClaim, sop_instance_uid: str, state: InstanceState) -> None:
        """Record how far one object is; durable on return.

        Raises
        ------
        LeaseLost
            Another worker holds the delivery.
        """

    def finish(
        self, claim: DeliveryClaim, state: DeliveryState, receipt: Mapping[str, Any]
    ) -> None:
        """Record what the destination answered.

        Raises
        ------
        LeaseLost
            Another worker holds the delivery.
        """

    def park(self, claim: DeliveryClaim, reason: str, detail: str) -> None:
        """Stop trying, with a reason code; `overread retry` owes it again.

        Raises
        ------
        LeaseLost
            Another worker holds the delivery.
        """

    def give_back(
        self, claim: DeliveryClaim, reason: str, after_s: float, *, unanswered: bool = False
    ) -> None:
        """Owe it again after a while; `unanswered` counts against the destination.

        Raises
        ------
        LeaseLost
            Another worker holds the delivery.
        """


class Forms(Protocol):
    """In which form each destination is given results."""

    def series_number(self, job_id: str, study_instance_uid: str, profile: str) -> int:
        """Return the first Series Number of a job's result in one form: ten of the study's, always the same."""

    def origin(self, claim: DeliveryClaim) -> Origin | None:
        """Return where the claimed result set comes from; None when no answer of its model was kept."""

    def reform(self, claim: DeliveryClaim, result_set: ResultSet) -> bool:
        """Owe the destination this form instead of the claimed one; the claim is over.

        Returns
        -------
        bool
            False when the form was there already, made for somebody else: that one is owed.

        Raises
        ------
        LeaseLost
            Another worker holds the delivery.
        """

    def accepted(self, destination: str, configured: str) -> str | None:
        """Return the profile that a destination took when it had refused others; None when there is none."""

    def accept(self, destination: str, configured: str, profile: str) -> None:
        """Remember which profile a destination took."""


class Notices(Protocol):
    """Jobs that ended without a result, as those are told who expect one."""

    def due(self) -> list[Unnoticed]:
        """Return the jobs that are to be told of: nothing newer asks the same, and no result of it stands."""

    def tell(self, job: Claim, notices: Sequence[ResultSet], remark: str | None = None) -> bool:
        """Keep the notices of a job and owe them, once; False when it was told of, or need not be any more.

        Parameters
        ----------
        notices
            One for each form; none when nobody is told.
        remark
            Why nobody is told although somebody wanted to be.
        """


class Withdrawals(Protocol):
    """What destinations are to take back."""

    def claim(self, destination: str | None = None) -> WithdrawalClaim | None:
        """Take the withdrawal from a destination that is due longest; None when nothing is due.

        Without a destination, one from those that no lane serves (`core.lane`).
        """

    def renew(self, claim: WithdrawalClaim) -> None:
        """Prolong the lease.

        Raises
        ------
        LeaseLost
            Another worker holds the withdrawal.
        """

    def finish(
        self, claim: WithdrawalClaim, state: WithdrawalState, receipt: Mapping[str, Any] | None
    ) -> None:
        """Record what the destination answered; what is WITHDRAWN there counts as delivered no more.

        Raises
        ------
        LeaseLost
            Another worker holds the withdrawal.
        """

    def park(self, claim: WithdrawalClaim, reason: str, detail: str) -> None:
        """Stop trying, with a reason code; `overread retry` owes it again.

        Raises
        ------
        LeaseLost
            Another worker holds the withdrawal.
        """

    def give_back(
        self, claim: WithdrawalClaim, reason: str, after_s: float, *, unanswered: bool = False
    ) -> None:
        """Owe it again after a while; `unanswered` counts against the destination.

        Raises
        ------
        LeaseLost
            Another worker holds the withdrawal.
        """


class Outbox(Protocol):
    """The bells that are to be rung."""

    def ring_due(self, ring: Callable[[str], bool]) -> int:
        """Ring for every due row that nobody answered yet; return how many rows."""

    def sweep(self) -> int:
        """Put back the bells of work that is owed and has none; return how many."""


class Announcements(Protocol):
    """What peers say that they have made."""

    def announce(self, announcement: Announcement) -> None:
        """Note what a peer lists; a list that came before changes nothing."""

    def begin_step(self, change: StepChange) -> StepAnswer:
        """Note a Modality Performed Procedure Step (N-CREATE): TAKEN or DUPLICATE."""

    def change_step(self, change: StepChange) -> StepAnswer:
        """Note what an N-SET says; a step that becomes COMPLETED announces its instances."""


class Commitments(Protocol):
    """What we were asked to keep safe."""

    def ask(self, request: CommitmentRequest) -> Asked:
        """Owe a peer an answer; durable on return."""

    def claim(self) -> CommitmentClaim | None:
        """Take the transaction that is due longest; None when nothing is due."""

    def renew(self, claim: CommitmentClaim) -> None:
        """Prolong the lease.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction.
        """

    def holdings(self, references: Sequence[Reference]) -> Mapping[str, Holding]:
        """Return what is recorded of these instances, by SOP Instance UID."""

    def answer(
        self, claim: CommitmentClaim, failures: Mapping[str, FailureReason], hold_s: float
    ) -> Mapping[str, FailureReason]:
        """Give the answer, and hold what it commits for `hold_s`: one transaction, before anybody is told.

        Returns
        -------
        Mapping
            The failures, with what is no longer recorded added.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction.
        """

    def reported(self, claim: CommitmentClaim) -> None:
        """Note that the peer took the report.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction.
        """

    def park(self, claim: CommitmentClaim, reason: str) -> None:
        """Stop trying to report.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction.
        """

    def give_back(self, claim: CommitmentClaim, reason: str, after_s: float) -> None:
        """Owe the report again after a while, and with it every other one to the same peer.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction.
        """


class Confirmations(Protocol):
    """What archives are asked about instances that they took."""

    def claim(self, peer: str) -> ConfirmationClaim | None:
        """Take the transaction of an archive that is due longest; None when nothing is due."""

    def renew(self, claim: ConfirmationClaim) -> None:
        """Prolong the lease.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction, or it is settled.
        """

    def asked(self, claim: ConfirmationClaim, within_s: float) -> None:
        """Note that the archive has the request, and await its report for so long.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction, or it is settled: the report was faster.
        """

    def read_back_instead(self, claim: ConfirmationClaim, reason: str) -> None:
        """Ask the archive what it holds, because it does not commit.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction, or it is settled.
        """

    def give_back(self, claim: ConfirmationClaim, reason: str, after_s: float) -> None:
        """Owe the question again after a while.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction, or it is settled.
        """

    def settle(self, claim: ConfirmationClaim, failures: dict[str, int]) -> None:
        """Settle by what was read back: the delivery is confirmed, sent again in parts, or parked.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction, or it is settled.
        """

    def leave_sent(self, claim: ConfirmationClaim, reason: str, detail: str) -> None:
        """Give up asking: a delivery stays SENT where nothing better was promised, else it is parked.

        Raises
        ------
        LeaseLost
            Somebody else holds the transaction, or it is settled.
        """

    def report(self, report: CommitmentReport) -> Told:
        """Settle by what an archive reports; durable on return."""


class Expirable(Protocol):
    """What retention may delete."""

    def holdings(self) -> Iterator[tuple[HeldSeries, float]]:
        """Give every series that has instances on record, and the database's time."""

    def expire(self, holding: HeldSeries, reason: str) -> bool:
        """Delete a series with its tombstones; False when it is not as it was."""

    def recover(self) -> int:
        """Finish or undo what an earlier run was killed in the middle of; return how many files."""

    def remove_lost_claims(self) -> int:
        """Remove result files that killed workers left behind; return how many claims'."""

    def remove_empty_folders(self) -> int:
        """Remove the folders that expired files leave behind; return how many."""


Hold = Callable[[Callable[[], None]], AbstractContextManager[None]]
"""Keeps calling a renewal while a step works; given by the worker, which owns the thread."""
