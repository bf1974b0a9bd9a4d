"""The listener's memory: over many images, and with one object that is larger than it may hold."""

from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.acceptance.site import Plan, Site, peer_source, running_site
from tests.acceptance.wire import (
    MR_IMAGE,
    MULTI_FRAME_BYTE,
    SUCCESS,
    Association,
    echo_within,
    minimal,
    pixel_element,
)

GROWTH_MB = 60.0
WARM_IMAGES = 200
FRAME = 2048
"""Rows and columns of a byte each: 4 MiB a frame."""


def memory(folder: Path, images: int, large_mb: int) -> tuple[dict[str, float], list[str]]:
    """Measure the growth of all processes of a listener together, in MB; tell what is too much.

    Raises
    ------
    RuntimeError
        An image was not answered Success.
    """
    with running_site(folder / "memory", Plan(peers=[peer_source(results_to=[])])) as site:
        process = site.start("listener")
        site.wait(lambda: echo_within(site.port, 5), "an echo")
        _many(site, 0, WARM_IMAGES)
        site.wait_recorded(WARM_IMAGES)
        warm = resident_mb(process.pid)
        _many(site, WARM_IMAGES, images)
        site.wait_recorded(WARM_IMAGES + images)
        many = resident_mb(process.pid) - warm
        before = peak_mb(process.pid)
        _large(site, large_mb)
        site.wait_recorded(WARM_IMAGES + images + 1)
        large = peak_mb(process.pid) - before
    growth = {"images": round(many, 1), "large object": round(large, 1)}
    print(
        f"\nmemory: {many:+.1f} MB over {images} images, {large:+.1f} MB with {large_mb} MiB at once"
    )
    faults = [f"memory, {what}: +{mb} MB" for what, mb in growth.items() if mb > GROWTH_MB]
    return growth, faults


def family(pid: int) -> list[psutil.Process]:
    """Return a process and everything it started."""
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def resident_mb(pid: int) -> float:
    """Return what a process and its children hold of their own now, in MB (shared pages count once)."""
    return sum(one.memory_full_info().pss for one in family(pid)) / 1e6


def peak_mb(pid: int) -> float:
    """Return the sum of the most that each of them ever held, in MB."""
    peaks = [Path(f"/proc/{one.pid}/status").read_text(encoding="utf-8") for one in family(pid)]
    lines = [line for text in peaks for line in text.splitlines() if line.startswith("VmHWM:")]
    return sum(int(line.split()[1]) * 1024 for line in lines) / 1e6


def _many(site: Site, first: int, count: int) -> None:
    pixels = bytes(128 * 1024)
    with Association(site.port) as association:
        for number in range(first, first + count):
            image = minimal(MR_IMAGE, number, pixels)
            if association.store(image, number % 65535 + 1) != SUCCESS:
                raise RuntimeError(f"image {number} was refused: {site.folder}")


def _large(site: Site, size_mb: int) -> None:
    frames = max(1, size_mb // 4)
    head = minimal(MULTI_FRAME_BYTE, 10**12)
    length = frames * FRAME * FRAME - 2  # the longest that 2 GiB of frames may be: below 2^31
    with Association(site.port, timeout_s=300) as association:
        fragments = _fragments(head.data_set + pixel_element(length), length, association.pdu_bytes)
        if association.stream(head, 1, fragments) != SUCCESS:
            raise RuntimeError(f"the object of {size_mb} MiB was refused: {site.folder}")


def _fragments(head: bytes, length: int, pdu_bytes: int) -> Iterator[bytes]:
    yield head
    chunk = bytes(pdu_bytes - 6)
    for start in range(0, length, len(chunk)):
        yield chunk[: length - start]
