"""Step 4: close the series that a witness calls complete."""

from collections.abc import Callable
from functools import partial

from node.clock import Clock
from node.core.completeness import QuietTimes, decide, is_enhanced
from node.core.ports import Intake
from node.core.study import StoredSeries
from node.pipeline.apart import Apart
from node.pipeline.frames import FrameLook
from node.telemetry import log


def assemble(
    intake: Intake,
    quiet_of: Callable[[str], QuietTimes],
    clock: Clock,
    apart: Apart,
    frames: FrameLook,
) -> None:
    """Close every series whose waiting is over.

    Parameters
    ----------
    quiet_of
        The quiet times of a peer, by its name.
    apart
        Keeps a series that meets a bug from stopping the others.
    frames
        Looks at the frames of enhanced objects.

    Raises
    ------
    OutOfResources
        The records could not be read or written; the next round tries again.
    """
    open_series = intake.open_series()
    frames.forget_others({series.series_instance_uid for series in open_series})
    for series in open_series:
        uid = series.series_instance_uid
        work = partial(_close, series, intake, quiet_of, clock, frames)
        apart.run(f"assemble {uid}", work, series_instance_uid=uid)


def _close(
    series: StoredSeries,
    intake: Intake,
    quiet_of: Callable[[str], QuietTimes],
    clock: Clock,
    frames: FrameLook,
) -> None:
    look = partial(frames.inside, series) if is_enhanced(series) else None
    evidence = decide(series, quiet_of(series.peer), clock.now(), look)
    if evidence is not None and intake.close_series(series, evidence):
        log(
            "series closed",
            series_instance_uid=series.series_instance_uid,
            study_instance_uid=series.study_instance_uid,
            witness=evidence.witness,
            instances=evidence.instances,
            reason=evidence.fault,
        )
