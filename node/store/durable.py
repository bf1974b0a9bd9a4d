"""Bytes and names that survive power loss, in the order in which a disk must learn of them.

First the bytes (fsync of the file), then the name (fsync of its folder), and for a new folder its own name
too (fsync of its parent). An fsync that failed is never tried again on the same file: the kernel may have
dropped the pages and call the second one a success.
"""

import errno
import os
from pathlib import Path


def sync(descriptor: int) -> None:
    """Make what a descriptor stands for durable."""
    os.fsync(descriptor)


def sync_data(descriptor: int) -> None:
    """Make the bytes of a file durable, and its length, but not its times."""
    os.fdatasync(descriptor)


def write_synced(descriptor: int, data: bytes, *, at: int) -> None:
    """Write a few bytes that are durable on return.

    Raises
    ------
    OSError
        The disk would not take them, or not all of them.
    """
    if os.pwritev(descriptor, [data], at, os.RWF_DSYNC) != len(data):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def require_name(descriptor: int) -> None:
    """Check that a file can still be found.

    Raises
    ------
    FileNotFoundError
        Somebody removed it while it was open.
    """
    if not os.fstat(descriptor).st_nlink:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


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
