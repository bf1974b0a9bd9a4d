"""Files under one root: received instances, results, and what must not be mixed with either.

::

    instances/<study>/<series>/<sop instance>.<digest>.dcm   as received
    results/<claim>/<name>                                   as created; ``.part`` while half-written
    incoming/                                                half-received; emptied at start-up

The digest in the name keeps two contents under one UID apart, whoever comes first.
"""

import os
import shutil
import uuid
from pathlib import Path

from node.core.study import Header
from node.errors import OutOfResources

REMEMBERED_FOLDERS = 10_000


class FileStore:
    """Durable files: what is returned from here survives power loss.

    Parameters
    ----------
    root
        An existing folder on a local file system.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._incoming = root / "incoming"
        self._durable: set[Path] = set()
        for name in ("instances", "results", "incoming"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def clear_incoming(self) -> None:
        """Remove files that were never acknowledged; only while no listener runs."""
        for path in self._incoming.iterdir():
            path.unlink(missing_ok=True)

    def keep(self, header: Header, data: bytes, digest: str) -> str:
        """Make `data` durable under its final name; return the path relative to `root`.

        Raises
        ------
        OutOfResources
            The disk would not take it.
        """
        final = (
            Path("instances")
            / header.study_instance_uid
            / header.series_instance_uid
            / f"{header.sop_instance_uid}.{digest[:16]}.dcm"
        )
        return self._write(final, data, self._incoming / uuid.uuid4().hex)

    def keep_result(self, folder: str, name: str, data: bytes) -> str:
        """Make one result file durable; return the path relative to `root`.

        Raises
        ------
        OutOfResources
            The disk would not take it.
        """
        # not in the folder that a listener empties when it starts
        path = Path(self.result_path(folder, name))
        return self._write(path, data, self.root / path.with_name(f"{name}.part"))

    def result_path(self, folder: str, name: str) -> str:
        """Return where `keep_result` keeps a file, relative to `root`."""
        return str(Path("results") / folder / name)

    def discard_results(self, folder: str) -> None:
        """Remove what `keep_result` wrote there: the claim was lost."""
        shutil.rmtree(self.root / "results" / folder, ignore_errors=True)

    def _write(self, path: Path, data: bytes, temporary: Path) -> str:
        final = self.root / path
        try:
            self._make_folder(final.parent)
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(final)
            _sync_folder(final.parent)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise OutOfResources(f"disk: {error.strerror}") from error
        return str(path)

    def _make_folder(self, folder: Path) -> None:
        """Make a folder whose name is durable: that needs its parent to be synced.

        A folder that is there may be so new that whoever made it has not synced its parent yet, so each
        process does that once itself.
        """
        if folder in self._durable and folder.is_dir():
            return
        if folder != self.root:
            self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)
        if len(self._durable) >= REMEMBERED_FOLDERS:
            self._durable.clear()
        self._durable.add(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
