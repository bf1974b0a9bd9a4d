"""The frames of enhanced objects, read once for each set of instances and not ten times a second."""

from collections.abc import Callable, Collection, Sequence

from node.core.frames import Frame, Inside, look_inside
from node.core.ports import Intake
from node.core.study import StoredSeries
from node.errors import NodeError
from node.telemetry import log_failure


class FrameLook:
    """Looks at the frames of enhanced objects, once for each set of instances.

    Parameters
    ----------
    intake
        Knows where an instance lies.
    frames_of
        Reads the frames of one object, by its path in the store.
    """

    def __init__(self, intake: Intake, frames_of: Callable[[str], Sequence[Frame]]) -> None:
        self._intake = intake
        self._frames_of = frames_of
        self._seen: dict[str, tuple[tuple[tuple[str, str], ...], Inside]] = {}

    def inside(self, series: StoredSeries) -> Inside:
        """Examine the frames of all instances of a series; one that cannot be read vetoes nothing."""
        uid = series.series_instance_uid
        if uid not in self._seen or self._seen[uid][0] != series.instances:
            self._seen[uid] = (series.instances, self._look(series))
        return self._seen[uid][1]

    def forget_others(self, series_instance_uids: Collection[str]) -> None:
        """Forget every series that is not among these."""
        self._seen = {uid: seen for uid, seen in self._seen.items() if uid in series_instance_uids}

    def _look(self, series: StoredSeries) -> Inside:
        frames: list[Frame] = []
        for sop_instance_uid, _ in series.instances:
            try:
                path, _ = self._intake.kept(sop_instance_uid)
                frames += self._frames_of(path)
            except NodeError as error:
                log_failure("frames not read", error, sop_instance_uid=sop_instance_uid)
                return Inside(remark="functional groups not readable; frames not looked at")
        return look_inside(frames)
