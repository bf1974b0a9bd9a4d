"""The mask as a BINARY Segmentation (PS3.3 A.51) on the grid of its source.

highdicom builds the object's modules. Its frames are written here: ascending along the normal,
whatever kind of source (classic, enhanced, several stacks), and at the cost of the frames alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom import Dataset

from inference.card import Card, Segment
from inference.findings import Finding, Result
from inference.geometry import Plane
from inference.results.concepts import (
    ARTIFICIAL_INTELLIGENCE,
    SEGMENTATION,
    SOURCE_IMAGE,
    coded,
    concept,
)
from inference.results.headers import dress, identity, series_number, series_uid, stand_in
from inference.results.objects import Kind, ResultRequest
from inference.results.part10 import UNNAMED, name
from inference.uids import derived_uid
from inference.volume import Series

MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"


def segmentation(result: Result, request: ResultRequest) -> Dataset | None:
    """Return the Segmentation of `result`; None when nothing is present."""
    numbers = [finding.segment.number for finding in result.findings if finding.present]
    if not numbers:
        return None
    series = result.series
    dataset = _modules(result, request)
    _describe_source(dataset, series)
    dress(dataset, identity(series.headers[0]), result.card, request, Kind.SEG)
    places = repr((series.planes, series.frames)).encode()
    name(dataset, result.mask.tobytes(), places, uid_root=request.uid_root)
    _write_frames(dataset, result, numbers)
    return dataset


def _modules(result: Result, request: ResultRequest) -> Dataset:
    """Build everything but the frames, with highdicom, from one plane without a patient."""
    series, card = result.series, result.card
    plane = series.planes[0]
    dataset: Dataset = hd.seg.Segmentation(
        source_images=[_one_plane(series)],
        pixel_array=np.ones((1, plane.rows, plane.columns), dtype=np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(card, finding) for finding in result.findings],
        series_instance_uid=series_uid(series.headers[0], card, Kind.SEG, request),
        series_number=series_number(request, Kind.SEG),
        sop_instance_uid=UNNAMED,
        instance_number=1,
        manufacturer=request.equipment.manufacturer,
        manufacturer_model_name=request.equipment.model_name,
        software_versions=list(request.equipment.software_versions),
        device_serial_number=request.equipment.device_serial_number,
        content_label="SEGMENTATION",
        content_description=f"{card.name} {card.version}"[:64],
        plane_positions=[_position(plane)],
        plane_orientation=hd.PlaneOrientationSequence(
            "PATIENT", [*plane.row_direction, *plane.column_direction]
        ),
        pixel_measures=_measures(series),
        omit_empty_frames=False,
    )
    dataset.ContentCreatorName = ""  # Type 2; nobody drew it
    # highdicom draws this UID at random.
    organization = derived_uid(
        dataset.SeriesInstanceUID, "dimension organization", root=request.uid_root
    )
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    return dataset


def _one_plane(series: Series) -> Dataset:
    header = stand_in(series.headers[0])
    # A single-frame class for every source: highdicom would read the functional groups of an enhanced
    # one, and all references to the source are written below.
    header.SOPClassUID = MR_IMAGE_STORAGE
    header.FrameOfReferenceUID = str(series.headers[0].FrameOfReferenceUID)
    header.PositionReferenceIndicator = str(
        series.headers[0].get("PositionReferenceIndicator") or ""
    )
    plane = series.planes[0]
    header.Rows, header.Columns = plane.rows, plane.columns
    header.ImagePositionPatient = list(plane.position_mm)
    header.ImageOrientationPatient = [*plane.row_direction, *plane.column_direction]
    header.PixelSpacing = [plane.row_spacing_mm, plane.column_spacing_mm]
    header.SliceThickness = series.stack.slice_spacing_mm
    return header


def _measures(series: Series) -> hd.PixelMeasuresSequence:
    plane, spacing_mm = series.planes[0], round(series.stack.slice_spacing_mm, 6)
    return hd.PixelMeasuresSequence(
        pixel_spacing=[plane.row_spacing_mm, plane.column_spacing_mm],
        slice_thickness=spacing_mm,
        spacing_between_slices=spacing_mm,
    )


def _position(plane: Plane) -> hd.PlanePositionSequence:
    return hd.PlanePositionSequence("PATIENT", plane.position_mm)


def _description(card: Card, finding: Finding) -> SegmentDescription:
    segment = finding.segment
    return SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=concept(segment.category),
        segmented_property_type=concept(segment.type),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=card.name,
            family=concept(ARTIFICIAL_INTELLIGENCE),
            version=card.version,
            source=card.manufacturer,
            parameters={"weights_sha256": card.weights_digest},
        ),
        tracking_id=finding.tracking_identifier,
        tracking_uid=finding.tracking_uid,
        anatomic_regions=_regions(segment),
        display_color=hd.color.CIELabColor.from_rgb(*segment.colour_rgb),
    )


def _regions(segment: Segment) -> list[hd.sr.CodedConcept] | None:
    return None if segment.finding_site is None else [concept(segment.finding_site)]


def _describe_source(dataset: Dataset, series: Series) -> None:
    """Name every instance that the mask was made from (PS3.3 C.7.6.1.3, C.12.2.1)."""
    references = []
    for header in series.headers:
        reference = Dataset()
        reference.ReferencedSOPClassUID = header.SOPClassUID
        reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
        references.append(reference)
    dataset.SourceImageSequence = references
    of_series = Dataset()
    of_series.SeriesInstanceUID = series.headers[0].SeriesInstanceUID
    of_series.ReferencedInstanceSequence = references
    dataset.ReferencedSeriesSequence = [of_series]
    lossy = {str(header.get("LossyImageCompression") or "00") for header in series.headers}
    dataset.LossyImageCompression = max(lossy)


def _write_frames(dataset: Dataset, result: Result, numbers: list[int]) -> None:
    """Write the frames of all segments, each ascending along the normal, and none that is empty."""
    frames = list(_frames(result.mask, numbers))
    indices = sorted({index for _, index, _ in frames})
    rank = {index: place for place, index in enumerate(indices, 1)}
    meaning = _Meaning(derivation=coded(SEGMENTATION), purpose=coded(SOURCE_IMAGE))
    items = [
        _frame_item(result.series, index, [number, rank[index]], meaning)
        for number, index, _ in frames
    ]
    for shared in dataset.SharedFunctionalGroupsSequence:
        shared.pop("SegmentIdentificationSequence", None)
    dataset.PerFrameFunctionalGroupsSequence = items
    dataset.NumberOfFrames = len(items)
    # Frames follow each other without a gap: where Rows × Columns is no multiple of 8, a frame starts
    # within a byte (PS3.5 8.1.1).
    bits = np.packbits(
        np.concatenate([region for _, _, region in frames]), axis=None, bitorder="little"
    ).tobytes()
    dataset.PixelData = bits + b"\0" * (len(bits) % 2)


def _frames(
    mask: NDArray[np.uint8], numbers: list[int]
) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
    for number in numbers:
        for index in range(len(mask)):
            region = mask[index] == number
            if region.any():
                yield number, index, region


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    """How and why a frame was derived: two codes that all frames share."""

    derivation: Dataset
    purpose: Dataset


def _frame_item(
    series: Series, index: int, dimension_index_values: list[int], meaning: _Meaning
) -> Dataset:
    item, content, identification = Dataset(), Dataset(), Dataset()
    content.DimensionIndexValues = dimension_index_values
    identification.ReferencedSegmentNumber = dimension_index_values[0]
    item.FrameContentSequence = [content]
    item.SegmentIdentificationSequence = [identification]
    item.PlanePositionSequence = _position(series.planes[index])
    item.DerivationImageSequence = [_derivation(series, index, meaning)]
    return item


def _derivation(series: Series, index: int, meaning: _Meaning) -> Dataset:
    where, frame_number = series.frames[index]
    header = series.headers[where]
    source = Dataset()
    source.ReferencedSOPClassUID = header.SOPClassUID
    source.ReferencedSOPInstanceUID = header.SOPInstanceUID
    if "NumberOfFrames" in header:
        source.ReferencedFrameNumber = frame_number
    source.SpatialLocationsPreserved = "YES"
    source.PurposeOfReferenceCodeSequence = [meaning.purpose]
    derivation = Dataset()
    derivation.SourceImageSequence = [source]
    derivation.DerivationCodeSequence = [meaning.derivation]
    return derivation
