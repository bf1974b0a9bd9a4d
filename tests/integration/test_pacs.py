"""C-STORE and C-FIND against a real archive, and against one that fails on demand."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification

from integrations.errors import Refused, SyntaxRefused, Unavailable
from integrations.pacs.peer import DicomPeer, associated, echo
from integrations.pacs.query import DicomArchiveIndex
from integrations.pacs.storage import StorageDestination
from integrations.report import Instance
from integrations.testing import MemoryArchive
from tests.peers import free_port, wait_for
from tests.peers.orthanc import Orthanc
from tests.peers.receiver import Receiver, running_receiver
from tests.unit.integrations.samples import SEGMENTATION, STRUCTURED_REPORT, report, write_instances

pytestmark = pytest.mark.peers

OF = report(7)


class Steps:
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def __call__(self, sop_instance_uid: str, state: str) -> None:
        self.told.append((sop_instance_uid, state))


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def instances(tmp_path: Path) -> list[Instance]:
    return write_instances(tmp_path, OF)


def _peer(port: int, ae_title: str = "RECEIVER", *, timeout_s: float = 20) -> DicomPeer:
    return DicomPeer(
        ae_title=ae_title,
        host="127.0.0.1",
        port=port,
        acse_timeout_s=timeout_s,
        dimse_timeout_s=timeout_s,
    )


def _storage(peer: DicomPeer) -> StorageDestination:
    return StorageDestination(peer, DicomArchiveIndex(peer))


def _dataset_bytes(part10: bytes) -> bytes:
    """Cut the file meta information off; its group length (0002,0000) tells where it ends."""
    assert part10[128:136] == b"DICM\x02\x00\x00\x00"
    return part10[144 + int.from_bytes(part10[140:144], "little") :]


def test_orthanc_gets_the_bytes_that_were_made(
    orthanc: Orthanc, instances: list[Instance], tmp_path: Path, steps: Steps
) -> None:
    peer = _peer(orthanc.dicom_port, "ORTHANC")
    receipt = _storage(peer).deliver(OF, instances, in_doubt=frozenset(), progress=steps)
    assert receipt.confirmed
    assert orthanc.count(modality="SEG") == orthanc.count(modality="SR") == 1
    for path in orthanc.download(tmp_path / "back"):
        made = tmp_path / path.name
        assert _dataset_bytes(path.read_bytes()) == _dataset_bytes(made.read_bytes())


def test_the_bytes_on_the_wire_are_those_of_the_file(
    receiver: Receiver, instances: list[Instance], steps: Steps
) -> None:
    # A group length, retired but legal: whoever decodes and encodes the dataset loses it.
    for one in instances:
        part10 = one.path.read_bytes()
        dataset = _dataset_bytes(part10)
        group_length = b"\x08\x00\x00\x00UL\x04\x00\x00\x00\x00\x00"
        one.path.write_bytes(part10[: -len(dataset)] + group_length + dataset)
    _storage(_peer(receiver.port)).deliver(OF, instances, in_doubt=frozenset(), progress=steps)
    for one in instances:
        stored = receiver.stored[one.sop_instance_uid]
        assert _dataset_bytes(stored.read_bytes()) == _dataset_bytes(one.path.read_bytes())


def test_an_archive_that_does_not_list_what_it_took_has_not_confirmed(
    receiver: Receiver, instances: list[Instance], steps: Steps
) -> None:
    nothing = MemoryArchive()
    receipt = StorageDestination(_peer(receiver.port), nothing).deliver(
        OF, instances, in_doubt=frozenset(), progress=steps
    )
    assert not receipt.confirmed
    assert receipt.remark == "the archive does not list every instance yet"
    assert len(receiver.stored) == 2


def test_a_warning_is_stored_with_a_remark(
    receiver: Receiver, instances: list[Instance], steps: Steps
) -> None:
    receiver.statuses[:] = [0xB000]
    receipt = _storage(_peer(receiver.port)).deliver(
        OF, instances, in_doubt=frozenset(), progress=steps
    )
    assert receipt.confirmed
    assert receipt.remark == f"PACS-B000 for {instances[0].sop_instance_uid}"
    assert len(steps.told) == 4


@pytest.mark.parametrize("status", [0x0122, 0xA801, 0xA900, 0xC001])
def test_a_refusal_names_the_status(
    receiver: Receiver, instances: list[Instance], steps: Steps, status: int
) -> None:
    receiver.statuses[:] = [0x0000, status]
    with pytest.raises(Refused) as refused:
        _storage(_peer(receiver.port)).deliver(OF, instances, in_doubt=frozenset(), progress=steps)
    assert refused.value.reason == f"PACS-{status:04X}"
    first, second = (one.sop_instance_uid for one in instances)
    assert steps.told == [(first, "SENDING"), (first, "SENT"), (second, "SENDING")]


def test_an_archive_out_of_resources_is_unavailable(
    receiver: Receiver, instances: list[Instance], steps: Steps
) -> None:
    receiver.statuses[:] = [0xA700]
    with pytest.raises(Unavailable):
        _storage(_peer(receiver.port)).deliver(OF, instances, in_doubt=frozenset(), progress=steps)
    assert len(receiver.received) == 1


def test_an_answer_that_was_lost_is_asked_for_and_nothing_is_sent_twice(
    receiver: Receiver, instances: list[Instance], steps: Steps
) -> None:
    receiver.hang()
    peer = _peer(receiver.port, timeout_s=0.5)
    with pytest.raises(Unavailable):
        _storage(peer).deliver(OF, instances, in_doubt=frozenset(), progress=steps)
    first, second = (one.sop_instance_uid for one in instances)
    assert steps.told == [(first, "SENDING")]
    receiver.go_on()
    again = Steps()
    receipt = _storage(_peer(receiver.port)).deliver(
        OF, instances, in_doubt=frozenset({first}), progress=again
    )
    assert receipt.confirmed
    assert again.told == [(first, "SENT"), (second, "SENDING"), (second, "SENT")]
    assert (receiver.times(first), receiver.times(second)) == (1, 1)


def test_a_doubt_that_cannot_be_asked_now_waits(
    receiver: Receiver, instances: list[Instance], steps: Steps
) -> None:
    receiver.answer_find = False
    with pytest.raises(Unavailable):
        _storage(_peer(receiver.port)).deliver(
            OF, instances, in_doubt=frozenset({instances[0].sop_instance_uid}), progress=steps
        )
    assert receiver.received == []
    assert steps.told == []


def test_without_an_answer_to_the_read_back_it_is_sent_but_not_confirmed(
    receiver: Receiver, instances: list[Instance], steps: Steps
) -> None:
    receiver.answer_find = False
    receipt = _storage(_peer(receiver.port)).deliver(
        OF, instances, in_doubt=frozenset(), progress=steps
    )
    assert not receipt.confirmed
    assert receipt.remark is not None
    assert len(receiver.stored) == 2


def test_an_archive_without_queries_gets_the_same_bytes_again(
    tmp_path: Path, instances: list[Instance], steps: Steps
) -> None:
    with running_receiver(tmp_path / "archive", find=False) as receiver:
        peer = _peer(receiver.port)
        with pytest.raises(SyntaxRefused):
            DicomArchiveIndex(peer).instances("2.25.1", "2.25.2")
        doubt = frozenset({instances[0].sop_instance_uid})
        for destination in (_storage(peer), StorageDestination(peer, None)):
            receipt = destination.deliver(OF, instances, in_doubt=doubt, progress=steps)
            assert not receipt.confirmed
        assert receiver.times(instances[0].sop_instance_uid) == 2


@pytest.mark.parametrize("accepted", [SEGMENTATION, STRUCTURED_REPORT])
def test_nothing_is_sent_when_one_class_is_not_taken(
    tmp_path: Path, instances: list[Instance], steps: Steps, accepted: str
) -> None:
    with running_receiver(tmp_path / "archive", only_sop_class=accepted) as receiver:
        with pytest.raises(SyntaxRefused) as refused:
            _storage(_peer(receiver.port)).deliver(
                OF, instances, in_doubt=frozenset(), progress=steps
            )
        assert refused.value.reason == "NO-PRESENTATION-CONTEXT"
        assert receiver.received == []
        assert steps.told == []


def test_no_context_at_all_is_a_refused_syntax(
    tmp_path: Path, instances: list[Instance], steps: Steps
) -> None:
    ct = "1.2.840.10008.5.1.4.1.1.2"
    with (
        running_receiver(tmp_path / "archive", only_sop_class=ct) as receiver,
        pytest.raises(SyntaxRefused),
    ):
        _storage(_peer(receiver.port)).deliver(OF, instances, in_doubt=frozenset(), progress=steps)


def test_a_permanent_rejection_is_refused(receiver: Receiver) -> None:
    with pytest.raises(Refused) as refused:
        echo(_peer(receiver.port, "SOMEBODY"))
    assert refused.value.reason == "ASSOCIATION-REJECTED"
    assert "Called AE title not recognised" in refused.value.detail


@pytest.fixture
def busy_port() -> Iterator[int]:
    """Give the port of an entity whose one association is taken."""
    taken = threading.Event()
    entity = AE(ae_title="BUSY")
    entity.maximum_associations = 1
    entity.add_supported_context(Verification)
    handlers = [(evt.EVT_ESTABLISHED, lambda _: taken.set())]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    port: int = server.socket.getsockname()[1]
    holder = AE(ae_title="HOLDER")
    holder.add_requested_context(Verification)
    association = holder.associate("127.0.0.1", port)
    wait_for(taken.is_set, timeout_s=10, what="the first association")
    yield port
    association.release()
    server.shutdown()


def test_a_transient_rejection_is_unavailable(busy_port: int) -> None:
    with pytest.raises(Unavailable, match="Rejected Transient"):
        echo(_peer(busy_port, "BUSY"))


def test_nobody_on_the_port_is_unavailable(instances: list[Instance], steps: Steps) -> None:
    with pytest.raises(Unavailable):
        _storage(_peer(free_port())).deliver(OF, instances, in_doubt=frozenset(), progress=steps)
    assert steps.told == []


def test_a_peer_that_stays_silent_is_unavailable() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unavailable):
        echo(_peer(silent.getsockname()[1], timeout_s=0.3))


def test_echo(orthanc: Orthanc, receiver: Receiver) -> None:
    echo(_peer(orthanc.dicom_port, "ORTHANC"))
    echo(_peer(receiver.port))


def test_a_response_waits_for_whoever_asked(receiver: Receiver) -> None:
    """Another thread of the library looks for messages too, and would throw a response away."""
    with associated(_peer(receiver.port), [build_context(Verification)]) as association:
        rounds = [0]
        look = association.acse.is_aborted

        def counted(*which: str) -> bool:
            rounds[0] += 1
            return bool(look(*which))

        association.acse.is_aborted = counted
        response = (1, object())
        association.dimse.msg_queue.put(response)
        seen = rounds[0]
        wait_for(lambda: rounds[0] > seen + 4, timeout_s=10, what="the library's thread to look")
        assert association.dimse.get_msg(block=True) == response
