"""Rules for a saliency map: it lies on its source's planes, all of them, and says what its values mean."""

from collections.abc import Iterator

import numpy as np
from pydicom import Dataset

from inference.results.concepts import NO_UNITS, VISUAL_EXPLANATION
from inference.results.examined import Source
from inference.results.grid_rules import place_faults


def map_faults(dataset: Dataset, source: Source) -> Iterator[str]:
    """Say what is wrong with a Parametric Map."""
    yield from place_faults(dataset, source)
    frames = len(dataset.PerFrameFunctionalGroupsSequence)
    if frames != len(source.series.planes):
        yield "not every slice has its frame: viewers that read no positions show the others wrongly"
    yield from _meaning_faults(dataset)
    yield from _value_faults(dataset, frames)


def _meaning_faults(dataset: Dataset) -> Iterator[str]:
    shared = dataset.SharedFunctionalGroupsSequence[0]
    mappings = shared.get("RealWorldValueMappingSequence") or [Dataset()]
    quantities = {
        str(code.CodeValue)
        for item in mappings[0].get("QuantityDefinitionSequence") or []
        for code in item.get("ConceptCodeSequence") or []
    }
    if quantities != {VISUAL_EXPLANATION.value}:
        yield f"its quantity is not ({VISUAL_EXPLANATION.value}, DCM)"
    units = mappings[0].get("MeasurementUnitsCodeSequence") or []
    if [str(code.CodeValue) for code in units] != [NO_UNITS.value]:
        yield "its values have a unit"
    if "FrameVOILUTSequence" not in shared:
        yield "it has no window: viewers show it white"


def _value_faults(dataset: Dataset, frames: int) -> Iterator[str]:
    octets = 4 * frames * dataset.Rows * dataset.Columns
    pixels = dataset.get("FloatPixelData") or b""
    if dataset.NumberOfFrames != frames or len(pixels) != octets:
        yield "frames, their descriptions and Float Pixel Data differ in number"
        return
    values = np.frombuffer(pixels, "<f4")
    if not (values.min() >= 0 and values.max() <= 1):  # False for NaN, which each of them then is
        yield "a value is not between 0 and 1"
