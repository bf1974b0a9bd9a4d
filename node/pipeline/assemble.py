"""Step 4: close the series that a witness calls complete."""

from collections.abc import Callable

from node.clock import Clock
from node.core.completeness import QuietTimes, decide
from node.core.ports import Intake
from node.telemetry import log


def assemble(intake: Intake, quiet_of: Callable[[str], QuietTimes], clock: Clock) -> int:
    """Close every series whose waiting is over; return how many were closed.

    Parameters
    ----------
    quiet_of
        The quiet times of a peer, by its name.

    Raises
    ------
    OutOfResources
        The records could not be written; the next round tries again.
    """
    closed = 0
    for series in intake.open_series():
        evidence = decide(series, quiet_of(series.peer), clock.now())
        if evidence is not None and intake.close_series(series, evidence):
            closed += 1
            log(
                "series closed",
                series_instance_uid=series.series_instance_uid,
                study_instance_uid=series.study_instance_uid,
                witness=evidence.witness,
                instances=evidence.instances,
                reason=evidence.fault,
            )
    return closed
