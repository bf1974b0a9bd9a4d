"""What the disk alone allows: the syncs of one acknowledgement after the other, without a network or a parser.

No receiver that answers one association's images one by one, each durable and on record, can be faster.
"""

import os
import sqlite3
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

IMAGE_BYTES = 512 * 1024


def floor(folder: Path, images: int, runs: int) -> Sequence[float]:
    """Measure the images a second of several runs: bytes, their name, a line in the database, each synced."""
    speeds = []
    for run in range(runs):
        place = folder / f"floor-{run}"
        speeds.append(_once(place, images))
    print(f"\nthe syncs alone: {statistics.median(speeds):.0f} images/s", end="")
    print(f" ({min(speeds):.0f} to {max(speeds):.0f})", flush=True)
    return speeds


def _once(place: Path, images: int) -> float:
    incoming, final = place / "incoming", place / "final"
    incoming.mkdir(parents=True)
    final.mkdir()
    database = sqlite3.connect(place / "lines.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE line (path TEXT)")
    pixels = os.urandom(IMAGE_BYTES)
    names = os.open(final, os.O_RDONLY | os.O_DIRECTORY)
    began = time.perf_counter()
    for number in range(images):
        path = incoming / str(number)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
        os.write(descriptor, pixels)
        os.fsync(descriptor)
        os.link(path, final / str(number))
        os.fsync(names)
        database.execute("INSERT INTO line VALUES (?)", (str(number),))
        os.close(descriptor)
        path.unlink()
    seconds = time.perf_counter() - began
    os.close(names)
    database.close()
    return images / seconds
