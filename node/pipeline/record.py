"""Step 3, as the listener has it done: what it answered with Success gets its name and its records.

The files themselves say what is to be done. What a listener tells of one spares reading its head again, and
the wait until somebody looks; that it may be lost on its way costs no more than that.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO

from node.core.ports import Intake, Promises
from node.core.study import Arrival, Header, Promise
from node.errors import NotUnderstood, OutOfResources
from node.pipeline.receive import Compare, receive_all
from node.telemetry import log, log_failure

MOST = 64
"""Instances of one transaction."""


class Recorder:
    """Records what is promised.

    Parameters
    ----------
    promises
        The files.
    intake
        The records.
    read_header
        Reads the head of a file of which nobody told.
    compare
        Compares an instance with what is on record under its UID.
    """

    def __init__(
        self,
        promises: Promises,
        intake: Intake,
        read_header: Callable[[BinaryIO], Header],
        compare: Compare,
    ) -> None:
        self._promises = promises
        self._intake = intake
        self._read_header = read_header
        self._compare = compare

    def begin(self) -> int:
        """Record what an earlier life left, even what could not be recorded then; return how many."""
        count = self._record(self._promises.waiting(aside=True), {})
        log("recorder starts", instances=count)
        return count

    def look(self, told: Iterable[Promise] = ()) -> int:
        """Record all that is there, and what listeners told of it; return how many."""
        by_name = {promise.name: promise for promise in told}
        return self._record(list({**dict.fromkeys(self._promises.waiting()), **by_name}), by_name)

    def record(self, told: Iterable[Promise]) -> int:
        """Record what listeners told of; return how many.

        What fails stays where it is, and is found when somebody looks.
        """
        by_name = {promise.name: promise for promise in told}
        return self._record(list(by_name), by_name)

    def _record(self, names: list[str], told: Mapping[str, Promise]) -> int:
        count = 0
        for start in range(0, len(names), MOST):
            part = names[start : start + MOST]
            try:
                done = self._try(part, told)
            except Exception as error:
                # one of them must not stand in the way of the others: each is tried for itself
                log_failure("instances not recorded", error, count=len(part))
                done = self._each(part, told)
            count += done
            if not done:
                return count  # whatever it is, it is as bad for the rest
        return count

    def _each(self, names: Iterable[str], told: Mapping[str, Promise]) -> int:
        count = refused = 0
        for name in names:
            try:
                count += self._try([name], told)
            except OutOfResources as error:
                log_failure("instance not recorded", error, instance=name)
                refused += 1
                if refused > 1 and not count:
                    return 0
            except Exception as error:
                # what cannot be read, or a bug of ours, is so again the next time
                log_failure("instance set aside", error, instance=name)
                self._promises.set_aside(name)
        return count

    def _try(self, names: Iterable[str], told: Mapping[str, Promise]) -> int:
        """Record all of these or raise; those that are gone count too."""
        arrivals: list[Arrival] = []
        gone = 0
        try:
            for name in names:
                arrival = self._arrival(name, told.get(name))
                if arrival is None:
                    gone += 1
                else:
                    arrivals.append(arrival)
            if arrivals:
                receive_all(arrivals, self._intake, self._compare, self._promises.keep)
        finally:
            for arrival in arrivals:
                arrival.file.discard()
        return len(arrivals) + gone

    def _arrival(self, name: str, told: Promise | None) -> Arrival | None:
        found = self._promises.reopened(name)
        if found is None:
            return None
        association_id, file = found
        try:
            if told is not None:
                header, peer = told.header, told.peer
            else:
                with file.reading() as source:
                    header = self._read_header(source)
                peer = self._intake.peer_of(association_id)
        except (NotUnderstood, OutOfResources):
            file.discard()
            raise
        return Arrival(header=header, file=file, association_id=association_id, peer=peer)
