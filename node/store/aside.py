"""Files on their way out: set aside while a transaction may still fail, removed when it did not.

::

    expired/<kind>!<subject>     a file whose record is about to go, or just went

A file leaves its place by a rename, before the transaction that removes its record ends. So nothing is at
that place any more when somebody sends the instance again, and what is put there then is not what is
removed here.
"""

from collections.abc import Iterator
from pathlib import Path

from node.store.durable import sync_folder
from node.store.folders import DurableFolders


def set_aside(root: Path, kind: str, subject: str) -> Path:
    """Return where the file of a record is while it is on its way out."""
    return root / "expired" / f"{kind}!{subject}"


class Aside:
    """The folder of files on their way out.

    Parameters
    ----------
    root
        Folder of the files; ``expired`` is made in it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / "expired"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folders = DurableFolders(root)

    def put(self, kind: str, subject: str, path: str) -> None:
        """Move a file aside.

        Raises
        ------
        FileNotFoundError
            It is not there.
        """
        (self._root / path).rename(set_aside(self._root, kind, subject))

    def sync(self, paths: set[str]) -> None:
        """Make durable that the files at `paths` are not there any more, and where they are."""
        for folder in {self._folder, *((self._root / path).parent for path in paths)}:
            sync_folder(folder)

    def put_back(self, kind: str, subject: str, path: str) -> None:
        """Give a file its place again, unless another one has taken it; durable on return."""
        aside, place = set_aside(self._root, kind, subject), self._root / path
        if not place.exists():

            def move() -> None:
                aside.rename(place)

            self._folders.fill(place.parent, move)
            sync_folder(place.parent)
        aside.unlink(missing_ok=True)

    def remove(self, kind: str, subject: str) -> None:
        """Remove a file for good; harmless when it was removed."""
        (set_aside(self._root, kind, subject)).unlink(missing_ok=True)

    def listed(self) -> Iterator[tuple[str, str]]:
        """Give kind and subject of every file that is aside."""
        for path in sorted(self._folder.iterdir()):
            kind, _, subject = path.name.partition("!")
            if subject:
                yield kind, subject
