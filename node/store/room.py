"""How much room a disk has left, by bytes and by inodes, with hysteresis."""

import os
import threading
from pathlib import Path
from time import monotonic

from node.errors import OutOfResources
from node.telemetry import log

LOOK_S = 0.5
"""How often the disk is asked."""


class DiskRoom:
    """Watches the disk of the store.

    Parameters
    ----------
    root
        A folder on it.
    high, low
        Share in use at which associations are refused, and at which they are admitted again.
    full
        Share in use at which instances are refused.
    """

    def __init__(self, root: Path, *, high: float, low: float, full: float) -> None:
        self._root = root
        self._high, self._low, self._full = high, low, full
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._used = 0.0
        self._refusing = False

    def nearly_full(self) -> bool:
        """Whether new associations are to be refused for now."""
        with self._lock:
            used = self._in_use()
            refusing = used >= (self._low if self._refusing else self._high)
            if refusing != self._refusing:
                self._refusing = refusing
                log("disk nearly full" if refusing else "disk has room again")
            return refusing

    def require(self) -> None:
        """Refuse an instance when the disk is full.

        Raises
        ------
        OutOfResources
            It is; the sender keeps the instance and tries again.
        """
        with self._lock:
            if self._in_use() >= self._full:
                raise OutOfResources("disk: the watermark is reached")

    def _in_use(self) -> float:
        """Return the larger share of bytes and inodes that are taken; a disk that does not answer is full."""
        now = monotonic()
        if now - self._looked >= LOOK_S:
            self._looked = now
            try:
                disk = os.statvfs(self._root)
            except OSError:
                self._used = 1.0
            else:
                octets = 1 - disk.f_bavail / disk.f_blocks if disk.f_blocks else 0.0
                inodes = 1 - disk.f_favail / disk.f_files if disk.f_files else 0.0
                self._used = max(octets, inodes)
        return self._used
