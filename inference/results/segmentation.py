"""The mask as a Segmentation (PS3.3 A.51), BINARY or LABELMAP, on the grid of its source.

highdicom builds and validates the object's modules. What there is of each frame is written here:
ascending along the normal, whatever kind of source (classic, enhanced, several stacks), and at the
cost of the frames alone.
"""

from collections.abc import Sequence
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import RLELossless

from inference.findings import Result
from inference.results import explicit
from inference.results.frames import (
    Frame,
    by_segment,
    by_slice,
    functional_groups,
    reference,
    survey,
)
from inference.results.headers import dress, identity, series_number, series_uid, stand_in
from inference.results.objects import Kind, ResultObject, ResultRequest
from inference.results.part10 import UNNAMED, PixelData, finished_with_pixels
from inference.results.pixel_data import Bits, Labels
from inference.results.profile import Profile, Segments
from inference.results.segments import description
from inference.uids import derived_uid
from inference.volume import Series

MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"


def segmentation(result: Result, request: ResultRequest, profile: Profile) -> ResultObject | None:
    """Return the Segmentation of `result` in the form that `profile` wants.

    Its `dataset` has everything but Pixel Data.

    Returns
    -------
    ResultObject or None
        None where the profile wants none, and where nothing is present: that is the report's to say.
    """
    numbers = [finding.segment.number for finding in result.findings if finding.present]
    form = _form(result, profile)
    if form is Segments.NONE or not numbers:
        return None
    slices = survey(result.mask)
    select = by_segment if form is Segments.BINARY else by_slice
    frames = select(slices, numbers, every_frame=profile.every_frame)
    dataset = _modules(result, request, form)
    dataset.NumberOfFrames = len(frames)
    if form is Segments.BINARY:
        pixels: PixelData = Bits(mask=result.mask, frames=frames)
    else:
        dataset.file_meta.TransferSyntaxUID = RLELossless
        others = set().union(*slices).difference(numbers)
        pixels = _labels(result, frames, numbers if others else None, dataset.BitsAllocated)
    groups = functional_groups(result.series, frames)
    sequences = _sources(result.series) | {"PerFrameFunctionalGroupsSequence": groups}
    return finished_with_pixels(
        Kind.SEG, dataset, pixels, uid_root=request.uid_root, sequences=sequences
    )


def _form(result: Result, profile: Profile) -> Segments:
    _, rows, columns = result.series.shape
    odd = rows * columns % 8 != 0
    if profile.segments is Segments.BINARY and odd and profile.labelmap_for_odd_matrices:
        return Segments.LABELMAP
    return profile.segments


def _labels(
    result: Result, frames: Sequence[Frame], only: Sequence[int] | None, bits: int
) -> Labels:
    """Return the pixels of a label map; `only` these segments, where the mask holds others as well."""
    shown: NDArray[np.unsignedinteger[Any]] | None = None
    if only is not None or result.mask.dtype.itemsize * 8 != bits:
        size = int(np.iinfo(result.mask.dtype).max) + 1
        shown = np.zeros(size, np.uint8 if bits == 8 else np.uint16)
        numbers = np.arange(min(size, 1 << bits)) if only is None else np.asarray(only)
        shown[numbers] = numbers
    return Labels(mask=result.mask, frames=frames, shown=shown)


def _modules(result: Result, request: ResultRequest, form: Segments) -> Dataset:
    """Build everything but the frames, with highdicom, from one plane without a patient."""
    series, card = result.series, result.card
    plane = series.planes[0]
    dataset: Dataset = hd.seg.Segmentation(
        source_images=[_one_plane(series)],
        pixel_array=np.ones((1, plane.rows, plane.columns), dtype=np.uint8),
        segmentation_type=form.value,
        segment_descriptions=[description(card, finding) for finding in result.findings],
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
        plane_positions=[hd.PlanePositionSequence("PATIENT", plane.position_mm)],
        plane_orientation=hd.PlaneOrientationSequence(
            "PATIENT", [*plane.row_direction, *plane.column_direction]
        ),
        pixel_measures=_measures(series),
        omit_empty_frames=False,
    )
    # highdicom takes the distance of slices from the positions it is given, and has been given one.
    dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = _measures(series)
    dataset.ContentCreatorName = ""  # Type 2; nobody drew it
    # highdicom draws this UID at random.
    organization = derived_uid(
        dataset.SeriesInstanceUID, "dimension organization", root=request.uid_root
    )
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    lossy = {str(header.get("LossyImageCompression") or "00") for header in series.headers}
    dataset.LossyImageCompression = max(lossy)
    for keyword in ("SourceImageSequence", "PerFrameFunctionalGroupsSequence", "PixelData"):
        del dataset[keyword]  # of that one plane
    dataset.SharedFunctionalGroupsSequence[0].pop("SegmentIdentificationSequence", None)
    dress(dataset, identity(series.headers[0]), card, request, Kind.SEG)
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


def _sources(series: Series) -> dict[str, bytes]:
    """Name every instance that the mask was made from (PS3.3 C.7.6.1.3, C.12.2.1)."""
    references = tuple(map(reference, series.headers))
    of_series = explicit.sequence("ReferencedInstanceSequence", *references) + explicit.text(
        "SeriesInstanceUID", str(series.headers[0].SeriesInstanceUID)
    )
    return {
        "SourceImageSequence": explicit.items_of(*references),
        "ReferencedSeriesSequence": explicit.items_of(of_series),
    }
