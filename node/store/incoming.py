"""One file that is being received: its bytes first, then its name, then nothing but its name.

Its first name, in ``incoming``, goes only when it is recorded. Until then a start-up finds it there.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from node.core.study import Header
from node.errors import OutOfResources
from node.store.durable import sync, sync_folder, told
from node.store.folders import DurableFolders


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
            The disk would not take it. Nothing of it is left, unless its name is what could not be made
            durable: somebody else may count on that name by now, so both names stay, and a start-up or the
            next association that brings the same goes on from there.
        """
        folder = Path("instances") / header.study_instance_uid / header.series_instance_uid
        path = folder / f"{header.sop_instance_uid}.{digest[:16]}.dcm"
        try:
            self._folders.fill(self._root / folder, lambda: self._link(self._root / path))
            if self._durable:
                sync_folder(self._root / folder)
        except OSError as error:
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

    def _link(self, final: Path) -> None:
        self._sync(self._descriptor)
        try:
            os.link(self._path, final)
        except FileExistsError:
            self._stand_beside(final)
        else:
            self._final = final
            self._named = True

    def _stand_beside(self, final: Path) -> None:
        """Make a file durable that has the name already, and its folder one whose sync says something.

        The sync of that name may have failed, and the kernel may call a second one a success; a further name
        that comes and goes makes the folder differ from the disk again.
        """
        again = final.with_name(f"{final.name}.again")
        with contextlib.suppress(FileExistsError):
            os.link(self._path, again)
        again.unlink(missing_ok=True)
        descriptor = os.open(final, os.O_RDONLY)
        try:
            self._size = os.fstat(descriptor).st_size
            self._sync(descriptor)
        finally:
            os.close(descriptor)

    def _sync(self, descriptor: int) -> None:
        if self._durable:
            sync(descriptor)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
