from typing import Any

import pytest

from integrations.errors import Refused, Unavailable
from integrations.pacs.retrieve import Offered
from node.core.study import Arrival, Outcome
from node.dicom.fetched import Fetched
from node.dicom.handlers import Taking
from node.errors import OutOfResources
from tests.unit.node.samples import MR, MemoryFile, dicom

EXPLICIT = "1.2.840.10008.1.2.1"


def data_set(number: int) -> bytes:
    part10 = dicom(number)
    return part10[144 + int.from_bytes(part10[140:144], "little") :]


def offered(number: int = 1, sop_instance_uid: str | None = None) -> Offered:
    return Offered(
        sop_class_uid=MR,
        sop_instance_uid=sop_instance_uid or f"2.25.300{number}",
        transfer_syntax_uid=EXPLICIT,
        data_set=memoryview(data_set(number)),
    )


class Store:
    """What stands behind, with a note of every call in its order."""

    def __init__(self, *, full: bool = False, failure: Exception | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.arrivals: list[Arrival] = []
        self.full, self.failure = full, failure
        self.fetched = Fetched(
            taking=Taking(
                incoming=lambda _: MemoryFile(b""),
                receive=self.receive,
                opened=lambda association, peer: self.calls.append(("opened", peer)),
                ended=lambda association, released: self.calls.append(("ended", released)),
            ),
            require_room=self.require,
            peer="pacs",
            ae_title="ORTHANC",
        )

    def require(self) -> None:
        if self.full:
            raise OutOfResources("disk: the watermark is reached")

    def receive(self, arrival: Arrival) -> Outcome:
        if self.failure is not None:
            raise self.failure
        self.arrivals.append(arrival)
        self.calls.append(("received", arrival.header.sop_instance_uid))
        return Outcome.FETCHED


def test_what_is_fetched_is_received_as_by_the_listener() -> None:
    store = Store()
    with store.fetched.association() as take:
        assert [take(offered(1)), take(offered(2))] == [0, 0]
    assert store.calls == [
        ("opened", "pacs"),
        ("received", "2.25.3001"),
        ("received", "2.25.3002"),
        ("ended", True),
    ]
    (first, second) = store.arrivals
    assert first.peer == "pacs"
    assert first.association_id == second.association_id
    with first.file.reading() as source:
        assert source.read().endswith(data_set(1))


def test_an_association_that_brought_nothing_is_not_on_record() -> None:
    store = Store()
    with store.fetched.association():
        pass
    assert store.calls == []


@pytest.mark.parametrize(
    ("error", "released"), [(Refused("PACS-B000", "some failed"), True), (Unavailable("x"), False)]
)
def test_how_it_ended_is_recorded(error: Exception, released: bool) -> None:
    store = Store()

    def fail() -> None:
        with store.fetched.association() as take:
            take(offered())
            raise error

    with pytest.raises(type(error)):
        fail()
    assert store.calls[-1] == ("ended", released)


def test_a_full_disk_takes_nothing() -> None:
    store = Store(full=True)
    with store.fetched.association() as take:
        assert take(offered()) == 0xA700
    assert store.calls == []


def test_an_instance_that_is_not_recorded_is_not_taken() -> None:
    store = Store(failure=OutOfResources("database"))
    with store.fetched.association() as take:
        assert take(offered()) == 0xA700
        assert take(offered(1, "2.25.7")) == 0xA900
