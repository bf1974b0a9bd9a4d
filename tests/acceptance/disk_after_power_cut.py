"""A disk that keeps only what was synced, and the replay of a traced process on it.

The strictest that POSIX allows: a file keeps the content that it had when its last finished fsync began; a
folder keeps the names that it had when *its* last finished fsync began, and a name that was not synced leads
nowhere, whatever became of the file behind it. What ext4 keeps beyond that is luck.
"""

import enum
import os
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tests.acceptance.system_calls import Call
from tests.acceptance.wire import SUCCESS, read_command

STORE_RESPONSE = 0x8001


class Unmodelled(Exception):
    """A process changed its files by a call that this model does not know."""


class Sync(enum.Enum):
    """The kinds of syncs that a replay can leave out, to show that each is needed."""

    FILE = "the content of a file"
    RECEIPT = "a file's receipt"
    FOLDER = "the names of files in a folder"
    NEW_FOLDER = "the names of a study's and a series' folder"
    RECORD = "the database"


@dataclass(eq=False, slots=True)
class File:
    content: bytearray = field(default_factory=bytearray)
    durable: bytes = b""


@dataclass(eq=False, slots=True)
class Folder:
    entries: "dict[str, File | Folder]" = field(default_factory=dict)
    durable: "dict[str, File | Folder]" = field(default_factory=dict)


Snapshot = tuple[File, bytes] | tuple[Folder, dict[str, File | Folder]]


class Disk:
    """What a machine believes to be on its disk, and what would be there without power.

    Parameters
    ----------
    root
        The folder that the model is about; it is there and empty.
    lost
        Syncs that do nothing.
    """

    def __init__(self, root: Path, lost: Set[Sync] = frozenset()) -> None:
        self._root = str(root)
        self._top = Folder()
        self._lost = lost

    def holds(self, path: str) -> bool:
        """Whether the model is about this path; SQLite's shared memory is not."""
        inside = path == self._root or path.startswith(f"{self._root}/")
        return inside and not path.endswith("-shm")

    def make_folder(self, path: str) -> None:
        parent, name = self._parent(path)
        parent.entries[name] = Folder()

    def open(self, path: str, *, create: bool, truncate: bool) -> None:
        parent, name = self._parent(path)
        if create:
            parent.entries.setdefault(name, File())
        if truncate:
            self._file(path).content.clear()

    def write(self, path: str, offset: int, data: bytes) -> None:
        content = self._file(path).content
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(data)] = data

    def size(self, path: str) -> int:
        return len(self._file(path).content)

    def truncate(self, path: str, size: int) -> None:
        content = self._file(path).content
        content.extend(bytes(max(0, size - len(content))))
        del content[size:]

    def rename(self, old: str, new: str) -> None:
        node = self._node(old)
        self.unlink(old)
        parent, name = self._parent(new)
        parent.entries[name] = node

    def link(self, old: str, new: str) -> None:
        parent, name = self._parent(new)
        parent.entries[name] = self._node(old)

    def unlink(self, path: str) -> None:
        parent, name = self._parent(path)
        del parent.entries[name]

    def snapshot(self, path: str) -> Snapshot:
        """Note what a sync that begins now makes durable."""
        node = self._node(path)
        if isinstance(node, File):
            return node, bytes(node.content)
        return node, dict(node.entries)

    def sync(self, path: str, snapshot: Snapshot) -> None:
        """End a sync: what was noted at its beginning is durable, unless such syncs are lost."""
        if isinstance(snapshot[0], File):
            kind = Sync.RECORD if _is_record(path) else Sync.FILE
            if kind not in self._lost:
                snapshot[0].durable = bytes(snapshot[1])
            return
        folder, entries = snapshot
        assert isinstance(folder, Folder)
        assert isinstance(entries, dict)
        kept = {name: node for name, node in entries.items() if _kind(name, node) not in self._lost}
        stayed = {n: node for n, node in folder.durable.items() if _kind(n, node) in self._lost}
        folder.durable = {**stayed, **kept}

    def write_synced(self, path: str, offset: int, data: bytes) -> None:
        """Write bytes that are durable, whatever else of their file is."""
        self.write(path, offset, data)
        if Sync.RECEIPT not in self._lost:
            file = self._file(path)
            durable = bytearray(file.durable.ljust(offset + len(data), b"\0"))
            durable[offset : offset + len(data)] = data
            file.durable = bytes(durable)

    def survivors(self) -> dict[str, bytes | None]:
        """Return what is there after the power came back, relative to the root; None for a folder."""
        return dict(_walk(self._top, PurePosixPath()))

    def materialise(self, folder: Path) -> None:
        """Write the survivors into a real folder."""
        for name, content in self.survivors().items():
            if content is None:
                (folder / name).mkdir(parents=True)
            else:
                (folder / name).write_bytes(content)

    def _node(self, path: str) -> File | Folder:
        node: File | Folder = self._top
        for part in PurePosixPath(os.path.relpath(path, self._root)).parts:
            assert isinstance(node, Folder), path
            node = node.entries[part]
        return node

    def _file(self, path: str) -> File:
        node = self._node(path)
        assert isinstance(node, File), path
        return node

    def _parent(self, path: str) -> tuple[Folder, str]:
        pure = PurePosixPath(path)
        parent = self._node(str(pure.parent))
        assert isinstance(parent, Folder), path
        return parent, pure.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A C-STORE that was answered Success, and the disk when the response left."""

    message_id: int
    disk: Disk


class Replay:
    """Puts traced calls on a disk.

    Parameters
    ----------
    disk
        Empty.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._syncing: dict[int, Snapshot] = {}
        self._offsets: dict[tuple[int, str], int] = {}
        self._sent: dict[str, bytearray] = {}

    def answers(self, calls: Iterable[Call]) -> Iterator[Answer]:
        """Replay calls; stop at each response that says Success, before it has left.

        Raises
        ------
        Unmodelled
            A file changed in a way that the model does not know.
        """
        for call in calls:
            if call.name in {"fsync", "fdatasync"}:
                self._sync(call)
            elif call.name in {"sendto", "sendmsg", "write", "writev"} and _is_socket(call):
                if not call.ended:
                    for message_id in self._responses(call):
                        yield Answer(message_id=message_id, disk=self._disk)
            elif call.ended and call.result >= 0:
                self._change(call)

    def _sync(self, call: Call) -> None:
        if not self._disk.holds(call.path):
            return
        if not call.ended:
            self._syncing[call.thread] = self._disk.snapshot(call.path)
        elif call.result == 0:
            self._disk.sync(call.path, self._syncing.pop(call.thread))

    def _change(self, call: Call) -> None:
        match call.name:
            case "openat" | "open" | "creat":
                self._open(call)
            case "write" | "writev" | "pwrite64" | "pwritev2" | "lseek" | "ftruncate" | "fallocate":
                if self._disk.holds(call.path):
                    self._content(call)
            case _:
                paths = [path for path in call.paths if self._disk.holds(path)]
                if paths:
                    self._names(call, paths)
                elif self._disk.holds(call.path):
                    raise Unmodelled(call.name)

    def _open(self, call: Call) -> None:
        descriptor, path = call.opened
        if not self._disk.holds(path):
            return
        if "O_TMPFILE" in call.text:
            raise Unmodelled("O_TMPFILE")
        self._offsets[descriptor, path] = 0
        if "O_DIRECTORY" not in call.text:
            create = "O_CREAT" in call.text
            self._disk.open(path, create=create, truncate="O_TRUNC" in call.text)
            if "O_APPEND" in call.text:
                self._offsets[descriptor, path] = self._disk.size(path)

    def _content(self, call: Call) -> None:
        key, path = (call.descriptor, call.path), call.path
        match call.name:
            case "lseek":
                self._offsets[key] = call.result
            case "pwrite64":
                self._disk.write(path, call.last_number, call.strings[0][: call.result])
            case "pwritev2" if call.synced_at is not None:
                self._disk.write_synced(path, call.synced_at, call.strings[0][: call.result])
            case "ftruncate":
                self._disk.truncate(path, call.last_number)
            case "write" | "writev":
                offset = self._offsets.get(key, 0)
                self._disk.write(path, offset, b"".join(call.strings)[: call.result])
                self._offsets[key] = offset + call.result
            case _:
                raise Unmodelled(call.name)

    def _names(self, call: Call, paths: list[str]) -> None:
        match call.name:
            case "mkdir" | "mkdirat":
                self._disk.make_folder(paths[0])
            case "rename" | "renameat" | "renameat2":
                self._disk.rename(*paths)
                self._follow(*paths)
            case "link" | "linkat":
                self._disk.link(*paths)
            case "unlink" | "unlinkat" | "rmdir":
                self._disk.unlink(paths[0])
            case _:
                raise Unmodelled(call.name)

    def _follow(self, old: str, new: str) -> None:
        for descriptor, path in list(self._offsets):
            if path == old:
                self._offsets[descriptor, new] = self._offsets.pop((descriptor, path))

    def _responses(self, call: Call) -> Iterator[int]:
        sent = self._sent.setdefault(call.path, bytearray())
        sent += b"".join(call.strings)
        while len(sent) >= 6 and len(sent) >= 6 + int.from_bytes(sent[2:6], "big"):
            length = int.from_bytes(sent[2:6], "big")
            kind, body = sent[0], bytes(sent[6 : 6 + length])
            del sent[: 6 + length]
            if kind == 0x04:
                values = {
                    e: int.from_bytes(v[:2], "little") for e, v in read_command(body[6:]).items()
                }
                if (values.get(0x0100), values.get(0x0900)) == (STORE_RESPONSE, SUCCESS):
                    yield values[0x0120]


def _is_socket(call: Call) -> bool:
    return call.path.startswith(("socket:", "TCP:"))


def _is_record(name: str) -> bool:
    return ".db" in PurePosixPath(name).name


def _kind(name: str, node: File | Folder) -> Sync | None:
    if isinstance(node, Folder):
        return Sync.NEW_FOLDER if name[0].isdigit() else None
    return None if _is_record(name) else Sync.FOLDER


def _walk(folder: Folder, path: PurePosixPath) -> Iterator[tuple[str, bytes | None]]:
    for name, node in folder.durable.items():
        if isinstance(node, File):
            yield str(path / name), node.durable
        else:
            yield str(path / name), None
            yield from _walk(node, path / name)
