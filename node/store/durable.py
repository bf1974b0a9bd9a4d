"""Bytes, names and folders that survive power loss, in the order in which a disk must learn of them.

First the bytes (fsync of the file), then the name (fsync of its folder), and for a new folder its own name
too (fsync of its parent). An fsync that failed is never tried again on the same file: the kernel may have
dropped the pages and call the second one a success.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from node.core.study import Header
from node.errors import OutOfResources

REMEMBERED_FOLDERS = 10_000


def sync(descriptor: int) -> None:
    """Make what a descriptor stands for durable."""
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def told(error: OSError) -> str:
    """Return what the node says of a disk that would not take something; it names no path."""
    return f"disk: {error.strerror}"


class DurableFolders:
    """Makes folders whose names are durable.

    Parameters
    ----------
    root
        An existing folder; everything is made under it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: set[Path] = set()

    def make(self, folder: Path) -> None:
        """Make a folder, and those above it.

        A folder that is there may be so new that whoever made it has not synced its parent yet, so each
        process does that once itself.
        """
        if folder in self._known and folder.is_dir():
            return
        if folder != self._root:
            self.make(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
        if len(self._known) >= REMEMBERED_FOLDERS:
            self._known.clear()
        self._known.add(folder)


class IncomingFile:
    """One file that is being received.

    Parameters
    ----------
    root
        The store's root.
    path
        Its first name.
    descriptor
        The file, open for reading and writing; closed by `settle` and `discard`.
    folders
        Makes its last name's folder.
    durable
        False skips every sync.
    named
        It has its last name already.
    """

    def __init__(
        self,
        root: Path,
        path: Path,
        descriptor: int,
        folders: DurableFolders,
        *,
        durable: bool = True,
        named: bool = False,
    ) -> None:
        self._root = root
        self._path = path
        self._descriptor = descriptor
        self._folders = folders
        self._durable = durable
        self._named = named
        self._final: Path | None = None
        self._size = os.fstat(descriptor).st_size

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._size

    def write(self, part: bytes | memoryview) -> None:
        """Append bytes.

        Raises
        ------
        OutOfResources
            The disk would not take them.
        """
        left = memoryview(part)
        try:
            while left:
                written = os.write(self._descriptor, left)
                self._size += written
                left = left[written:]
        except OSError as error:
            raise OutOfResources(told(error)) from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[BinaryIO]:
        """Open what was written, from its start."""
        with open(self._descriptor, "rb", closefd=False) as source:
            source.seek(0)
            yield source

    def keep(self, header: Header, digest: str) -> str:
        """Make the file durable under its final name; return the path relative to the store's root.

        Where a file of the same UID and content stands already, that one is made durable and stays.

        Raises
        ------
        OutOfResources
            The disk would not take it; nothing of it is left.
        """
        folder = Path("instances") / header.study_instance_uid / header.series_instance_uid
        path = folder / f"{header.sop_instance_uid}.{digest[:16]}.dcm"
        try:
            self._folders.make(self._root / folder)
            self._sync(self._descriptor)
            try:
                os.link(self._path, self._root / path)
                self._final = self._root / path
            except FileExistsError:
                self._sync_other(self._root / path)
            self._named = True
            if self._durable:
                sync_folder(self._root / folder)
        except OSError as error:
            self._named = False
            raise OutOfResources(told(error)) from error
        return str(path)

    def settle(self) -> None:
        """Note that it is recorded: a start-up has nothing to do about it any more."""
        self._close()
        self._path.unlink(missing_ok=True)

    def withdraw(self) -> None:
        """Give up the final name: it is recorded that we have this instance elsewhere."""
        if self._final is not None:
            self._final.unlink(missing_ok=True)
        self.settle()

    def discard(self) -> None:
        """Remove what was written, unless it has its final name: then a start-up looks after it."""
        self._close()
        if not self._named:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _sync(self, descriptor: int) -> None:
        if self._durable:
            sync(descriptor)

    def _sync_other(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            self._size = os.fstat(descriptor).st_size
            self._sync(descriptor)
        finally:
            os.close(descriptor)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
