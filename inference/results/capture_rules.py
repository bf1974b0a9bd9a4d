"""Rules for a secondary capture: it says that text is in its pixels, and that a machine found what it shows."""

from collections.abc import Iterator

from pydicom import Dataset

from inference.rendering.marks import NOT_PRIMARY, RESEARCH
from inference.results.examined import Source

_SAID = {
    "BurnedInAnnotation": "YES",
    "ConversionType": "WSD",
    "ImageType": "DERIVED\\SECONDARY",
    "PhotometricInterpretation": "RGB",
    "Modality": "OT",
}
"""Attributes whose value every capture has."""


def capture_faults(dataset: Dataset, source: Source) -> Iterator[str]:
    """Say what is wrong with a secondary capture."""
    for keyword, value in _SAID.items():
        found = dataset.get(keyword) or ""
        if (found if isinstance(found, str) else "\\".join(found)) != value:
            yield f"{keyword} is not {value}"
    text = str(dataset.get("ImageComments", ""))
    if NOT_PRIMARY not in text:
        yield f"it does not say: {NOT_PRIMARY}"
    if dataset.get("ContentQualification") == "RESEARCH" and RESEARCH not in text:
        yield "it does not say RESEARCH"
    yield from _frame_faults(dataset, source)


def _frame_faults(dataset: Dataset, source: Source) -> Iterator[str]:
    frames = int(dataset.get("NumberOfFrames", 1))
    octets = frames * dataset.Rows * dataset.Columns * 3
    if len(dataset.PixelData) != octets + octets % 2:
        yield "frames and Pixel Data differ in number"
    named = [
        (str(item.ReferencedSOPInstanceUID), int(item.get("ReferencedFrameNumber", 1)))
        for item in dataset.get("SourceImageSequence") or []
    ]
    if len(named) != frames or not set(named) <= set(source.planes):
        yield "not every frame names the slice of the source that it shows"
