"""Files under one root: received instances, results, and what must not be mixed with either.

::

    instances/<study>/<series>/<sop instance>.<digest>.dcm   as received
    results/<claim>/<name>                                   as created; ``.part`` while half-written
    incoming/<listener>/<association>.<number>               half-received, or not recorded yet; the folder
                                                             is locked by the process that receives there
    recording                                                locked by the one who records
    removals                                                 its size counts removals of empty folders

The digest in the name keeps two contents under one UID apart, whoever comes first. A received file gets
its final name by a link and keeps its first one until it is recorded, so that ``incoming`` alone tells
what is promised (by a receipt in the file, `node.core.receipt`) or named, and in no record yet.
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from node.core.receipt import PREAMBLE_BYTES, Receipt
from node.errors import OutOfResources
from node.store.durable import sync, sync_folder, told
from node.store.folders import DurableFolders
from node.store.incoming import IncomingFile
from node.store.promises import ASIDE, locked


class FileStore:
    """Durable files: what is returned from here survives power loss.

    Parameters
    ----------
    root
        An existing folder on a local file system.
    listener
        Names the process that receives: its half-received files are its own.
    durable
        False skips every sync of received files: they are then lost with the power.
    """

    def __init__(self, root: Path, *, listener: str = "0", durable: bool = True) -> None:
        self.root = root
        self._listener = listener
        self._incoming = root / "incoming" / listener
        self._lock: int | None = None
        self._durable = durable
        self._folders = DurableFolders(root)
        for name in ("instances", "results"):
            (root / name).mkdir(parents=True, exist_ok=True)
        self._incoming.mkdir(parents=True, exist_ok=True)

    def begin(self) -> None:
        """Take a folder for what arrives, which is this process's until `end`, and make its name durable.

        A listener that lost its parent may still be finishing its associations while the next one starts: its
        folder is not touched, and another one is taken.

        Raises
        ------
        OSError
            The disk would not take it.
        """
        for number in count():
            name = f"{self._listener}.{number}" if number else self._listener
            self._incoming = self.root / "incoming" / name
            self._incoming.mkdir(exist_ok=True)
            self._lock = _lock_of(self._incoming)
            if self._lock is not None:
                break
        if self._durable:
            for folder in (self._incoming, self.root / "incoming", self.root):
                sync_folder(folder.parent)

    def end(self) -> None:
        """Leave the folder to the next one."""
        if self._lock is not None:
            os.close(self._lock)  # which unlocks it, as the end of the process does
            self._lock = None

    def incoming(self, association_id: str) -> IncomingFile:
        """Open a file for an instance that begins to arrive.

        Raises
        ------
        OutOfResources
            The disk would not take it.
        """
        path = self._incoming / f"{association_id}.{uuid.uuid4().hex}"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
        except OSError as error:
            raise OutOfResources(told(error)) from error
        return IncomingFile(self.root, path, descriptor, self._folders, durable=self._durable)

    def left_over(self) -> Iterator[tuple[str, IncomingFile]]:
        """Return what earlier lives of this listener gave its name and may not have recorded.

        What has neither a receipt nor its final name was never acknowledged, and is removed. What has a
        receipt is the recorder's. Of each other file the association that brought it is told.
        """
        yield from self._left_in(self._incoming)
        for folder in sorted((self.root / "incoming").glob(f"{self._listener}*")):
            lives = folder.name == self._listener or folder.name.startswith(f"{self._listener}.")
            lock = _lock_of(folder) if lives and folder != self._incoming else None
            if lock is not None:
                yield from self._left_in(folder)
                os.close(lock)

    def _left_in(self, folder: Path) -> Iterator[tuple[str, IncomingFile]]:
        for path in sorted(folder.iterdir()):
            try:
                descriptor = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                continue  # it is recorded by now
            file = IncomingFile(self.root, path, descriptor, self._folders, named=True)
            if Receipt.decode(os.pread(descriptor, PREAMBLE_BYTES, 0)) is not None:
                file.close()
            elif path.name.endswith(ASIDE):
                file.close()  # it was promised once, and is for somebody to look at
            elif os.fstat(descriptor).st_nlink < 2:
                file.settle()
            else:
                yield path.name.partition(".")[0], file

    def keep_result(self, folder: str, name: str, data: bytes) -> str:
        """Make one result file durable; return the path relative to `root`.

        Raises
        ------
        OutOfResources
            The disk would not take it.
        """
        path = self.result_path(folder, name)
        final = self.root / path
        temporary = final.with_name(f"{name}.part")

        def write() -> None:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                sync(file.fileno())

        try:
            self._folders.fill(final.parent, write)
            temporary.replace(final)
            sync_folder(final.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise OutOfResources(told(error)) from error
        return path

    def result_path(self, folder: str, name: str) -> str:
        """Return where `keep_result` keeps a file, relative to `root`."""
        return str(Path("results") / folder / name)

    def discard_results(self, folder: str) -> None:
        """Remove what `keep_result` wrote there: the claim was lost."""
        shutil.rmtree(self.root / "results" / folder, ignore_errors=True)


def _lock_of(folder: Path) -> int | None:
    """Lock a folder for this process; return what is to be closed, None when another one has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    if locked(descriptor):
        return descriptor
    os.close(descriptor)
    return None
