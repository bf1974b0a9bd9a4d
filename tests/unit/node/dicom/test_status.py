import pytest

from node.dicom.status import STATUS_OF, SUCCESS, status_of
from node.errors import DoesNotMatch, NotUnderstood, OutOfResources, Rejected


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OutOfResources("disk"), 0xA700),
        (DoesNotMatch("other"), 0xA900),
        (NotUnderstood("garbage"), 0xC000),
    ],
)
def test_each_rejection_has_the_status_of_the_standard(error: Rejected, status: int) -> None:
    assert status_of(error) == status


def test_no_rejection_is_forgotten_and_none_is_success() -> None:
    assert {kind for kind, _ in STATUS_OF} == set(Rejected.__subclasses__())
    assert SUCCESS not in {status for _, status in STATUS_OF}
