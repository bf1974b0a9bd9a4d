"""What ``strace -f -y -xx`` wrote, as a sequence of calls that begin and end."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

TRACED = (
    "openat", "open", "creat", "write", "pwrite64", "writev", "pwritev", "pwritev2", "lseek",
    "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat",
    "rmdir", "mkdir", "mkdirat", "fsync", "fdatasync", "sync_file_range", "sync", "syncfs",
    "truncate", "ftruncate", "fallocate", "sendto", "sendmsg", "sendfile", "splice",
    "copy_file_range", "io_uring_enter",
)  # fmt: skip
"""Whatever changes a file or answers a peer. Of SQLite, the WAL is written by ``pwrite64``; its index
(``-shm``) is mapped memory, which it builds anew after a crash."""

OPTIONS = ("-f", "-y", "-xx", "-s", "8388608", "-e", f"trace={','.join(TRACED)}")

_LINE = re.compile(r"(\d+) +(.*)", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+).*", re.DOTALL)
_OPENED = re.compile(r"\) += \d+<([^>]*)>")
_LAST = re.compile(r"(\d+) *\) += -?\d+[^)]*$")
_SYNCED = re.compile(r", (\d+), RWF_DSYNC *\) += \d+$")
_DESCRIPTOR = re.compile(r"(\d+)<([^>]*)>(\(deleted\))?")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True)
class Call:
    """One system call.

    Parameters
    ----------
    text
        As strace wrote it; of a call that only begins, without its end.
    ended
        False when it begins, which is told only of calls whose beginning counts: syncs and answers.
    """

    thread: int
    name: str
    text: str
    ended: bool

    @property
    def result(self) -> int:
        """What it returned; negative: it failed."""
        found = _CALL.fullmatch(self.text)
        assert found is not None, self.text[:200]
        return int(found[3])

    @cached_property
    def strings(self) -> list[bytes]:
        """Every string among its arguments: paths, or what was written."""
        return [_bytes(text) for text in _STRING.findall(self.text)]

    @property
    def path(self) -> str:
        """What its first argument, a descriptor, stands for: a path or a socket; "" when deleted."""
        found = _DESCRIPTOR.match(self.text, len(self.name) + 1)
        if found is None or found[3]:
            return ""
        return _bytes(found[2]).decode()

    @property
    def last_number(self) -> int:
        """Its last argument: an offset, or a size."""
        found = _LAST.search(self.text)
        assert found is not None, self.text[-200:]
        return int(found[1])

    @property
    def synced_at(self) -> int | None:
        """Offset of a ``pwritev2`` whose bytes are durable when it returns; None of another one."""
        found = _SYNCED.search(self.text)
        return None if found is None else int(found[1])

    @property
    def descriptor(self) -> int:
        """Its first argument."""
        found = _DESCRIPTOR.match(self.text, len(self.name) + 1)
        assert found is not None, self.text[:200]
        return int(found[1])

    @property
    def paths(self) -> list[str]:
        """Its string arguments as absolute paths; relative ones start at the descriptor before them."""
        arguments = self.text[len(self.name) + 1 :].rsplit(" = ", 1)[0]
        folders = re.findall(r"<([^>]*)>(?:\(deleted\))?, \"", arguments)
        found = [text.decode() for text in self.strings]
        for number, folder in enumerate(folders[: len(found)]):
            if not found[number].startswith("/"):
                found[number] = f"{_bytes(folder).decode()}/{found[number]}"
        return found

    @property
    def opened(self) -> tuple[int, str]:
        """Descriptor and path of what ``open`` returned."""
        found = _OPENED.search(self.text)
        assert found is not None, self.text[:200]
        return self.result, _bytes(found[1]).decode()


BEGINNING_COUNTS = ("fsync", "fdatasync", "sendto", "sendmsg", "write", "writev")


def read_calls(lines: Iterable[str]) -> Iterator[Call]:
    """Yield calls in the order in which they took effect."""
    unfinished: dict[int, str] = {}
    for line in lines:
        found = _LINE.fullmatch(line.rstrip("\n"))
        if found is None or found[2].startswith(("---", "+++")):
            continue
        thread, text = int(found[1]), found[2]
        resumed = _RESUMED.fullmatch(text)
        if resumed is not None:
            text = unfinished.pop(thread) + resumed[2]
        name = text.split("(", 1)[0]
        if resumed is None and name in BEGINNING_COUNTS:
            yield Call(thread=thread, name=name, text=text, ended=False)
        if text.endswith("<unfinished ...>"):
            unfinished[thread] = text.removesuffix("<unfinished ...>")
        elif _CALL.fullmatch(text):
            yield Call(thread=thread, name=name, text=text, ended=True)


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))
