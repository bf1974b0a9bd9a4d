"""Enhanced MR objects of fictional patients: frames in functional groups, written by pydicom."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydicom import Dataset
from pydicom.tag import Tag

from tests.unit.node.samples import ENHANCED_MR, PATIENT, SERIES, STUDY, encoded

MACRO_OF = {
    "ImagePositionPatient": ("PlanePositionSequence",),
    "ImageOrientationPatient": ("PlaneOrientationSequence",),
    "PixelSpacing": ("PixelMeasuresSequence",),
    "StackID": ("FrameContentSequence",),
    "InStackPositionNumber": ("FrameContentSequence",),
    "TemporalPositionIndex": ("FrameContentSequence",),
    "DimensionIndexValues": ("FrameContentSequence",),
    "EffectiveEchoTime": ("MREchoSequence",),
    "DiffusionBValue": ("MRDiffusionSequence",),
    "DiffusionGradientOrientation": (
        "MRDiffusionSequence",
        "DiffusionGradientDirectionSequence",
    ),
    "NominalPercentageOfCardiacPhase": ("CardiacSynchronizationSequence",),
    "FrameType": ("MRImageFrameTypeSequence",),
}
AXIAL: Mapping[str, Any] = {
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "PixelSpacing": [1, 1],
}
"""What all frames of a plain stack share."""


def at(z_mm: float, **more: Any) -> dict[str, Any]:
    """One axial frame."""
    return {"ImagePositionPatient": [0, 0, z_mm], **more}


def frames(count: int, *, skip: Sequence[int] = (), **more: Any) -> list[dict[str, Any]]:
    """Axial frames 1 mm apart from 0 mm upwards, without those that are skipped."""
    return [at(i, **more) for i in range(count) if i not in skip]


def enhanced_dataset(
    of: Sequence[Mapping[str, Any]],
    *,
    shared: Mapping[str, Any] = AXIAL,
    dimensions: Sequence[str] = (),
    **attributes: Any,
) -> Dataset:
    """One enhanced MR object with these frames; `dimensions` are keywords of Dimension Index Pointers."""
    dataset = Dataset()
    values = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": ENHANCED_MR,
        "SOPInstanceUID": "2.25.3001",
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": SERIES,
        "Modality": "MR",
        "Rows": 4,
        "Columns": 4,
        "NumberOfFrames": len(of),
        **PATIENT,
        **attributes,
    }
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    if dimensions:
        dataset.DimensionIndexSequence = [_pointer(keyword) for keyword in dimensions]
    dataset.SharedFunctionalGroupsSequence = [_groups(shared)]
    dataset.PerFrameFunctionalGroupsSequence = [_groups(frame) for frame in of]
    return dataset


def enhanced(of: Sequence[Mapping[str, Any]], **more: Any) -> bytes:
    """Return `enhanced_dataset` as a Part 10 file."""
    return encoded(enhanced_dataset(of, **more))


def _pointer(keyword: str) -> Dataset:
    item = Dataset()
    item.DimensionIndexPointer = Tag(keyword)
    return item


def _groups(values: Mapping[str, Any]) -> Dataset:
    groups = Dataset()
    for keyword, value in values.items():
        item = groups
        for macro in MACRO_OF[keyword]:
            if macro not in item:
                setattr(item, macro, [Dataset()])
            item = item[macro].value[0]
        setattr(item, keyword, value)
    return groups
