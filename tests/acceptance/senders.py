"""Senders that behave like a modality: what was not answered is sent again, what was answered is remembered."""

import hashlib
import itertools
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from tests.acceptance.wire import MR_IMAGE, SUCCESS, Association, Image, Refused, minimal

PAUSE_S = 0.05


class Senders:
    """Threads that send small distinct images until the block is left.

    Parameters
    ----------
    port
        Of the listener.
    associations
        How many at one time, each an endless series of its own.
    image_bytes
        Of Pixel Data; no two images have the same.
    """

    def __init__(self, port: int, *, associations: int, image_bytes: int) -> None:
        self._port = port
        self._image_bytes = image_bytes
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._send, args=(number,), daemon=True)
            for number in range(associations)
        ]
        self.acknowledged: dict[str, str] = {}
        """SHA-256 of the data set of each image that was answered Success, by SOP Instance UID."""
        self.refused: list[int] = []
        """Every status that was not Success."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(timeout=60)
        assert not any(thread.is_alive() for thread in self._threads), "a sender hangs"

    def count(self) -> int:
        """Return how many images were answered Success so far."""
        with self._lock:
            return len(self.acknowledged)

    def _send(self, series: int) -> None:
        images = self._images(series)
        image = next(images)
        while not self._ended.is_set():
            try:
                with Association(self._port, timeout_s=30) as association:
                    for message_id in range(1, 65536):
                        if self._ended.is_set():
                            break
                        if self._note(image, association.store(image, message_id)):
                            image = next(images)
            except Refused:
                time.sleep(PAUSE_S)

    def _note(self, image: Image, status: int) -> bool:
        with self._lock:
            if status == SUCCESS:
                digest = hashlib.sha256(image.data_set).hexdigest()
                self.acknowledged[image.sop_instance_uid] = digest
            else:
                self.refused.append(status)
        return status == SUCCESS

    def _images(self, series: int) -> Iterator[Image]:
        for number in itertools.count(series * 10**9):
            seed = number.to_bytes(8, "little")
            pixels = (seed * (self._image_bytes // 8 + 1))[: self._image_bytes]
            # the series is reopened with every image; a hundred each, so that folders are new as well
            yield minimal(MR_IMAGE, number, pixels, series=series * 10**6 + number % 10**9 // 100)
