import pytest

from node.core.commitment import CommitmentRequest, FailureReason, Holding, Reference, judge
from tests.unit.node.samples import MR, STUDY

ASKED = Reference(sop_class_uid=MR, sop_instance_uid="2.25.1")


def holding(*, sop_class_uid: str = MR, disputed: bool = False) -> Holding:
    return Holding(
        study_instance_uid=STUDY,
        sop_class_uid=sop_class_uid,
        path="a",
        digest="d",
        disputed=disputed,
    )


def test_what_is_recorded_and_there_with_its_content_is_committed() -> None:
    assert judge(ASKED, holding(), "d") is None


@pytest.mark.parametrize(
    ("held", "digest", "reason"),
    [
        (None, None, FailureReason.NO_SUCH_OBJECT_INSTANCE),
        (holding(), None, FailureReason.NO_SUCH_OBJECT_INSTANCE),
        (holding(), "other", FailureReason.NO_SUCH_OBJECT_INSTANCE),
        (holding(sop_class_uid="1.2.3"), "d", FailureReason.CLASS_INSTANCE_CONFLICT),
        (holding(disputed=True), "d", FailureReason.PROCESSING_FAILURE),
    ],
)
def test_everything_else_is_not(
    held: Holding | None, digest: str | None, reason: FailureReason
) -> None:
    assert judge(ASKED, held, digest) is reason


def test_two_peers_may_use_one_transaction_uid() -> None:
    one, other = (
        CommitmentRequest(peer=peer, transaction_uid="2.25.5", references=(ASKED,))
        for peer in ("ct", "mr")
    )
    assert one.commitment_id != other.commitment_id
