import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from node.errors import OutOfResources
from node.store.room import DiskRoom

Fill = Callable[[float, float], None]


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch) -> Fill:
    monkeypatch.setattr("node.store.room.LOOK_S", 0.0)

    def to(octets: float, inodes: float = 0.0) -> None:
        disk = SimpleNamespace(
            f_blocks=1000, f_bavail=1000 * (1 - octets), f_files=1000, f_favail=1000 * (1 - inodes)
        )
        monkeypatch.setattr(os, "statvfs", lambda _: disk)

    return to


def room(root: Path) -> DiskRoom:
    return DiskRoom(root, high=0.9, low=0.8, full=0.95)


def test_associations_are_refused_at_the_high_mark_until_the_low_one(
    tmp_path: Path, fill: Fill
) -> None:
    disk = room(tmp_path)
    answers = []
    for used in (0.5, 0.89, 0.91, 0.85, 0.81, 0.79, 0.85):
        fill(used, 0.0)
        answers.append(disk.nearly_full())
    assert answers == [False, False, True, True, True, False, False]


@pytest.mark.parametrize(("octets", "inodes"), [(0.96, 0.1), (0.1, 0.96)])
def test_instances_are_refused_when_bytes_or_inodes_are_gone(
    tmp_path: Path, fill: Fill, octets: float, inodes: float
) -> None:
    fill(octets, inodes)
    with pytest.raises(OutOfResources, match="watermark"):
        room(tmp_path).require()


def test_a_disk_with_room_takes_instances(tmp_path: Path, fill: Fill) -> None:
    fill(0.94, 0.94)
    room(tmp_path).require()


def test_a_disk_that_does_not_answer_is_full(tmp_path: Path) -> None:
    with pytest.raises(OutOfResources):
        room(tmp_path / "gone").require()


def test_a_file_system_that_does_not_count_inodes_is_not_out_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uncounted = SimpleNamespace(f_blocks=100, f_bavail=90, f_files=0, f_favail=0)
    monkeypatch.setattr(os, "statvfs", lambda _: uncounted)
    room(tmp_path).require()
