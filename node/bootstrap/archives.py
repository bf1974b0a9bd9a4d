"""The archives that are asked whether a series is whole, and for what is missing of it."""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from node.bootstrap.headers import comparer, header_reader
from node.bootstrap.reach import archive_index, dicom_peer
from node.settings import Peer, Settings
from node.telemetry import log

if TYPE_CHECKING:
    from node.core.job import Claim
    from node.pipeline.prepare import AwaitPriors
    from node.pipeline.priors import Searcher
    from node.pipeline.retrieve import Archive
    from node.pipeline.routes import Routes
    from node.store.database import Database

Retrieve = Callable[[str, str, Sequence[str]], None]


def archives(settings: Settings, opened: "Database") -> "list[Archive]":
    """Return every archive that may be asked.

    Raises
    ------
    SettingsInvalid
        A DICOMweb service's token is not in the environment.
    """
    from node.pipeline.retrieve import Archive

    held: dict[str, set[str]] = {}
    for source in settings.peer:
        if source.archive is not None:
            held.setdefault(source.archive, set()).add(source.name)
    asked = []
    for name, sources in held.items():
        peer = settings.peer_named(name)
        by = _by_get if peer.retrieve == "get" else _by_move
        retrieve, recover = by(settings, peer, opened)
        index = archive_index(settings, peer)
        asked.append(
            Archive(
                name=name,
                sources=frozenset(sources),
                index=index,
                patients=index,
                retrieve=_one_at_a_time(retrieve),
                recover=recover,
            )
        )
    return asked


def prior_searcher(settings: Settings, opened: "Database", routes: "Routes") -> "Searcher":
    """Wire who looks for the earlier studies that models compare with."""
    from node.bootstrap.feed import merged_to
    from node.bootstrap.reach import source_of
    from node.pipeline.priors import Searcher
    from node.store.priors import PriorStore

    return Searcher(
        priors=PriorStore(opened),
        cards=routes.cards,
        source_of=source_of(settings),
        merged_to=merged_to(settings, opened),
    )


def await_priors(settings: Settings, opened: "Database") -> "AwaitPriors":
    """Return who lets a job wait for earlier studies: as long as its source's archive may take."""
    from node.store.priors import PriorStore

    priors = PriorStore(opened)

    def wait(claim: "Claim", names: Sequence[str]) -> bool:
        source = settings.peer_named(claim.peer)
        return priors.want(claim, names, source.prior_wait_s if source.archive else None)

    return wait


def _one_at_a_time(retrieve: Retrieve) -> Retrieve:
    """Let the threads that ask an archive fetch from it in turn: what C-GET brings has one owner."""
    turn = threading.Lock()

    def retrieve_in_turn(study: str, series: str, instances: Sequence[str]) -> None:
        with turn:
            retrieve(study, series, instances)

    return retrieve_in_turn


def _by_move(settings: Settings, peer: Peer, _: "Database") -> tuple[Retrieve, Callable[[], None]]:
    """Wire C-MOVE: what is fetched comes to the listener, and nothing of it is ours to recover."""
    from integrations.pacs.retrieve import DicomRetriever

    retriever = DicomRetriever(dicom_peer(settings, peer), settings.node.ae_title)
    return retriever.retrieve, lambda: None


def _by_get(
    settings: Settings, peer: Peer, opened: "Database"
) -> tuple[Retrieve, Callable[[], None]]:
    """Wire C-GET: what is fetched comes to the keeper, and is made as safe as by the listener."""
    from integrations.pacs.retrieve import DicomGetter
    from node.dicom.fetched import Fetched
    from node.dicom.handlers import Taking
    from node.pipeline.receive import receive, recover
    from node.store.files import FileStore
    from node.store.index import IntakeStore
    from node.store.room import DiskRoom

    table = settings.listener
    # a folder and an owner of its own: one thread of the one keeper fetches from this archive
    owner = f"fetch-{peer.name}"
    store = FileStore(settings.node.data / "files", listener=owner, durable=table.fsync)
    intake = IntakeStore(opened, owner=owner)
    reader = header_reader(settings)

    compare = comparer(store.root)
    room = DiskRoom(store.root, high=table.disk_high, low=table.disk_low, full=table.disk_full)
    fetched = Fetched(
        taking=Taking(
            incoming=store.incoming,
            receive=lambda arrival: receive(arrival, intake, compare),
            opened=intake.association_opened,
            ended=lambda association_id, released: intake.association_ended(
                association_id, released=released
            ),
            reader=reader,
        ),
        require_room=room.require,
        peer=peer.name,
        ae_title=peer.ae_title or "",
    )
    getter = DicomGetter(dicom_peer(settings, peer))

    def retrieve(study: str, series: str, instances: Sequence[str]) -> None:
        with fetched.association() as take:
            getter.retrieve(study, series, instances, take)

    def recover_once() -> None:
        recovered = recover(store, intake, reader.read, compare)
        broken = intake.break_open_associations()
        if recovered or broken:
            log("fetching resumes", peer=peer.name, count=broken, instances=recovered)

    return retrieve, recover_once
