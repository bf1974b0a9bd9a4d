"""Files that were acknowledged and are in no record yet.

They are the only truth about what is still to be recorded: whoever was killed in between looks here.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from node.core.receipt import PREAMBLE_BYTES, Receipt
from node.core.study import Header
from node.errors import NotUnderstood, OutOfResources
from node.store.durable import told
from node.store.folders import DurableFolders
from node.store.incoming import IncomingFile, keep_together

LOOK_S = 0.01
"""Between two looks at whether files are recorded."""

RECORDING = "recording"
"""Is locked by the process that records."""

ASIDE = ".aside"
"""Ends the name of a file that no record could be made of."""


class PromisedFiles:
    """What all listeners of a node have promised.

    Parameters
    ----------
    root
        Folder of the files; a file's first name is relative to ``incoming`` in it.
    durable
        False skips every sync.
    """

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self.root = root
        self._incoming = root / "incoming"
        self._folder = str(self._incoming)
        self._folders = DurableFolders(root)
        self._durable = durable

    @contextlib.contextmanager
    def alone(self, ended: Callable[[], bool]) -> Iterator[bool]:
        """Be the only one who records while the block runs; False when it `ended` while another one was at it.

        A recorder whose listener was killed may still be finishing when the next one starts.
        """
        descriptor = os.open(self.root / RECORDING, os.O_RDWR | os.O_CREAT, 0o640)
        try:
            while not (alone := locked(descriptor)) and not ended():
                time.sleep(LOOK_S)
            yield alone
        finally:
            os.close(descriptor)  # which unlocks it, as the end of the process does

    def waiting(self, *, aside: bool = False) -> list[str]:
        """Return the names of all, oldest first; `aside`: with those that `set_aside` put away."""
        found = []
        for folder in _entries(self._incoming):
            for path in _entries(folder):
                if (path.name.endswith(ASIDE) and not aside) or receipt_of(path) is None:
                    continue
                with contextlib.suppress(FileNotFoundError):
                    found.append((path.stat().st_mtime_ns, f"{folder.name}/{path.name}"))
        return [name for _, name in sorted(found)]

    def counts(self) -> dict[str, int]:
        """Return how many wait for their records (WAITING), and of how many none can be made (ASIDE)."""
        names = self.waiting(aside=True)
        aside = sum(name.endswith(ASIDE) for name in names)
        return {"WAITING": len(names) - aside, "ASIDE": aside}

    def all_recorded(self, within_s: float) -> bool:
        """Wait until all that is promised by now is recorded; False when that takes longer."""
        names = self.waiting()
        deadline = time.monotonic() + within_s
        while names := [name for name in names if self.waits(name)]:
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_S)
        return True

    def since(self, name: str) -> float | None:
        """Return when a file was sealed or put away, in seconds since 1970; None when it is recorded by now."""
        try:
            return (self._incoming / name).stat().st_ctime
        except OSError:
            return None

    def waits(self, name: str) -> bool:
        """Whether one is still in no record."""
        return os.path.exists(f"{self._folder}/{name}")  # noqa: PTH110 - a Path costs more than the look

    def reopened(self, name: str) -> tuple[str, IncomingFile] | None:
        """Open one, with its association's identifier; None when it is recorded by now.

        Raises
        ------
        OutOfResources
            The disk did not give it back.
        NotUnderstood
            Its receipt does not fit it.
        """
        path = self._incoming / name
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OutOfResources(told(error)) from error
        file = IncomingFile(
            self.root, path, descriptor, self._folders, durable=self._durable, sealed=True
        )
        receipt = Receipt.decode(os.pread(descriptor, PREAMBLE_BYTES, 0))
        if receipt is None or receipt.size != file.size:
            file.close()
            raise NotUnderstood("the file is not what its receipt says")
        return receipt.association_id, file

    def keep(self, files: Sequence[tuple[IncomingFile, Header, str]]) -> list[str]:
        """Do what `IncomingFile.keep` does for several files, each with its header and its digest.

        Raises
        ------
        OutOfResources
            The disk would not take one of them.
        """
        return keep_together(self.root, self._folders, files, self._durable)

    def set_aside(self, name: str) -> None:
        """Put one away of which no record can be made; the ledger tells of it."""
        path = self._incoming / name
        with contextlib.suppress(OSError):
            path.rename(path.with_name(path.name.removesuffix(ASIDE) + ASIDE))


def receipt_of(path: Path) -> Receipt | None:
    """Read the receipt of a file; None when it has none, or is gone."""
    try:
        with path.open("rb") as file:
            return Receipt.decode(file.read(PREAMBLE_BYTES))
    except OSError:
        return None


def locked(descriptor: int) -> bool:
    """Lock an open file or folder until it is closed; False when another one has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
