"""One study's trouble is no other's: a bug that a study meets must not stop the studies behind it."""

from collections.abc import Callable
from typing import Any

from node.clock import Clock
from node.errors import NodeError
from node.telemetry import log_failure

PAUSE_S = 60.0
"""How long a piece of work that failed by a bug is left alone, so that its failure is not told every round."""


class Apart:
    """Does pieces of work one after the other, each as if it were alone.

    Parameters
    ----------
    clock
        Says when a piece of work that failed is tried again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._again_at: dict[str, float] = {}

    def run(self, key: str, work: Callable[[], object], **fields: Any) -> None:
        """Do one piece of work, unless it failed a moment ago.

        Parameters
        ----------
        key
            Names the work.
        fields
            Of the log record, when it fails.

        Raises
        ------
        NodeError
            What the node raises on purpose is for the caller.
        """
        if self._clock.now() < self._again_at.get(key, 0.0):
            return
        try:
            work()
        except NodeError:
            raise
        except Exception as error:
            # the outermost frame of one study's step: whatever it is, the next study is worked on
            self._again_at[key] = self._clock.now() + PAUSE_S
            log_failure("set aside for a while", error, **fields)
        else:
            self._again_at.pop(key, None)
