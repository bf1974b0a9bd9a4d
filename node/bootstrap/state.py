"""What the node keeps: its database, its files, and the stores that stand on them."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from node.settings import Settings

if TYPE_CHECKING:
    from node.store.database import Database
    from node.store.files import FileStore
    from node.store.overview import Overview
    from node.store.promises import PromisedFiles
    from node.store.reruns import RerunStore
    from node.store.retention import RetentionStore
    from node.store.retractions import RetractionStore


def database(settings: Settings) -> "Database":
    """Open the node's database at its newest schema."""
    from node.store.database import Database

    make_durable(settings.node.data)
    opened = Database(settings.node.data / "overread.db")
    opened.migrate()
    return opened


def make_durable(folder: Path) -> None:
    """Make a folder that survives power loss: the name of a new one is synced in its parent."""
    if folder.is_dir():
        return
    make_durable(folder.parent)
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def files(settings: Settings) -> "FileStore":
    """Open the node's folder of files."""
    from node.store.files import FileStore

    make_durable(settings.node.data)
    return FileStore(settings.node.data / "files")


def retention_store(settings: Settings) -> "RetentionStore":
    """Open what retention may delete."""
    from node.store.retention import RetentionStore
    from node.store.safekeeping import held

    return RetentionStore(database(settings), files(settings).root, held)


def parked(settings: Settings) -> "tuple[Callable[[str], bool], ...]":
    """Open what may be parked, for `overread retry`: each owes its own again, and says whether it had it."""
    from node.store.commitments import CommitmentStore
    from node.store.deliveries import DeliveryStore
    from node.store.withdrawals import WithdrawalStore

    opened, lease_s = database(settings), settings.queue.lease_s
    kinds = (DeliveryStore, WithdrawalStore, CommitmentStore)
    return tuple(kind(opened, lease_s).owe_again for kind in kinds)


def all_parked(settings: Settings) -> "Callable[[str | None], int]":
    """Open every parked delivery, for `overread retry --parked`: owes those of a destination, or all."""
    from node.store.deliveries import DeliveryStore

    return DeliveryStore(database(settings), settings.queue.lease_s).owe_all_again


def retractions(settings: Settings) -> "RetractionStore":
    """Open what may be retracted."""
    from node.store.retractions import RetractionStore

    return RetractionStore(database(settings))


def reruns(settings: Settings) -> "RerunStore":
    """Open what may be asked again."""
    from node.store.reruns import RerunStore

    return RerunStore(database(settings))


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewing:
    """What the status page shows."""

    overview: "Overview"
    files: "FileStore"
    promises: "PromisedFiles"


def viewing(settings: Settings) -> Viewing:
    """Wire the status page."""
    from node.store.overview import Overview
    from node.store.promises import PromisedFiles

    kept = files(settings)
    return Viewing(
        overview=Overview(database(settings)), files=kept, promises=PromisedFiles(kept.root)
    )
