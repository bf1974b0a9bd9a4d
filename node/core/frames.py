"""The frames of enhanced objects: in which stacks they lie, and whether one is missing inside a stack.

Pure. `node.dicom.frames` reads them; here they are attributes by DICOM keyword, one mapping for each frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference.geometry import Plane, StackFault, missing

Frame = Mapping[str, Any]

FRAME_GROUP_KEYWORDS = (
    "TemporalPositionIndex",
    "TemporalPositionTimeOffset",
    "EffectiveEchoTime",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "NominalPercentageOfCardiacPhase",
    "NominalCardiacTriggerDelayTime",
    "NominalPercentageOfRespiratoryPhase",
    "NominalRespiratoryTriggerDelayTime",
    "FrameType",
    "ComplexImageComponent",
)
"""What tells frames at one position apart: time, echo, b-value and direction, phase, kind of image."""

DIMENSIONS = "DimensionIndexValues"
"""Dimension Index Values (0020,9157) without those of a dimension in space: what else tells frames apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What the frames of a series' enhanced objects say about its completeness.

    Parameters
    ----------
    veto
        A frame is missing inside a stack; None when nothing shows that.
    remark
        What could not be looked at, or is there twice; None when there is nothing to tell.
    """

    veto: StackFault | None = None
    remark: str | None = None


def look_inside(frames: Sequence[Frame]) -> Inside:
    """Examine every stack of frames (PS3.3 C.7.6.16.2.2) as a classic series is examined.

    A stack of which a frame has no usable position vetoes nothing: that frame may fill the gap.

    Parameters
    ----------
    frames
        Those of all enhanced objects of a series; an empty one has no functional groups.
    """
    if not frames:
        return Inside(remark="no functional groups; frames not looked at")
    stacks: dict[str, list[Frame]] = {}
    for frame in frames:
        stacks.setdefault(str(frame.get("StackID")), []).append(frame)
    veto, unplaced, doubled = None, 0, 0
    for stack in stacks.values():
        planes = [Plane.from_keywords(frame) for frame in stack]
        keys = _keys(stack)
        if None in planes:
            unplaced += planes.count(None)
            continue
        doubled += len(stack) - len({
            (plane, tuple(key)) for plane, key in zip(planes, keys, strict=True)
        })
        veto = veto or missing(planes, keys)
    remarks = []
    if unplaced:
        remarks.append(f"{unplaced} of {len(frames)} frames carry no usable position")
    if doubled:
        remarks.append(f"{doubled} frames lie where another of the same kind lies")
    return Inside(veto=veto, remark="; ".join(remarks) or None)


def _keys(stack: Sequence[Frame]) -> list[list[str | None]]:
    dimensions = max(len(frame.get(DIMENSIONS, ())) for frame in stack)
    keys = []
    for frame in stack:
        indices = [*frame.get(DIMENSIONS, ()), *[None] * dimensions][:dimensions]
        told = [*(frame.get(keyword) for keyword in FRAME_GROUP_KEYWORDS), *indices]
        keys.append([None if value is None else str(value) for value in told])
    return keys
