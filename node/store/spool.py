"""The listener's end of what it promises: sealed files, and the wait until they are recorded.

A promise is kept when the first name of its file is gone. The end of an association is noted when every
promise of it is kept, so that whoever reads the records never sees an end before the images.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from node.core.study import Arrival, Promise
from node.errors import OutOfResources
from node.store.files import FileStore
from node.store.incoming import IncomingFile
from node.store.promises import PromisedFiles
from node.telemetry import log_failure

MOST = 512
"""Promises of one listener that wait for their records; who brings more waits with them."""

PATIENCE_S = 30.0
"""So long nothing at all may be recorded before instances are refused."""

TRY_S = 1.0
"""Even then one is taken so often: without it nobody would see that records are written again."""

DRAIN_S = 10.0
"""So long the ends of associations may wait for their records when the listener stops."""

WAIT_S = 0.01
"""Between two looks at whether a promise is kept."""

STUCK_S = 1.0
"""After so long without a kept promise at the head, those behind it are looked at too."""

Tell = Callable[[Promise], object]
Ended = Callable[[str, bool], None]


class Spool:
    """What a listener has promised.

    Parameters
    ----------
    files
        Where it keeps what arrives.
    tell
        Tells the recorder; it may fail to.
    ended
        Notes how an association ended.
    """

    def __init__(self, files: FileStore, tell: Tell, ended: Ended) -> None:
        self._files = files
        self._promises = PromisedFiles(files.root)
        self._tell = tell
        self._ended = ended
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, str]] = deque()
        self._kept_at = self._tried_at = time.monotonic()
        self._of: Counter[str] = Counter()
        self._ends: deque[tuple[str, bool]] = deque()
        self._changed = threading.Condition(self._lock)
        self._stopping: float | None = None
        self._thread = threading.Thread(target=self._follow, name="spool", daemon=True)
        self._thread.start()

    def incoming(self, association_id: str) -> IncomingFile:
        """Open a file for an instance; wait while too many are not recorded.

        Raises
        ------
        OutOfResources
            Nothing is recorded any more, or the disk would not take it.
        """
        while not self._has_room():
            time.sleep(WAIT_S)
        return self._files.incoming(association_id)

    def promise(self, arrival: Arrival) -> None:
        """Make an instance durable with its receipt; it is recorded soon.

        Raises
        ------
        OutOfResources
            The disk would not take it.
        """
        file = arrival.file
        file.seal(arrival.association_id)
        promise = Promise(
            name=file.name,
            header=arrival.header,
            association_id=arrival.association_id,
            peer=arrival.peer,
        )
        file.close()
        with self._lock:
            if not self._waiting:
                self._kept_at = time.monotonic()
            self._waiting.append((promise.name, arrival.association_id))
            self._of[arrival.association_id] += 1
        self._tell(promise)

    def ended(self, association_id: str, released: bool) -> None:
        """Note how an association ended, once all that it brought is recorded."""
        with self._changed:
            self._ends.append((association_id, released))
            self._changed.notify()

    def close(self) -> None:
        """Note the ends that can be noted by now, or soon."""
        with self._changed:
            self._stopping = time.monotonic() + DRAIN_S
            self._changed.notify()
        self._thread.join()

    def _has_room(self) -> bool:
        with self._lock:
            self._forget_kept()
            room, now = len(self._waiting) < MOST, time.monotonic()
            if not self._waiting or now - self._kept_at <= PATIENCE_S:
                return room
            if not room or now - self._tried_at < TRY_S:
                raise OutOfResources("nothing that arrives is recorded: see what the recorder logs")
            self._tried_at = now
            return True

    def _forget_kept(self) -> None:
        """Take kept promises from the head; they are kept about in the order in which they were made."""
        kept = []
        while self._waiting and not self._promises.waits(self._waiting[0][0]):
            kept.append(self._waiting.popleft())
        if self._waiting and not kept and time.monotonic() - self._kept_at > STUCK_S:
            # one that cannot be recorded now must not hide the others
            kept = [one for one in self._waiting if not self._promises.waits(one[0])]
            self._waiting = deque(one for one in self._waiting if one not in kept)
        if kept:
            self._kept_at = time.monotonic()
        self._of -= Counter(association_id for _, association_id in kept)

    def _follow(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ends or self._stopping is not None)
                late = self._stopping is not None and time.monotonic() > self._stopping
                if late or not self._ends:
                    return
                self._forget_kept()
                due = [one for one in self._ends if one[0] not in self._of]
                self._ends = deque(one for one in self._ends if one not in due)
            for association_id, released in due:
                self._note(association_id, released)
            if not due:
                time.sleep(WAIT_S)

    def _note(self, association_id: str, released: bool) -> None:
        try:
            self._ended(association_id, released)
        except Exception as error:
            # the outermost frame of this thread; the series then waits for its long quiet time
            log_failure("association end not recorded", error, association_id=association_id)
