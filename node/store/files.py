"""Files under one root: received instances, results, and what must not be mixed with either.

::

    instances/<study>/<series>/<sop instance>.<digest>.dcm   as received
    results/<claim>/<name>                                   as created; ``.part`` while half-written
    incoming/<listener>/<association>.<number>               half-received, or not recorded yet
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
from pathlib import Path

from node.errors import OutOfResources
from node.store.durable import sync, sync_folder, told
from node.store.folders import DurableFolders
from node.store.incoming import IncomingFile
from node.store.promises import receipt_of


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
        self._incoming = root / "incoming" / listener
        self._durable = durable
        self._folders = DurableFolders(root)
        for name in ("instances", "results"):
            (root / name).mkdir(parents=True, exist_ok=True)
        self._incoming.mkdir(parents=True, exist_ok=True)

    def begin(self) -> None:
        """Make the folder durable in which promised files have their first names.

        Raises
        ------
        OSError
            The disk would not take it.
        """
        if self._durable:
            for folder in (self._incoming, self.root / "incoming", self.root):
                sync_folder(folder.parent)

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
        """Return what an earlier life of this listener gave its name and may not have recorded.

        What has neither a receipt nor its final name was never acknowledged, and is removed. What has a
        receipt is the recorder's. Of each other file the association that brought it is told.
        """
        for path in sorted(self._incoming.iterdir()):
            if receipt_of(path) is not None:
                continue
            if path.stat().st_nlink < 2:
                path.unlink()
            else:
                descriptor = os.open(path, os.O_RDWR)
                file = IncomingFile(self.root, path, descriptor, self._folders, named=True)
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
