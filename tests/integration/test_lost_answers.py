"""Connections that end at every stage of a delivery: the archive has one of everything afterwards.

The node's own parts deliver, from its store and as they are wired, to real archives behind a wire that is cut.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.integration.test_confirmations import UIDS, configured, node_of
from tests.peers.cut import Reading, Stage, cut_wire, dicom, http
from tests.peers.dcmqrscp import Dcmqrscp
from tests.peers.orthanc import Orthanc
from tests.peers.receiver import Receiver

pytestmark = pytest.mark.peers

ARCHIVES = ("receiver", "orthanc", "orthanc-stow", "dcmqrscp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Far:
    """An archive at the far end of the wire.

    Parameters
    ----------
    port
        Where it takes what is delivered.
    reading
        How that is read along.
    peer
        What the node's settings say of it, when the wire's port is given.
    held
        Gives the SOP Instance UID of everything that it holds, as often as it holds it.
    arrivals
        Gives the SOP Instance UID of everything that came, as often as it came; None where it does not tell.
    requests
        In how many requests three objects are brought.
    """

    port: int
    reading: Reading
    peer: Callable[[int], dict[str, Any]]
    held: Callable[[], Counter[str]]
    arrivals: Callable[[], Counter[str]] | None = None
    requests: int = 3


def _associated(ae_title: str) -> Callable[[int], dict[str, Any]]:
    return lambda port: {"port": port, "ae_title": ae_title}


def _stow(port: int) -> dict[str, Any]:
    return {
        "port": None,
        "dicomweb": {"url": f"http://127.0.0.1:{port}/dicom-web", "store": True},
    }


@pytest.fixture
def far(request: pytest.FixtureRequest) -> Far:
    server: Receiver | Orthanc | Dcmqrscp = request.getfixturevalue(request.param.partition("-")[0])
    if isinstance(server, Receiver):
        return Far(
            port=server.port,
            reading=dicom,
            peer=_associated(server.ae_title),
            held=lambda: Counter([*server.stored]),
            arrivals=lambda: Counter(one.sop_instance_uid for one in server.received),
        )
    if isinstance(server, Dcmqrscp):
        return Far(
            port=server.port,
            reading=dicom,
            peer=_associated(server.ae_title),
            held=lambda: Counter(str(dcmread(path).SOPInstanceUID) for path in server.files()),
        )
    if request.param == "orthanc-stow":
        return Far(
            port=server.http_port,
            reading=http,
            peer=_stow,
            held=lambda: Counter(one.sop_instance_uid for one in server.instances()),
        )
    return Far(
        port=server.dicom_port,
        reading=dicom,
        peer=_associated(server.ae_title),
        held=lambda: Counter(one.sop_instance_uid for one in server.instances()),
    )


def _cases() -> Iterator[Any]:
    """Cut the last request at every stage where every arrival is counted, and elsewhere where it hurts most."""
    for archive, stage, last in product(ARCHIVES, Stage, (True, False)):
        short = last and (archive == ARCHIVES[0] or stage is Stage.AFTER_LAST_BYTE)
        name = f"{archive}-{stage.name}-{'last' if last else 'first'}"
        yield pytest.param(archive, stage, last, id=name, marks=[] if short else [pytest.mark.long])


@pytest.mark.parametrize(("far", "stage", "last"), _cases(), indirect=["far"])
def test_a_connection_cut_anywhere_leaves_one_of_everything(
    tmp_path: Path, far: Far, stage: Stage, last: bool
) -> None:
    request = far.requests if last else 1
    with cut_wire(far.port, far.reading, stage, request=request) as wire:
        node = node_of(configured(tmp_path / "node", commitment=False, **far.peer(wire.port)))
        assert node.deliver()
        # by HTTP, each request has a connection of its own
        nothing_lost = stage is Stage.AFTER_RESPONSE and (last or far.reading is http)
        assert node.state()[0] == ("CONFIRMED" if nothing_lost else "OWED")
        node.settle()
    assert node.state() == ("CONFIRMED", None)
    assert far.held() == Counter(UIDS)
    if far.arrivals is not None:
        assert far.arrivals() == Counter(UIDS)
    node.store.close()
