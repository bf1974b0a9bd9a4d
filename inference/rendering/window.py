"""From modality values to grey, as the header of an image says (PS3.3 C.7.6.3.1.2, C.11.2)."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference.volume import Series, Volume, frame_value

_DARKEST, _BRIGHTEST = 0.3, 99.7
"""Percentiles of a volume's values that are shown black and white where no header says what is."""


class Function(StrEnum):
    """VOI LUT Function (0028,1056)."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How modality values are shown.

    Parameters
    ----------
    centre, width
        Window Center (0028,1050) and Window Width (0028,1051), in modality values.
    function
        What they mean.
    inverted
        Low values are bright: MONOCHROME1, or Presentation LUT Shape INVERSE.
    table
        VOI LUT from 0 to 1 for the values from `first` on; then window and function do not count. None
        where there is none.
    first
        Modality value of the table's first entry.
    """

    centre: float
    width: float
    function: Function = Function.LINEAR
    inverted: bool = False
    table: NDArray[np.float32] | None = None
    first: float = 0.0

    def grey(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Brightness of modality values, from 0, black, to 1, white."""
        shown = self._looked_up(values) if self.table is not None else self._windowed(values)
        return 1 - shown if self.inverted else shown

    def black(self, values: NDArray[np.float32]) -> float:
        """Value that is as dark as any of `values`, for what lies beyond the volume."""
        return float(values.max() if self.inverted else values.min())

    def _windowed(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        centre, width = np.float32(self.centre), np.float32(self.width)
        if self.function is Function.SIGMOID:
            steps = np.clip(-4 * (values - centre) / width, -80, 80)
            return (1 / (1 + np.exp(steps))).astype(np.float32)
        if self.function is Function.LINEAR:  # with the half that PS3.3 C.11.2.1.2.1 wants
            centre, width = centre - np.float32(0.5), max(width - 1, np.float32(1e-6))
        return np.clip((values - centre) / width + np.float32(0.5), 0, 1).astype(np.float32)

    def _looked_up(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        assert self.table is not None  # noqa: S101 # asked for only where there is one
        entries = np.clip(np.rint(values - self.first), 0, len(self.table) - 1).astype(np.intp)
        shown: NDArray[np.float32] = self.table[entries]
        return shown


def window_for(series: Series, volume: Volume, index: int) -> Window:
    """Return how one slice is to be shown.

    The first window of the header counts; where there is none, its VOI LUT; where neither is, what
    makes the volume's own values visible.

    Parameters
    ----------
    series, volume
        Headers and values.
    index
        The slice.
    """
    where, number = series.frames[index]
    header = series.headers[where]
    inverted = _inverted(header)
    centre = _first(frame_value(header, number, "WindowCenter"))
    width = _first(frame_value(header, number, "WindowWidth"))
    if centre is not None and width is not None and width > 0:
        function = str(frame_value(header, number, "VOILUTFunction") or Function.LINEAR)
        known = Function(function) if function in set(Function) else Function.LINEAR
        return Window(centre=centre, width=width, function=known, inverted=inverted)
    table = _table(frame_value(header, number, "VOILUTSequence"))
    if table is not None:
        first, entries = table
        return Window(centre=0, width=1, inverted=inverted, table=entries, first=first)
    return _of_values(volume, inverted=inverted)


def _of_values(volume: Volume, *, inverted: bool) -> Window:
    coarse = volume.voxels[::2, ::2, ::2]
    dark, bright = (float(v) for v in np.percentile(coarse, (_DARKEST, _BRIGHTEST)))
    width = bright - dark if bright > dark else 1.0
    return Window(
        centre=dark + width / 2, width=width, function=Function.LINEAR_EXACT, inverted=inverted
    )


def _inverted(header: Dataset) -> bool:
    monochrome1 = header.get("PhotometricInterpretation") == "MONOCHROME1"
    return bool(monochrome1 or header.get("PresentationLUTShape") == "INVERSE")


def _first(value: Any) -> float | None:
    """First of one or several numbers; None where there is none that can be read."""
    try:
        number = float(value) if isinstance(value, str | int | float) else float(value[0])
    except (TypeError, ValueError, IndexError):
        return None
    return number if math.isfinite(number) else None


def _table(sequence: Any) -> tuple[float, NDArray[np.float32]] | None:
    """First entry's value and the entries of a VOI LUT (PS3.3 C.11.2.1.1)."""
    if not sequence:
        return None
    try:
        count, first, bits = (int(v) for v in sequence[0].LUTDescriptor)
        count = count or 65536
        data = sequence[0].LUTData
        if isinstance(data, bytes):  # eight bits may be written in eight, or in sixteen
            data = np.frombuffer(data, np.uint8 if len(data) < 2 * count else "<u2")
        entries = np.array(data)[:count]
    except (AttributeError, TypeError, ValueError):
        return None
    if len(entries) != count or not 1 <= bits <= 16:
        return None
    return float(first), (entries / (2**bits - 1)).astype(np.float32)
