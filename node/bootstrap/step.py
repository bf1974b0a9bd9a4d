"""What a worker does when its bell rings."""

from collections.abc import Callable

from node.core.ports import Hold

Step = Callable[[Hold], bool]
"""Does one owed piece of work; False when nothing was owed."""

LaneStep = Callable[[str | None, Hold], bool]
"""Does one owed piece of work of a destination; False when nothing was owed, or may be done now.

None stands for the destinations that are not configured.
"""
