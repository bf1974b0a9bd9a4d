"""One file that is being received: its bytes first, then its receipt, then its name, then nothing but its name.

Its first name, in ``incoming``, goes only when it is recorded. Until then it is found there.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from node.core.receipt import Receipt
from node.core.study import Header
from node.errors import OutOfResources
from node.store.durable import (
    require_name,
    sync,
    sync_data,
    sync_folder,
    told,
    write_synced,
)
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
    sealed
        It has a receipt already.
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
        sealed: bool = False,
    ) -> None:
        self._root = root
        self._path = path
        self._descriptor = descriptor
        self._folders = folders
        self._durable = durable
        self._named = named
        self._sealed = sealed
        self._final: Path | None = None
        self._size = os.fstat(descriptor).st_size

    @property
    def name(self) -> str:
        """Its first name, relative to ``incoming``."""
        return f"{self._path.parent.name}/{self._path.name}"

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

    def seal(self, association_id: str) -> None:
        """Make the file durable under its first name, with a receipt: from now on it is promised.

        Raises
        ------
        OutOfResources
            The disk would not take it; it is to be discarded.
        """
        receipt = Receipt(association_id=association_id, size=self._size).encode()
        try:
            if not self._durable:
                os.pwrite(self._descriptor, receipt, 0)
            else:
                sync_data(self._descriptor)
                sync_folder(self._path.parent)
                write_synced(self._descriptor, receipt, at=0)
            require_name(self._descriptor)
        except OSError as error:
            raise OutOfResources(told(error)) from error
        self._sealed = True

    def close(self) -> None:
        """Let go of it; whoever records it finds it by its name."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def keep(self, header: Header, digest: str) -> str:
        """Make the file durable under its final name; return the path relative to the store's root.

        Where a file of the same UID and content stands already, that one is made durable and stays.

        Raises
        ------
        OutOfResources
            The disk would not take it. Nothing of it is left, unless it has a receipt, or its name is what
            could not be made durable: somebody else may count on that name by now, so both names stay, and
            a start-up or the next association that brings the same goes on from there.
        """
        kept = keep_together(self._root, self._folders, [(self, header, digest)], self._durable)
        return kept[0]

    def settle(self) -> None:
        """Note that it is recorded: a start-up has nothing to do about it any more."""
        self.close()
        self._path.unlink(missing_ok=True)

    def withdraw(self) -> None:
        """Give up the final name: it is recorded that we have this instance elsewhere."""
        if self._final is not None:
            self._final.unlink(missing_ok=True)
        self.settle()

    def discard(self) -> None:
        """Remove what was written, unless it is promised or has its final name: then others look after it."""
        self.close()
        if not self._named and not self._sealed:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def make_durable(self) -> None:
        """Make the bytes durable: of a promised file they are, but for a receipt that was found half-way."""
        if self._durable:
            sync_data(self._descriptor) if self._sealed else sync(self._descriptor)

    def link(self, final: Path) -> None:
        """Give the file its final name, or see to the one that stands there."""
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
            if self._durable:
                sync(descriptor)
        finally:
            os.close(descriptor)


def keep_together(
    root: Path,
    folders: DurableFolders,
    files: Sequence[tuple[IncomingFile, Header, str]],
    durable: bool,
) -> list[str]:
    """Do what `IncomingFile.keep` does for several; each folder is synced once.

    Parameters
    ----------
    root, folders
        Of their store.
    files
        Each with its header and the digest of its data set.
    durable
        False skips every sync.

    Raises
    ------
    OutOfResources
        The disk would not take one of them.
    """
    inside: dict[Path, list[tuple[IncomingFile, str]]] = {}
    paths = []
    for file, header, digest in files:
        folder = Path("instances") / header.study_instance_uid / header.series_instance_uid
        name = f"{header.sop_instance_uid}.{digest[:16]}.dcm"
        inside.setdefault(folder, []).append((file, name))
        paths.append(str(folder / name))
    try:
        for folder, named in inside.items():
            folders.fill(root / folder, partial(_link_all, root / folder, named))
        if durable:
            for folder in inside:
                sync_folder(root / folder)
    except OSError as error:
        raise OutOfResources(told(error)) from error
    return paths


def _link_all(folder: Path, named: Sequence[tuple[IncomingFile, str]]) -> None:
    for file, name in named:
        file.make_durable()
        file.link(folder / name)
