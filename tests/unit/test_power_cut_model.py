"""The disk that keeps only what was synced: the model of the power-cut test is tested itself."""

import struct
from pathlib import Path

import pytest

from tests.acceptance.disk_after_power_cut import Disk, Replay, Sync, Unmodelled
from tests.acceptance.system_calls import read_calls
from tests.acceptance.wire import data_pdu

ROOT = Path("/disk")


def hexed(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


def name(path: str) -> str:
    return hexed(f"/disk/{path}".encode().rstrip(b"/"))


def open_(path: str, flags: str) -> str:
    return f'7 openat(AT_FDCWD<{hexed(b"/")}>, "{name(path)}", {flags}) = 5<{name(path)}>'


def write(path: str, data: bytes) -> str:
    return f'7 write(5<{name(path)}>, "{hexed(data)}", {len(data)}) = {len(data)}'


def fsync(path: str) -> str:
    return f"7 fsync(5<{name(path)}>) = 0"


def survivors(*lines: str, lost: frozenset[Sync] = frozenset()) -> dict[str, bytes | None]:
    disk = Disk(ROOT, lost)
    assert list(Replay(disk).answers(read_calls(lines))) == []
    return disk.survivors()


NEW = (open_("a", "O_WRONLY|O_CREAT|O_EXCL"), write("a", b"one"))


def test_what_was_not_synced_is_gone() -> None:
    assert survivors(*NEW) == {}


def test_a_synced_file_without_a_synced_name_is_gone() -> None:
    assert survivors(*NEW, fsync("a")) == {}


def test_a_synced_name_without_a_synced_file_is_empty() -> None:
    assert survivors(*NEW, fsync("")) == {"a": b""}


def test_what_was_synced_with_its_name_is_there() -> None:
    assert survivors(*NEW, fsync("a"), fsync("")) == {"a": b"one"}


def test_a_write_after_the_sync_is_gone() -> None:
    assert survivors(*NEW, fsync("a"), write("a", b"two"), fsync("")) == {"a": b"one"}


def test_a_write_while_a_sync_runs_is_not_promised() -> None:
    running = (
        f"7 fsync(5<{name('a')}> <unfinished ...>",
        write("a", b"two").replace("7 ", "8 ", 1),
    )
    assert survivors(*NEW, *running, "7 <... fsync resumed>) = 0", fsync("")) == {"a": b"one"}


def test_a_rename_needs_a_sync_of_the_folder_that_it_leads_to() -> None:
    moved = (
        *NEW,
        fsync("a"),
        fsync(""),
        f'7 mkdir("{name("d")}", 0777) = 0',
        f'7 rename("{name("a")}", "{name("d/b")}") = 0',
    )
    assert survivors(*moved) == {"a": b"one"}
    assert survivors(*moved, fsync("d")) == {"a": b"one"}, "the new folder has no synced name"
    assert survivors(*moved, fsync("d"), fsync("")) == {"d": None, "d/b": b"one"}


def test_a_call_that_failed_changed_nothing() -> None:
    failed = f'7 unlink("{name("a")}") = -1 EACCES (Permission denied)'
    assert survivors(*NEW, failed, fsync("a"), fsync("")) == {"a": b"one"}


def test_a_sync_that_failed_keeps_nothing() -> None:
    failed = f"7 fsync(5<{name('a')}>) = -1 EIO (Input/output error)"
    assert survivors(*NEW, failed, fsync("")) == {"a": b""}


@pytest.mark.parametrize(
    ("sync", "left"), [(Sync.FILE, {"a": b""}), (Sync.FOLDER, {}), (Sync.RECORD, {"a": b"one"})]
)
def test_a_kind_of_sync_can_be_left_out(sync: Sync, left: dict[str, bytes]) -> None:
    assert survivors(*NEW, fsync("a"), fsync(""), lost=frozenset({sync})) == left


def test_a_call_that_the_model_does_not_know_is_told() -> None:
    with pytest.raises(Unmodelled):
        survivors(*NEW, f"7 copy_file_range(5<{name('a')}>, NULL, 6, NULL, 3, 0) = 3")


def test_the_disk_is_seen_as_it_is_when_the_response_leaves() -> None:
    values = ((0x0100, 0x8001), (0x0120, 9), (0x0900, 0))
    response = b"".join(struct.pack("<HHLH", 0, element, 2, value) for element, value in values)
    sent = hexed(data_pdu(3, response, command=True, last=True))
    send = f'7 sendto(6<{hexed(b"socket:[1]")}>, "{sent}", 10, 0, NULL, 0) = 10'
    lines = (*NEW, fsync("a"), send, fsync(""))
    seen = [
        (answer.message_id, answer.disk.survivors())
        for answer in Replay(Disk(ROOT)).answers(read_calls(lines))
    ]
    assert seen == [(9, {})]
