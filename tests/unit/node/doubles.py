"""What the pipeline's steps work with, in memory, with a note of every call in its order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.core.choice import Decision
from node.core.completeness import Evidence
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
)
from node.core.reception import Known
from node.core.study import Outcome, Received, SeriesOfStudy, StoredSeries
from node.core.withdrawal import WithdrawalClaim, WithdrawalState
from node.errors import LeaseLost

Call = tuple[Any, ...]


@dataclass(kw_only=True)
class MemoryFiles:
    """`Files` whose root is a folder that the test may read."""

    root: Path
    calls: list[Call] = field(default_factory=list)
    failure: Exception | None = None

    def keep_result(self, folder: str, name: str, data: bytes) -> str:
        if self.failure is not None:
            raise self.failure
        self.calls.append(("keep_result", folder, name))
        return self.result_path(folder, name)

    def result_path(self, folder: str, name: str) -> str:
        return f"results/{folder}/{name}"

    def discard_results(self, folder: str) -> None:
        self.calls.append(("discard_results", folder))


@dataclass(kw_only=True)
class MemoryIntake:
    """`Intake` that knows what it is told to know."""

    calls: list[Call] = field(default_factory=list)
    held: dict[str, Known] = field(default_factory=dict)
    failure: Exception | None = None
    open: list[StoredSeries] = field(default_factory=list)
    closed: list[StoredSeries] = field(default_factory=list)
    closes: bool = True

    def known(self, sop_instance_uid: str) -> Known | None:
        return self.held.get(sop_instance_uid)

    def kept(self, sop_instance_uid: str) -> tuple[str, str]:
        return "held", self.held[sop_instance_uid][1]

    def record(self, received: Received) -> Outcome | None:
        if self.failure is not None:
            raise self.failure
        self.calls.append(("record", received))
        held = self.held.get(received.header.sop_instance_uid)
        if held is None or held[0] is Outcome.OWN:
            return Outcome.STORED if held is None else Outcome.OWN
        if held[1] == received.digest:
            return Outcome.DUPLICATE
        verdict = received.verdict
        return verdict[1] if verdict is not None and verdict[0] == held[1] else None

    def record_all(self, received: Sequence[Received]) -> list[Outcome | None]:
        return [self.record(one) for one in received]

    def peer_of(self, association_id: str) -> str:
        return {"a1": "modality"}.get(association_id, "")

    def association_opened(self, association_id: str, peer: str) -> None:
        self.calls.append(("opened", association_id, peer))

    def association_ended(self, association_id: str, *, released: bool) -> None:
        self.calls.append(("ended", association_id, released))

    def open_series(self) -> list[StoredSeries]:
        return self.open

    def close_series(self, series: StoredSeries, evidence: Evidence) -> bool:
        self.calls.append(("close", series.series_instance_uid, evidence))
        return self.closes

    def undispatched_series(self) -> list[StoredSeries]:
        return self.closed


@dataclass(kw_only=True)
class MemoryJobs:
    """`Jobs` of which some wait for their context, and some are owed."""

    calls: list[Call] = field(default_factory=list)
    waiting: list[Claim] = field(default_factory=list)
    owed: list[Claim] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)
    """Raised instead of a call, by its name."""
    published: ResultSet | None = None
    """The first form of the last result."""
    forms: tuple[ResultSet, ...] = ()
    of_study: list[SeriesOfStudy] = field(default_factory=list)
    excluded: str | None = None
    decisions: list[Decision] = field(default_factory=list)

    def siblings(self, study_instance_uid: str) -> list[SeriesOfStudy]:
        return self.of_study

    def dispatch(
        self,
        series: StoredSeries,
        requests: Sequence[JobRequest],
        notes: Sequence[str],
        excluded: str | None = None,
        decisions: Sequence[Decision] = (),
    ) -> None:
        self.excluded = excluded
        self.decisions = list(decisions)
        self._call("dispatch", series.series_instance_uid, list(requests), list(notes))

    def unprepared(self) -> list[Claim]:
        return self.waiting

    def prepared(self, job_id: str, readiness: Readiness, context: Mapping[str, Any]) -> None:
        self._call("prepared", job_id, readiness, dict(context))

    def postpone_preparation(self, job_id: str, after_s: float) -> None:
        self._call("postpone", job_id, after_s)

    def claim(self) -> Claim | None:
        return self.owed.pop(0) if self.owed else None

    def renew(self, claim: Claim) -> None:
        self._call("renew", claim.job_id)

    def publish(self, claim: Claim, *result_sets: ResultSet) -> None:
        self._call("publish", claim.job_id)
        self.published, self.forms = result_sets[0], result_sets

    def cancel(self, claim: Claim, reason: str, detail: str) -> None:
        self._call("cancel", claim.job_id, reason, detail)

    def give_back(self, claim: Claim, reason: str, after_s: float) -> None:
        self._call("give_back", claim.job_id, reason, after_s)

    def _call(self, name: str, *values: Any) -> None:
        if name in self.failures:
            raise self.failures[name]
        self.calls.append((name, *values))


@dataclass(kw_only=True)
class MemoryExpectations:
    """`Expectations` of a few studies."""

    calls: list[Call] = field(default_factory=list)
    new: list[Newcomer] = field(default_factory=list)
    over: list[Due] = field(default_factory=list)

    def newcomers(self) -> list[Newcomer]:
        return self.new

    def expect(self, newcomer: Newcomer, expected: Sequence[Expected]) -> None:
        self.calls.append(("expect", newcomer.series_instance_uid, list(expected)))

    def due(self) -> list[Due]:
        return self.over

    def judge(self, due: Due, judgement: Judgement) -> None:
        self.calls.append(("judge", due.rule, judgement))


@dataclass(kw_only=True)
class MemoryDeliveries:
    """`Deliveries` of which some are owed."""

    calls: list[Call] = field(default_factory=list)
    owed: list[DeliveryClaim] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)
    unanswered: list[bool] = field(default_factory=list)
    """Of each that was given back, whether it counts against the destination."""

    def claim(self, destination: str | None = None) -> DeliveryClaim | None:
        return self.owed.pop(0) if self.owed else None

    def renew(self, claim: DeliveryClaim) -> None:
        self._call("renew", claim.delivery_id)

    def progress(self, claim: DeliveryClaim, sop_instance_uid: str, state: InstanceState) -> None:
        self._call("progress", sop_instance_uid, state)

    def finish(
        self, claim: DeliveryClaim, state: DeliveryState, receipt: Mapping[str, Any]
    ) -> None:
        self._call("finish", claim.delivery_id, state, dict(receipt))

    def park(self, claim: DeliveryClaim, reason: str, detail: str) -> None:
        self._call("park", claim.delivery_id, reason, detail)

    def give_back(
        self, claim: DeliveryClaim, reason: str, after_s: float, *, unanswered: bool = False
    ) -> None:
        self._call("give_back", claim.delivery_id, reason, after_s)
        self.unanswered.append(unanswered)

    def _call(self, name: str, *values: Any) -> None:
        if name in self.failures:
            raise self.failures[name]
        self.calls.append((name, *values))


@dataclass(kw_only=True)
class MemoryForms:
    """`Forms` that gives numbers in the order of asking."""

    calls: list[Call] = field(default_factory=list)
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    learnt: dict[tuple[str, str], str] = field(default_factory=dict)
    """Accepted profile, by destination and digest of its configuration."""
    origins: dict[str, Origin] = field(default_factory=dict)
    """By job."""
    there: set[tuple[str, str]] = field(default_factory=set)
    """Job and profile of the forms that were made before."""
    failure: Exception | None = None
    reformed: ResultSet | None = None

    def series_number(self, job_id: str, study_instance_uid: str, profile: str) -> int:
        return self.numbers.setdefault((job_id, profile), 9000 + 10 * len(self.numbers))

    def origin(self, claim: DeliveryClaim) -> Origin | None:
        return self.origins.get(claim.job_id)

    def reform(self, claim: DeliveryClaim, result_set: ResultSet) -> bool:
        if self.failure is not None:
            raise self.failure
        self.calls.append(("reform", claim.delivery_id, result_set.profile))
        self.reformed = result_set
        return (claim.job_id, result_set.profile) not in self.there

    def accepted(self, destination: str, configured: str) -> str | None:
        return self.learnt.get((destination, configured))

    def accept(self, destination: str, configured: str, profile: str) -> None:
        self.learnt[destination, configured] = profile


@dataclass(kw_only=True)
class MemoryWithdrawals:
    """`Withdrawals` of which some are owed."""

    calls: list[Call] = field(default_factory=list)
    owed: list[WithdrawalClaim] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)

    def claim(self, destination: str | None = None) -> WithdrawalClaim | None:
        return self.owed.pop(0) if self.owed else None

    def renew(self, claim: WithdrawalClaim) -> None:
        self._call("renew", claim.withdrawal_id)

    def finish(
        self, claim: WithdrawalClaim, state: WithdrawalState, receipt: Mapping[str, Any] | None
    ) -> None:
        self._call("finish", claim.withdrawal_id, state, receipt)

    def park(self, claim: WithdrawalClaim, reason: str, detail: str) -> None:
        self._call("park", claim.withdrawal_id, reason, detail)

    def give_back(
        self, claim: WithdrawalClaim, reason: str, after_s: float, *, unanswered: bool = False
    ) -> None:
        self._call("give_back", claim.withdrawal_id, reason, after_s)

    def _call(self, name: str, *values: Any) -> None:
        if name in self.failures:
            raise self.failures[name]
        self.calls.append((name, *values))


@contextmanager
def held(renew: Callable[[], None]) -> Iterator[None]:
    """Hold a lease by renewing it once, before the work."""
    with suppress(LeaseLost):  # the write that is conditional on it will say so
        renew()
    yield
