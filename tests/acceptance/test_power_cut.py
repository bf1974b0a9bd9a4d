"""The power fails when a C-STORE response leaves: what the disk keeps holds every image that was acknowledged.

A listener under load is traced with its recorder; their calls are replayed on a disk that keeps only what was
synced. On that disk the recorder starts, as it does when the power is back.
"""

import contextlib
import os
import signal
import sqlite3
import struct
import sys
import threading
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from node.dicom.header import read_header
from node.errors import OutOfResources
from node.pipeline.record import Recorder
from node.store.database import Database
from node.store.index import IntakeStore
from node.store.promises import PromisedFiles
from tests.acceptance.disk_after_power_cut import Disk, Replay, Sync
from tests.acceptance.site import Plan, Site, peer_source, running_site
from tests.acceptance.system_calls import OPTIONS, read_calls
from tests.acceptance.wire import MR_IMAGE, SUCCESS, Association, Image, minimal
from tests.peers import program

pytestmark = [pytest.mark.peers, pytest.mark.slow]

ASSOCIATIONS = 3
IMAGES = 40
"""On each association, two in each series, so that folders become new under load."""

EACH = 8
"""The power is cut at each eighth answer, and at the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A listener's calls, and what it was sent by Message ID."""

    root: Path
    file: Path
    images: dict[int, Image]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """Trace a listener from its very first start on an empty disk."""
    folder = tmp_path_factory.mktemp("power")
    root, file = folder / "disk", folder / "calls"
    root.mkdir()
    images = {
        number: minimal(MR_IMAGE, number, number.to_bytes(2, "little") * 2048, series=number // 2)
        for number in range(1, ASSOCIATIONS * IMAGES + 1)
    }
    tables = {"node": {"data": str(root / "data")}}
    plan = Plan(peers=[peer_source(results_to=[])], tables=tables)
    with running_site(folder / "site", plan) as site, _traced(site, file):
        site.wait_listening()
        shares = [list(images.items())[first::ASSOCIATIONS] for first in range(ASSOCIATIONS)]
        senders = [threading.Thread(target=_send, args=(site.port, share)) for share in shares]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(timeout=120)
    return Trace(root=root, file=file, images=images)


def test_every_acknowledged_image_survives(trace: Trace, tmp_path: Path) -> None:
    faults, answered = _lost(trace, tmp_path, frozenset())
    assert answered == len(trace.images)
    assert faults == []


@pytest.mark.parametrize("sync", Sync)
def test_without_one_kind_of_sync_something_is_lost(
    trace: Trace, tmp_path: Path, sync: Sync
) -> None:
    faults, _ = _lost(trace, tmp_path, {sync})
    assert faults, f"nothing needs the sync of {sync.value}"
    # the images are missed one by one, not with the whole tree
    assert sync is Sync.RECORD or not any("database" in fault for fault in faults)


def test_the_ledger_adds_up_when_power_is_back(trace: Trace, tmp_path: Path) -> None:
    disk = Disk(trace.root)
    with trace.file.open(encoding="ascii") as lines:
        answered = [answer.message_id for answer in Replay(disk).answers(read_calls(lines))]
    with running_site(tmp_path / "site", Plan(peers=[peer_source(results_to=[])])) as site:
        disk.materialise(tmp_path / "disk")
        (tmp_path / "disk" / "data").rename(site.data)
        site.start("listener")
        site.wait_recorded(len(answered))
        balance = site.cli("ledger", "--verify")
        assert balance.returncode == 0, balance.stdout + balance.stderr


def _lost(trace: Trace, folder: Path, lost: Set[Sync]) -> tuple[list[str], int]:
    """Cut the power at responses; tell what is gone, and how many were answered Success."""
    faults: list[str] = []
    answered: list[int] = []
    with trace.file.open(encoding="ascii") as lines:
        for answer in Replay(Disk(trace.root, lost)).answers(read_calls(lines)):
            answered.append(answer.message_id)
            if len(answered) % EACH and len(answered) < len(trace.images):
                continue
            disk = folder / f"after-{len(answered)}"
            disk.mkdir()
            answer.disk.materialise(disk)
            images = [trace.images[number] for number in answered]
            faults += [f"after {len(answered)} answers: {fault}" for fault in _faults(disk, images)]
    return faults, len(answered)


def _faults(disk: Path, images: Sequence[Image]) -> list[str]:
    database = disk / "data" / "overread.db"
    if not database.exists():
        return ["there is no database"]
    try:
        _recover(disk / "data")
        with contextlib.closing(sqlite3.connect(database)) as connection:
            rows = connection.execute(
                "select sop_instance_uid, instance.path from instance "
                "join journal using (sop_instance_uid) where outcome = 'stored'"
            ).fetchall()
    except (sqlite3.DatabaseError, OutOfResources) as error:
        return [f"the database: {error}"]
    return [
        fault
        for image in images
        if (fault := _fault(disk / "data" / "files", image, dict(rows), len(rows)))
    ]


def _recover(data: Path) -> None:
    """Do what a recorder does when it starts."""
    database = Database(data / "overread.db")
    database.migrate()
    promises = PromisedFiles(data / "files", durable=False)
    intake = IntakeStore(database, owner="recorder")
    Recorder(promises, intake, read_header, lambda *_: None).begin()
    database.close()


def _fault(files: Path, image: Image, paths: dict[str, str], lines: int) -> str | None:
    path = paths.get(image.sop_instance_uid)
    if path is None or lines != len(paths):
        return f"{image.sop_instance_uid} is not recorded once"
    if not (files / path).is_file():
        return f"{path} is gone"
    content = (files / path).read_bytes()
    start = 144 + struct.unpack("<L", content[140:144])[0] if len(content) >= 144 else 0
    return None if content[start:] == image.data_set else f"{path} is not what was sent"


@contextlib.contextmanager
def _traced(site: Site, file: Path) -> Iterator[None]:
    """Run a listener under strace while the block runs."""
    strace = str(program("strace", "strace"))
    command = [strace, *OPTIONS, "-o", str(file), sys.executable, "-m", "node", "listener"]
    process = site.start_command([*command, "--config", str(site.config)], "strace")
    try:
        yield
    finally:
        for child in psutil.Process(process.pid).children():
            os.kill(child.pid, signal.SIGTERM)
        process.wait(timeout=60)


def _send(port: int, images: Sequence[tuple[int, Image]]) -> None:
    with Association(port) as association:
        for number, image in images:
            assert association.store(image, number) == SUCCESS
