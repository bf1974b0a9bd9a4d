"""An archive that refuses exactly what it is told to, in the process of the tests."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

AE_TITLE = "REFUSING"
SERVICES = (
    Verification,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)


@contextmanager
def running_refusing(
    *,
    storage: Sequence[str],
    without: Sequence[str] = (),
    knows: Sequence[str] = (),
    find_status: int = 0x0000,
    also: Sequence[str] = (),
    items: Sequence[Dataset] = (),
) -> Iterator[int]:
    """Serve on loopback; give the port.

    Parameters
    ----------
    storage
        SOP classes that it stores, in Explicit VR Little Endian.
    without
        Services that it does not offer, of `SERVICES`.
    knows
        AE titles that may call; empty for any.
    find_status
        How it answers queries in the end.
    also
        Services that it offers besides.
    items
        What it answers to every query, whatever was asked for.
    """
    entity = AE(ae_title=AE_TITLE)
    entity.require_calling_aet = list(knows)
    entity.require_called_aet = True
    offered: list[Any] = [build_context(uid) for uid in (*SERVICES, *also) if uid not in without]
    offered += [build_context(uid, ["1.2.840.10008.1.2.1"]) for uid in storage]

    def find(_: Any) -> Iterator[tuple[int, Dataset | None]]:
        for item in items:
            yield 0xFF00, item
        yield find_status, None

    server = entity.start_server(
        ("127.0.0.1", 0), block=False, contexts=offered, evt_handlers=[(evt.EVT_C_FIND, find)]
    )
    try:
        yield int(server.socket.getsockname()[1])
    finally:
        server.shutdown()
