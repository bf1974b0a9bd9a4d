"""C-MOVE and C-GET against Orthanc, and against an archive that fails on demand."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGLSLossless, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from integrations.errors import IntegrationError, Refused, Unavailable
from integrations.pacs.peer import DicomPeer
from integrations.pacs.retrieve import (
    GET_CLASSES,
    GET_SYNTAXES,
    DicomGetter,
    DicomRetriever,
    Offered,
)
from tests.acceptance.site import HEAD
from tests.peers import free_port, wait_for
from tests.peers.orthanc import Modality, Orthanc
from tests.peers.receiver import Receiver
from tests.unit.node.samples import SERIES, STUDY, dicom

pytestmark = pytest.mark.peers

GET = StudyRootQueryRetrieveInformationModelGet
MOVE = StudyRootQueryRetrieveInformationModelMove
UIDS = ("2.25.3001", "2.25.3002", "2.25.3003")
TIMEOUT_S = 1.0
Retrieve = Callable[[DicomPeer, "Taken"], None]


class Taken:
    """What takes instances, answers as it is told, and remembers the bytes."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)
        self.data_sets: dict[str, bytes] = {}
        self.syntaxes: list[str] = []

    def __call__(self, offered: Offered) -> int:
        self.data_sets[offered.sop_instance_uid] = bytes(offered.data_set)
        self.syntaxes.append(offered.transfer_syntax_uid)
        return self._statuses.pop(0) if self._statuses else 0


def by_get(peer: DicomPeer, taken: Taken) -> None:
    DicomGetter(peer).retrieve(STUDY, SERIES, UIDS, taken)


def by_move(peer: DicomPeer, _: Taken) -> None:
    DicomRetriever(peer, "OVERREAD").retrieve(STUDY, SERIES, UIDS)


def peer_at(port: int, ae_title: str = "ARCHIVE") -> DicomPeer:
    return DicomPeer(
        ae_title=ae_title,
        host="127.0.0.1",
        port=port,
        acse_timeout_s=10,
        dimse_timeout_s=30,
    )


def data_set_of(part10: bytes) -> bytes:
    return part10[144 + int.from_bytes(part10[140:144], "little") :]


@contextmanager
def archive(answer: Callable[[evt.Event], Iterator[Any]], *services: str) -> Iterator[DicomPeer]:
    """Serve C-GET and C-MOVE by one generator of pynetdicom's."""
    entity = AE(ae_title="ARCHIVE")
    for service in services or (GET, MOVE):
        entity.add_supported_context(service)
    entity.add_supported_context(MRImageStorage, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_C_GET, answer), (evt.EVT_C_MOVE, answer)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield peer_at(server.socket.getsockname()[1])
    finally:
        server.shutdown()


def instances(*numbers: int) -> list[Dataset]:
    return [dcmread(BytesIO(dicom(number))) for number in numbers]


def sending(*sent: Dataset) -> Callable[[evt.Event], Iterator[Any]]:
    """Send these by C-GET."""

    def answer(_: evt.Event) -> Iterator[Any]:
        yield len(sent)
        for one in sent:
            yield 0xFF00, one

    return answer


def destination(receiver: Receiver) -> tuple[str, int, dict[str, Any]]:
    """Name where C-MOVE sends to, as pynetdicom wants it."""
    contexts = [build_context(MRImageStorage)]
    return "127.0.0.1", receiver.port, {"contexts": contexts, "ae_title": receiver.ae_title}


def failing(status: int, receiver: Receiver) -> Callable[[evt.Event], Iterator[Any]]:
    def answer(event: evt.Event) -> Iterator[Any]:
        if event.event is evt.EVT_C_MOVE:
            yield destination(receiver)
        yield 1
        yield status, None

    return answer


def test_one_association_has_room_for_every_context() -> None:
    assert len(GET_CLASSES) * len(GET_SYNTAXES) + 1 <= 128


def test_orthanc_sends_what_is_asked_for_as_it_has_it(orthanc: Orthanc, tmp_path: Path) -> None:
    for number in (1, 2, 3, 4):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(dicom(number))
        orthanc.upload(path)
    taken = Taken()
    by_get(peer_at(orthanc.dicom_port, "ORTHANC"), taken)
    assert set(taken.data_sets) == set(UIDS)
    held = {path.stem: path.read_bytes() for path in orthanc.download(tmp_path / "held")}
    assert taken.data_sets == {uid: data_set_of(held[uid]) for uid in UIDS}


def test_orthanc_does_not_decompress_for_us(orthanc: Orthanc) -> None:
    path = sorted(HEAD.glob("*.dcm"))[90]
    orthanc.upload(path)
    of = dcmread(path, stop_before_pixels=True)
    taken = Taken()
    peer = peer_at(orthanc.dicom_port, "ORTHANC")
    DicomGetter(peer).retrieve(
        of.StudyInstanceUID, of.SeriesInstanceUID, [of.SOPInstanceUID], taken
    )
    assert of.file_meta.TransferSyntaxUID == JPEGLSLossless
    assert taken.syntaxes == [JPEGLSLossless]


def test_orthanc_sends_to_a_destination_that_it_knows(
    orthanc: Orthanc, receiver: Receiver, tmp_path: Path
) -> None:
    for number in (1, 2, 3, 4):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(dicom(number))
        orthanc.upload(path)
    orthanc.register(Modality(name="r", ae_title=receiver.ae_title, port=receiver.port))
    peer = peer_at(orthanc.dicom_port, "ORTHANC")
    DicomRetriever(peer, receiver.ae_title).retrieve(STUDY, SERIES, UIDS)
    assert set(receiver.stored) == set(UIDS)


def test_orthanc_does_not_send_to_a_stranger(orthanc: Orthanc) -> None:
    with pytest.raises(Refused) as refused:
        by_move(peer_at(orthanc.dicom_port, "ORTHANC"), Taken())
    assert refused.value.reason.startswith("PACS-")


@pytest.mark.parametrize("status", [0xA801, 0xA900, 0xC001, 0xFE00, 0x0122])
@pytest.mark.parametrize("retrieve", [by_get, by_move])
def test_a_refusal_names_the_status(retrieve: Retrieve, status: int, receiver: Receiver) -> None:
    with archive(failing(status, receiver)) as peer, pytest.raises(Refused) as refused:
        retrieve(peer, Taken())
    assert refused.value.reason == f"PACS-{status:04X}"


@pytest.mark.parametrize("status", [0xA701, 0xA702])
@pytest.mark.parametrize("retrieve", [by_get, by_move])
def test_an_archive_out_of_resources_is_unavailable(
    retrieve: Retrieve, status: int, receiver: Receiver
) -> None:
    with archive(failing(status, receiver)) as peer, pytest.raises(Unavailable):
        retrieve(peer, Taken())


@pytest.mark.parametrize("retrieve", [by_get, by_move])
def test_an_archive_that_does_not_answer_is_given_up(
    retrieve: Retrieve, receiver: Receiver
) -> None:
    def answer(event: evt.Event) -> Iterator[Any]:
        time.sleep(3 * TIMEOUT_S)
        yield from failing(0, receiver)(event)

    with archive(answer) as peer:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            retrieve(replace(peer, dimse_timeout_s=TIMEOUT_S), Taken())
        assert time.monotonic() - began < 2.5 * TIMEOUT_S


@pytest.mark.parametrize("retrieve", [by_get, by_move])
def test_an_archive_that_breaks_off_is_unavailable(retrieve: Retrieve, receiver: Receiver) -> None:
    def answer(event: evt.Event) -> Iterator[Any]:
        event.assoc.abort()
        yield from failing(0, receiver)(event)

    with archive(answer) as peer, pytest.raises(Unavailable):
        retrieve(peer, Taken())


@pytest.mark.parametrize(("retrieve", "other"), [(by_get, MOVE), (by_move, GET)])
def test_an_archive_without_the_service_is_refused(
    retrieve: Retrieve, other: str, receiver: Receiver
) -> None:
    with archive(failing(0, receiver), other) as peer, pytest.raises(Refused) as refused:
        retrieve(peer, Taken())
    assert refused.value.reason == "NO-PRESENTATION-CONTEXT"


@pytest.mark.parametrize("retrieve", [by_get, by_move])
def test_nobody_on_the_port_is_unavailable(retrieve: Retrieve) -> None:
    with pytest.raises(Unavailable):
        retrieve(peer_at(free_port()), Taken())


def test_what_was_not_taken_is_a_partial_failure_and_the_rest_is_there() -> None:
    """The archive is told A700 for the second, goes on with the third, and ends with B000."""
    taken = Taken(0, 0xA700, 0)
    with archive(sending(*instances(1, 2, 3))) as peer, pytest.raises(Refused) as refused:
        by_get(peer, taken)
    assert refused.value.reason == "PACS-B000"
    assert list(taken.data_sets) == list(UIDS)


def test_what_was_not_asked_for_is_not_taken() -> None:
    taken = Taken()
    with archive(sending(*instances(1, 7))) as peer, pytest.raises(IntegrationError):
        by_get(peer, taken)
    assert list(taken.data_sets) == ["2.25.3001"]


def test_a_destination_that_fails_some_is_a_partial_failure(receiver: Receiver) -> None:
    receiver.statuses[:] = [0, 0xA700, 0]

    def answer(_: evt.Event) -> Iterator[Any]:
        yield destination(receiver)
        yield 3
        for one in instances(1, 2, 3):
            yield 0xFF00, one

    with archive(answer) as peer, pytest.raises(Refused) as refused:
        by_move(peer, Taken())
    assert refused.value.reason == "PACS-B000"
    wait_for(lambda: len(receiver.received) == 3, timeout_s=10, what="every sub-operation")
    assert set(receiver.stored) == {UIDS[0], UIDS[2]}
