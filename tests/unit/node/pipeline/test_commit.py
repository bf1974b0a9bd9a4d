from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from integrations.errors import Refused, Unavailable
from node.core.commitment import (
    Asked,
    CommitmentClaim,
    CommitmentRequest,
    FailureReason,
    Holding,
    Reference,
)
from node.errors import LeaseLost
from node.pipeline.commit import report_next
from tests.unit.node.doubles import MemoryFiles, held
from tests.unit.node.samples import MR, STUDY, dicom, digest_of

HOLD_S = 1000.0
REQUEST = CommitmentRequest(
    peer="pacs",
    transaction_uid="2.25.9",
    references=(Reference("2.25.3001", MR), Reference("2.25.3002", MR)),
)


@dataclass
class MemoryCommitments:
    """`Commitments` of which one is owed."""

    failures: Mapping[str, FailureReason] | None = None
    age_s: float = 0.0
    recorded: dict[str, Holding] = field(default_factory=dict)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    lost: bool = False
    owed: bool = True

    def ask(self, request: CommitmentRequest) -> Asked:
        raise NotImplementedError

    def claim(self) -> CommitmentClaim | None:
        if not self.owed:
            return None
        return CommitmentClaim(
            claim_uid="2.25.1",
            request=REQUEST,
            attempt=1,
            age_s=self.age_s,
            failures=self.failures,
        )

    def renew(self, claim: CommitmentClaim) -> None:
        self.calls.append(("renew",))

    def holdings(self, references: Sequence[Reference]) -> Mapping[str, Holding]:
        return self.recorded

    def answer(
        self, claim: CommitmentClaim, failures: Mapping[str, FailureReason], hold_s: float
    ) -> Mapping[str, FailureReason]:
        if self.lost:
            raise LeaseLost
        self.calls.append(("answer", dict(failures), hold_s))
        return failures

    def reported(self, claim: CommitmentClaim) -> None:
        self.calls.append(("reported",))

    def park(self, claim: CommitmentClaim, reason: str) -> None:
        self.calls.append(("park", reason))

    def give_back(self, claim: CommitmentClaim, reason: str, after_s: float) -> None:
        self.calls.append(("give_back", reason, after_s))


@dataclass
class Peer:
    commitments: MemoryCommitments
    failure: Exception | None = None

    def report(self, request: CommitmentRequest, failures: Mapping[str, FailureReason]) -> None:
        self.commitments.calls.append(("report", dict(failures)))
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def files(tmp_path: Path) -> MemoryFiles:
    (tmp_path / "1.dcm").write_bytes(dicom(1))
    return MemoryFiles(root=tmp_path)


def recorded() -> dict[str, Holding]:
    digest = digest_of(dicom(1))
    return {
        uid: Holding(study_instance_uid=STUDY, sop_class_uid=MR, path=path, digest=digest)
        for uid, path in (("2.25.3001", "1.dcm"), ("2.25.3002", "gone.dcm"))
    }


def go(
    commitments: MemoryCommitments,
    files: MemoryFiles,
    failure: Exception | None = None,
    *,
    all_recorded: bool = True,
) -> bool:
    peer = Peer(commitments, failure)
    return report_next(commitments, files, lambda _: all_recorded, peer.report, held, HOLD_S)


def test_no_answer_is_given_while_something_that_was_acknowledged_is_not_recorded(
    files: MemoryFiles,
) -> None:
    commitments = MemoryCommitments(recorded=recorded())
    assert go(commitments, files, all_recorded=False)
    assert commitments.calls == [("renew",), ("give_back", "RECORDS-FOLLOW", 5.0)]


def test_the_answer_is_kept_before_the_peer_hears_of_it(files: MemoryFiles) -> None:
    commitments = MemoryCommitments(recorded=recorded())
    assert go(commitments, files)
    gone = {"2.25.3002": FailureReason.NO_SUCH_OBJECT_INSTANCE}
    assert commitments.calls == [
        ("renew",),
        ("answer", gone, HOLD_S),
        ("report", gone),
        ("reported",),
    ]


def test_an_answer_that_was_given_is_not_thought_over(files: MemoryFiles) -> None:
    given = {"2.25.3001": FailureReason.PROCESSING_FAILURE}
    commitments = MemoryCommitments(failures=given, recorded=recorded())
    assert go(commitments, files)
    assert commitments.calls == [("renew",), ("report", given), ("reported",)]


def test_nothing_is_owed(files: MemoryFiles) -> None:
    assert not go(MemoryCommitments(owed=False), files)


def test_who_lost_the_claim_tells_nobody(files: MemoryFiles) -> None:
    commitments = MemoryCommitments(lost=True)
    assert go(commitments, files)
    assert commitments.calls == [("renew",)]


@pytest.mark.parametrize(
    ("failure", "reason", "after_s"),
    [
        (Unavailable("no"), "PEER-UNAVAILABLE", 2.0),
        (Refused("PACS-0112", "no"), "PACS-0112", 900.0),
    ],
)
def test_a_peer_that_does_not_take_the_report_is_told_again_until_the_period_is_over(
    files: MemoryFiles, failure: Exception, reason: str, after_s: float
) -> None:
    commitments = MemoryCommitments(failures={})
    assert go(commitments, files, failure)
    assert commitments.calls[-1] == ("give_back", reason, after_s)
    commitments = MemoryCommitments(failures={}, age_s=HOLD_S + 1)
    assert go(commitments, files, failure)
    assert commitments.calls[-1] == ("park", reason)
