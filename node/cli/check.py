"""``overread check``: every part is tried, and each fault says what to mend."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from inference.card import check_weights
from inference.errors import InferenceError
from inference.server import TritonServer
from integrations.errors import IntegrationError
from integrations.hl7.sending import reach
from integrations.pacs.peer import echo
from node import bootstrap
from node.clock import at
from node.errors import NodeError
from node.settings import Peer, Settings

Subject = TypeVar("Subject")


def run(settings: Settings) -> Iterator[tuple[str, str | None]]:
    """Try everything; yield the name of each part, and its fault or None."""
    yield "database and folder", _try(bootstrap.database, settings)
    yield "ledger", _ledger(settings)
    yield from _models(settings)
    if settings.inference.server == "triton":
        yield "Triton", _triton(settings)
    for peer in settings.peer:
        if "archive" in peer.roles:
            called = bootstrap.dicom_peer(settings, peer)
            yield f"peer {peer.name}, C-ECHO", _try(echo, called)
        if peer.dicomweb is not None:
            yield f"peer {peer.name}, QIDO-RS", _dicomweb(settings, peer)
        if "ehr" in peer.roles:
            yield f"peer {peer.name}, FHIR", _try(_metadata, peer)
        if "oru" in peer.roles:
            yield f"peer {peer.name}, MLLP", _try(_mllp, peer)


def _ledger(settings: Settings) -> str | None:
    from node.store.housekeeping import LEDGER, HousekeepingStore

    try:
        done = HousekeepingStore(bootstrap.database(settings)).last(LEDGER)
    except NodeError as error:
        return str(error)
    if done is None or not done.faults:
        return None
    return f"{done.faults} differences on {at(done.ended_at):%Y-%m-%d %H:%M} UTC: overread ledger"


def _models(settings: Settings) -> Iterator[tuple[str, str | None]]:
    try:
        cards = bootstrap.cards(settings)
    except NodeError as error:
        yield "models", str(error)
        return
    for name, card in cards.items():
        yield f"model {name}, weights", _try(check_weights, card)


def _triton(settings: Settings) -> str | None:
    table = settings.inference
    server = TritonServer(f"{table.host}:{table.grpc_port}", shared_memory=False)
    unready = [name for name in bootstrap.cards(settings) if not server.ready(name)]
    return f"not ready at {table.host}:{table.grpc_port}: {', '.join(unready)}" if unready else None


def _dicomweb(settings: Settings, peer: Peer) -> str | None:
    """Ask for a series that nobody has: an empty list is an answer."""
    return _try(
        lambda asked: bootstrap.archive_index(settings, asked).instances("2.25.0", "2.25.0"), peer
    )


def _metadata(peer: Peer) -> None:
    bootstrap.fhir_client(peer).read("metadata")


def _mllp(peer: Peer) -> None:
    """Connect only: a message that files nothing is not known to every receiver."""
    reach(bootstrap.mllp_peer(peer))


def _try(attempt: Callable[[Subject], object], subject: Subject) -> str | None:
    try:
        attempt(subject)
    except (NodeError, InferenceError, IntegrationError, OSError) as error:
        return str(error)
    return None
