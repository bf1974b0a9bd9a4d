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

DRAIN_S = 10.0
"""So long the ends of associations may wait for their records when the listener stops."""

WAIT_S = 0.01
"""Between two looks at whether a promise is kept."""

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
        self._kept_at = time.monotonic()
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
            if not self._waiting:
                return True
            if time.monotonic() - self._kept_at > PATIENCE_S:
                raise OutOfResources("nothing that arrives is recorded: see what the recorder logs")
            return len(self._waiting) < MOST

    def _forget_kept(self) -> None:
        """Take kept promises from the head; they are kept about in the order in which they were made."""
        while self._waiting and not self._promises.waits(self._waiting[0][0]):
            _, association_id = self._waiting.popleft()
            self._kept_at = time.monotonic()
            self._of[association_id] -= 1
            if not self._of[association_id]:
                del self._of[association_id]

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
