"""What an image says of the frames that it was made from: their grid, and which ones they are."""

from collections.abc import Iterable
from dataclasses import dataclass

import highdicom as hd
from pydicom import Dataset

from inference.geometry import Plane
from inference.results.headers import stand_in
from inference.volume import Series

MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """How and why a frame was derived: two codes that all frames share.

    Parameters
    ----------
    derivation
        Item of Derivation Code Sequence (0008,9215).
    purpose
        Item of Purpose of Reference Code Sequence (0040,A170).
    """

    derivation: Dataset
    purpose: Dataset


def one_plane(series: Series) -> Dataset:
    """Return the first plane of a series as the single-frame image that highdicom is given for it."""
    header = stand_in(series.headers[0])
    # A single-frame class for every source: highdicom would read the functional groups of an enhanced
    # one, and all references to the source are written here.
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


def measures(series: Series) -> hd.PixelMeasuresSequence:
    """Return the distances of rows, columns and slices."""
    plane, spacing_mm = series.planes[0], round(series.stack.slice_spacing_mm, 6)
    return hd.PixelMeasuresSequence(
        pixel_spacing=[plane.row_spacing_mm, plane.column_spacing_mm],
        slice_thickness=spacing_mm,
        spacing_between_slices=spacing_mm,
    )


def position(plane: Plane) -> hd.PlanePositionSequence:
    """Return where a plane lies."""
    return hd.PlanePositionSequence("PATIENT", plane.position_mm)


def describe_source(dataset: Dataset, series: Series) -> None:
    """Name every instance that an object was made from (PS3.3 C.7.6.1.3, C.12.2.1)."""
    references = [_reference(header) for header in series.headers]
    dataset.SourceImageSequence = references
    of_series = Dataset()
    of_series.SeriesInstanceUID = series.headers[0].SeriesInstanceUID
    of_series.ReferencedInstanceSequence = references
    dataset.ReferencedSeriesSequence = [of_series]
    dataset.LossyImageCompression = lossy(series)


def lossy(series: Series) -> str:
    """Return Lossy Image Compression (0028,2110): what the source lost, all that is made of it lost."""
    return max(str(header.get("LossyImageCompression") or "00") for header in series.headers)


def source_image(series: Series, index: int, purpose: Dataset) -> Dataset:
    """Return the item of Source Image Sequence (0008,2112) that names one slice."""
    where, frame_number = series.frames[index]
    header = series.headers[where]
    source = _reference(header)
    if "NumberOfFrames" in header:
        source.ReferencedFrameNumber = frame_number
    source.PurposeOfReferenceCodeSequence = [purpose]
    return source


def derived_from(series: Series, index: int, meaning: Meaning) -> Dataset:
    """Return the item of Derivation Image Sequence (0008,9124) of a frame that was made from one slice."""
    source = source_image(series, index, meaning.purpose)
    source.SpatialLocationsPreserved = "YES"
    derivation = Dataset()
    derivation.SourceImageSequence = [source]
    derivation.DerivationCodeSequence = [meaning.derivation]
    return derivation


def examined_part(dataset: Dataset, headers: Iterable[Dataset]) -> None:
    """Say which part of the body it is, as the source does where all of it agrees (PS3.3 C.7.3.1)."""
    told = {str(header.get("BodyPartExamined") or "") for header in headers}
    if len(told) == 1 and "" not in told:
        dataset.BodyPartExamined = told.pop()


def _reference(header: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = header.SOPClassUID
    reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return reference
