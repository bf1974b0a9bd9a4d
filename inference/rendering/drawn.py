"""What of a result is drawn into images and written beside them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.findings import Finding, Measurement, Result
from inference.rendering.marks import plain
from inference.rendering.paint import Colour
from inference.telling import scored


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One finding that has a place.

    Parameters
    ----------
    tracking_uid
        Of the finding.
    line
        The finding in words, with all of its values.
    colour
        As the card has it.
    index
        Its key slice.
    number
        Its value in the mask; None when it has no mask: then `points` are drawn.
    points
        Shape ``(points, 2)``, (column, row) in pixels of the key slice, as `KeySlice.contour` has them.
    """

    tracking_uid: str
    line: str
    colour: Colour
    index: int
    number: int | None
    points: NDArray[np.float64]


def drawn(result: Result) -> Iterator[Drawn]:
    """Give what has a place, in the order of the result."""
    for finding in result.findings:
        if finding.key_slice is not None:
            yield Drawn(
                tracking_uid=finding.tracking_uid,
                line=_told(finding),
                colour=finding.segment.colour_rgb,
                index=finding.key_slice.index,
                number=finding.segment.number,
                points=finding.key_slice.contour,
            )
    for place in result.detections:
        score = scored(place.target.decision, place.score)
        yield Drawn(
            tracking_uid=place.tracking_uid,
            line=plain(f"{line(place.target.label, place.measurements)}, {score}"),
            colour=place.target.colour_rgb,
            index=place.index,
            number=None,
            points=place.points,
        )


def _told(finding: Finding) -> str:
    planar = () if finding.key_slice is None else finding.key_slice.measurements
    return line(finding.segment.label, (*finding.measurements, *planar))


def line(label: str, measurements: tuple[Measurement, ...]) -> str:
    """Return a finding in words: its label and its values."""
    values = ", ".join(_value(one) for one in measurements)
    return plain(f"{label}: {values}" if values else label)


def _value(measurement: Measurement) -> str:
    return f"{measurement.concept.meaning} {measurement.value:.10g} {measurement.unit.meaning}"
