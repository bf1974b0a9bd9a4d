"""Folders whose names survive power loss, and empty ones that go.

A process remembers the folders that it made durable, so that an instance costs no sync of those above its
own. Retention takes empty folders away, and another process may make one of them anew without having synced
its name yet: the memory would then be wrong. So removals are counted, in the size of a file that is odd
while one of them runs, and whoever finds the count changed syncs the names above once more.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from node.store.durable import sync_folder

REMEMBERED_FOLDERS = 10_000
REMOVALS = "removals"
TRIES = 10
"""How often a folder is made again that is taken away, empty, before something is put into it."""


class DurableFolders:
    """Makes folders whose names are durable.

    Parameters
    ----------
    root
        An existing folder; everything is made under it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: tuple[int, set[Path]] = (0, set())
        self._doubtful: set[Path] = set()

    def fill(self, folder: Path, put: Callable[[], None]) -> None:
        """Make a folder and let `put` give it a file; the names of the folder and of those above are durable.

        The name of the file itself is for the caller to sync. `put` may run twice: a folder that is empty may
        be taken away before it, and one that has a file never is.

        Raises
        ------
        OSError
            The disk would not take it.
        """
        before = _removals(self._root)
        for _ in range(TRIES - 1):
            with contextlib.suppress(FileNotFoundError):
                self._filled(folder, put, before)
                break
        else:
            self._filled(folder, put, before)
        if before % 2 or _removals(self._root) != before:
            # what stands there now may be another process's, which has not synced it yet
            for above in (folder, *folder.parents):
                if above == self._root:
                    break
                self._sync_names(above.parent)

    def _filled(self, folder: Path, put: Callable[[], None], removals: int) -> None:
        self._make(folder, self._remembered(removals))
        put()

    def _make(self, folder: Path, known: set[Path]) -> None:
        """Make a folder, and those above it.

        A folder that is there may be so new that whoever made it has not synced its parent yet, so each
        process does that once itself.
        """
        if folder in known and folder.is_dir():
            return
        if folder != self._root:
            self._make(folder.parent, known)
        folder.mkdir(exist_ok=True)
        self._sync_names(folder.parent)
        known.add(folder)

    def _sync_names(self, folder: Path) -> None:
        if folder in self._doubtful:
            # the kernel may call a second sync of the same names a success: one that comes and goes makes
            # the folder differ from the disk again
            marker = folder / ".again"
            marker.mkdir(exist_ok=True)
            marker.rmdir()
        try:
            sync_folder(folder)
        except OSError:
            self._doubtful.add(folder)
            raise
        self._doubtful.discard(folder)

    def _remembered(self, removals: int) -> set[Path]:
        counted, known = self._known
        if counted != removals or len(known) >= REMEMBERED_FOLDERS:
            known = set()
            self._known = (removals, known)
        return known


class EmptyFolders:
    """Takes away the folders in which nothing is left.

    Parameters
    ----------
    root
        Folder of the files.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def remove(self) -> int:
        """Remove every empty folder of a study, a series or a claim; return how many.

        Raises
        ------
        OSError
            The disk does not let them go.
        """
        with self._counted():
            return sum(_removed(folder) for folder in self._folders())

    def recover(self) -> None:
        """End the count of a removal that was killed: while it is odd, every instance costs three more syncs.

        Raises
        ------
        OSError
            The disk would not take it.
        """
        if _removals(self._root) % 2:
            with self._counted():
                return

    def _folders(self) -> Iterator[Path]:
        for study in _within(self._root / "instances"):
            yield from _within(study)
            yield study
        yield from _within(self._root / "results")

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        descriptor = os.open(self._root / REMOVALS, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # one at a time; who is killed lets go
            if os.fstat(descriptor).st_size % 2 == 0:
                os.write(descriptor, b".")
            yield
            os.write(descriptor, b".")
        finally:
            os.close(descriptor)


def _removals(root: Path) -> int:
    try:
        return (root / REMOVALS).stat().st_size
    except FileNotFoundError:
        return 0


def _within(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as listing:
        for entry in listing:
            if entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:  # something is in it, or it is gone
        return False
    return True
