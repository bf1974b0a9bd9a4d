"""The machine under the listener fails: a right status, nothing lost, and recovery without a hand."""

import contextlib
import itertools
import os
import sqlite3
import subprocess
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.site import Plan, Site, peer_source, running_site
from tests.acceptance.wire import (
    MR_IMAGE,
    OUT_OF_RESOURCES,
    SUCCESS,
    Association,
    Refused,
    echo_within,
    minimal,
)
from tests.peers import absent

pytestmark = [pytest.mark.slow]

NUMBERS = itertools.count(1)
PIXELS = bytes(100_000)
LOCKED_S = 32.0
"""Longer than the node waits for the database."""

CLOCK = """
    import os, sqlite3, sqlite3.dbapi2, time
    _connect, _time = sqlite3.dbapi2.connect, time.time
    def _now():
        with open(os.environ["CLOCK_IS_OFF_BY"]) as hand:
            return _time() + float(hand.read() or 0)
    def _offset_connect(*arguments, **named):
        connection = _connect(*arguments, **named)
        connection.create_function("julianday", 1, lambda _: _now() / 86400 + 2440587.5)
        connection.create_function("unixepoch", -1, lambda *_: _now())
        return connection
    time.time = _now
    sqlite3.connect = sqlite3.dbapi2.connect = _offset_connect
"""
"""Joins every Python process as ``sitecustomize``: its clock and its database's are off by a file's content.

(libfaketime 0.9.10 breaks the absolute sleeps of Python 3.11, so it cannot be used.)
"""


@contextlib.contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Mount something at `folder` while the block runs; that needs root."""
    done = subprocess.run(["mount", *options, str(folder)], check=False, capture_output=True)
    if done.returncode != 0:
        absent("a mount of its own", f"run as root: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def listening(folder: Path) -> Iterator[Site]:
    with running_site(folder, Plan(peers=[peer_source(results_to=[])])) as site:
        site.start("listener")
        site.wait_listening()
        yield site


def send(site: Site, *, timeout_s: float = 60) -> int | None:
    """Send one image on an association of its own; None when the association is refused."""
    try:
        with Association(site.port, timeout_s=timeout_s) as association:
            return association.store(minimal(MR_IMAGE, next(NUMBERS), PIXELS), 1)
    except Refused:
        return None


def recovers(site: Site, acknowledged: int) -> None:
    """Check that the next image is taken, and that everything acknowledged is accounted for."""
    site.wait(lambda: send(site) == SUCCESS, "an image to be taken again", timeout_s=60)
    site.wait_recorded(acknowledged + 1)
    assert site.rows("select count(*) from instance") == [(acknowledged + 1,)]
    balance = site.cli("ledger", "--verify")
    assert balance.returncode == 0, balance.stdout + balance.stderr


def refused_once_full(site: Site) -> int:
    """Send until the first refusal, which has to be A700 or a refused association; count what was taken."""
    for taken in range(400):
        status = send(site)
        if status != SUCCESS:
            assert status in {OUT_OF_RESOURCES, None}
            return taken
    pytest.fail("the disk never became full")


def test_a_full_disk(tmp_path: Path) -> None:
    data = tmp_path / "site" / "data"
    data.mkdir(parents=True)
    with mounted(data, "-t", "tmpfs", "-o", "size=24m", "tmpfs"), listening(data.parent) as site:
        ballast = data / "ballast"
        ballast.write_bytes(bytes(16 << 20))
        taken = refused_once_full(site)
        assert taken > 0
        # each process looks at the disk for itself: there may be room for one more, and then it is safe
        taken += send(site) == SUCCESS
        ballast.unlink()
        recovers(site, taken)


def test_no_inode_left(tmp_path: Path) -> None:
    data = tmp_path / "site" / "data"
    data.mkdir(parents=True)
    options = ("-t", "tmpfs", "-o", "size=200m,nr_inodes=400", "tmpfs")
    with mounted(data, *options), listening(data.parent) as site:
        assert send(site) == SUCCESS
        # its second name is an inode to tmpfs, and goes when it is recorded
        received = data / "files" / "incoming"
        site.wait(lambda: not any(received.glob("*/*")), "the end of its first name")
        ballast = data / "ballast"
        ballast.mkdir()
        _use_up(ballast)
        assert send(site) in {OUT_OF_RESOURCES, None}
        for path in ballast.iterdir():
            path.unlink()
        recovers(site, 1)


@pytest.mark.long
def test_a_store_that_became_read_only(tmp_path: Path) -> None:
    with listening(tmp_path / "site") as site:
        assert send(site) == SUCCESS
        files = site.data / "files"
        with mounted(files, "--bind", str(files)):
            command = ["mount", "-o", "remount,bind,ro", str(files)]
            subprocess.run(command, check=True, capture_output=True)
            assert send(site) in {OUT_OF_RESOURCES, None}
        recovers(site, 1)


@pytest.mark.long
def test_a_database_that_is_locked_for_long(tmp_path: Path) -> None:
    with listening(tmp_path / "site") as site:
        assert send(site) == SUCCESS
        with contextlib.closing(sqlite3.connect(site.data / "overread.db", timeout=5)) as other:
            other.isolation_level = None
            other.execute("begin immediate")
            began = time.monotonic()
            status = send(site, timeout_s=LOCKED_S + 30)
            assert status == OUT_OF_RESOURCES, "an association is recorded before its first image"
            assert echo_within(site.port, 1.0)
            site.wait(lambda: time.monotonic() - began > LOCKED_S, "the lock's time")
            other.execute("rollback")
        recovers(site, 1)


def test_an_association_goes_on_while_the_database_is_locked(tmp_path: Path) -> None:
    with listening(tmp_path / "site") as site:
        with Association(site.port) as association:
            first, *more = (minimal(MR_IMAGE, next(NUMBERS), PIXELS) for _ in range(4))
            assert association.store(first, 1) == SUCCESS
            site.wait_recorded(1)
            with contextlib.closing(sqlite3.connect(site.data / "overread.db", timeout=5)) as other:
                other.isolation_level = None
                other.execute("begin immediate")
                assert [association.store(one, 2) for one in more] == [SUCCESS] * len(more)
                assert site.rows("select count(*) from instance") == [(1,)]
                other.execute("rollback")
        site.wait(
            lambda: site.rows("select outcome from association") == [("RELEASED",)],
            "the end of the association",
        )
        assert site.rows("select count(*) from instance") == [(4,)], "an end comes after its images"
        recovers(site, 4)


@pytest.mark.long
def test_a_clock_that_jumps_backwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hook, hand = tmp_path / "hook", tmp_path / "clock"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(textwrap.dedent(CLOCK))
    hand.write_text("0")
    monkeypatch.setenv("PYTHONPATH", f"{hook}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("CLOCK_IS_OFF_BY", str(hand))
    with listening(tmp_path / "site") as site:
        assert send(site) == SUCCESS
        site.wait_recorded(1)
        hand.write_text("-3600")
        assert send(site) == SUCCESS
        site.wait_recorded(2)
        first, second = (row[0] for row in site.rows("select at from journal order by line"))
        assert second < first - 3000, "the listener's clock was to jump"
        recovers(site, 2)


def _use_up(folder: Path) -> None:
    for number in itertools.count():
        try:
            os.close(os.open(folder / str(number), os.O_CREAT | os.O_WRONLY))
        except OSError:
            return
