import ipaddress
from dataclasses import dataclass, field

import pytest

from node.dicom import admission
from node.dicom.admission import Admission, Caller, Refusal
from node.errors import OutOfResources


@dataclass
class Room:
    nearly: bool = False
    full: bool = False

    def nearly_full(self) -> bool:
        return self.nearly

    def require(self) -> None:
        if self.full:
            raise OutOfResources("disk: the watermark is reached")


@dataclass
class Primitive:
    called_ae_title: str
    calling_ae_title: str


@dataclass
class Requestor:
    primitive: Primitive
    ae_title: str
    address: str
    user_identity: object = None


@dataclass
class Acse:
    rejected: list[tuple[int, int, int]]

    def send_reject(self, *refusal: int) -> None:
        self.rejected.append((refusal[0], refusal[1], refusal[2]))


@dataclass
class Wire:
    socket: object = None


@dataclass
class Layer:
    socket: Wire = field(default_factory=Wire)


class Association:
    """pynetdicom's association, as far as it is looked at."""

    def __init__(
        self,
        *,
        called: str = "OVERREAD",
        calling: str = "MODALITY",
        address: str = "127.0.0.1",
        served: int = 1,
    ) -> None:
        self.requestor = Requestor(Primitive(called, calling), calling, address)
        self.rejected: list[tuple[int, int, int]] = []
        self.acse = Acse(self.rejected)
        self.dul = Layer()
        self.killed = False
        self._served = served

    def served(self) -> int:
        return self._served

    def kill(self) -> None:
        self.killed = True


LOOPBACK = Caller(networks=(ipaddress.ip_network("127.0.0.0/8"),))


def refusal(
    association: Association, caller: Caller = LOOPBACK, room: Room | None = None
) -> Refusal | None:
    return Admission(
        ae_title="OVERREAD",
        callers={"MODALITY": caller},
        room=room or Room(),
        maximum_associations=3,
    ).refusal(association)


def test_a_known_peer_from_its_address_comes_in() -> None:
    assert refusal(Association()) is None
    assert refusal(Association(calling="MODALITY ", called=" OVERREAD"), Caller()) is None


@pytest.mark.parametrize(
    ("association", "expected"),
    [
        (Association(called="OTHER"), admission.NOT_CALLED),
        (Association(calling="OTHER"), admission.NOT_KNOWN),
        (Association(address="10.0.0.1"), admission.WRONG_ADDRESS),
        (Association(address="no address"), admission.WRONG_ADDRESS),
        (Association(served=4), admission.TOO_MANY),
    ],
)
def test_what_is_refused(association: Association, expected: Refusal) -> None:
    assert refusal(association) == expected


def test_who_is_nobody_is_refused_for_good_and_who_comes_at_a_bad_time_is_not() -> None:
    for_good = (
        admission.NOT_CALLED,
        admission.NOT_KNOWN,
        admission.WRONG_ADDRESS,
        admission.WRONG_CERTIFICATE,
    )
    assert {one.result for one in for_good} == {admission.PERMANENT}
    not_now = (admission.DRAINING, admission.NO_ROOM, admission.TOO_MANY)
    assert {one.result for one in not_now} == {admission.TRANSIENT}


def test_a_disk_that_is_nearly_full_refuses_for_now() -> None:
    assert refusal(Association(), room=Room(nearly=True)) == admission.NO_ROOM


def test_a_peer_that_must_show_a_certificate_and_shows_none() -> None:
    caller = Caller(certificate_names=frozenset({"modality.example"}))
    assert refusal(Association(), caller) == admission.WRONG_CERTIFICATE
