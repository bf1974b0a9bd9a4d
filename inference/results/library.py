"""The image library of a report (PS3.16 TID 1600): its key images, and no others."""

from inference.codes import Code
from inference.findings import Result
from inference.results import content
from inference.results.concepts import IMAGE_LIBRARY, IMAGE_LIBRARY_GROUP, SOURCE
from inference.results.content import Item, Relation
from inference.results.marks import frame, key_slices
from inference.volume import Series

MODALITY = Code("121139", "DCM", "Modality")
MODALITIES = {
    "CT": Code("CT", "DCM", "Computed Tomography"),
    "MR": Code("MR", "DCM", "Magnetic Resonance"),
    "PT": Code("PT", "DCM", "Positron emission tomography"),
}
OTHER_MODALITY = Code("OT", "DCM", "Other Modality")

_MILLIMETRE = Code("mm", "UCUM", "millimeter")
_PIXELS = Code("{pixels}", "UCUM", "Pixels")
_COSINE = Code("{-1:1}", "UCUM", "{-1:1}")
_FRAME_OF_REFERENCE = Code("112227", "DCM", "Frame of Reference UID")
_ROWS = Code("110910", "DCM", "Pixel Data Rows")
_COLUMNS = Code("110911", "DCM", "Pixel Data Columns")
_LENGTHS = (
    Code("111026", "DCM", "Horizontal Pixel Spacing"),
    Code("111066", "DCM", "Vertical Pixel Spacing"),
    Code("112225", "DCM", "Slice Thickness"),
    Code("110901", "DCM", "Image Position (Patient) X"),
    Code("110902", "DCM", "Image Position (Patient) Y"),
    Code("110903", "DCM", "Image Position (Patient) Z"),
    Code("112226", "DCM", "Spacing between slices"),
)
_COSINES = (
    Code("110904", "DCM", "Image Orientation (Patient) Row X"),
    Code("110905", "DCM", "Image Orientation (Patient) Row Y"),
    Code("110906", "DCM", "Image Orientation (Patient) Row Z"),
    Code("110907", "DCM", "Image Orientation (Patient) Column X"),
    Code("110908", "DCM", "Image Orientation (Patient) Column Y"),
    Code("110909", "DCM", "Image Orientation (Patient) Column Z"),
)


def image_library(result: Result) -> Item:
    """Return the library of the key images; the evidence sequences name the others."""
    entries = [
        content.image(
            SOURCE, frame(result.series, index), children=_descriptors(result.series, index)
        )
        for index in key_slices(result)
    ]
    return content.container(IMAGE_LIBRARY, [content.container(IMAGE_LIBRARY_GROUP, entries)])


def _descriptors(series: Series, index: int) -> list[Item]:
    """Return what the library says of one image (TID 1602, TID 1604)."""
    plane, header = series.planes[index], series.headers[series.frames[index][0]]
    spacing_mm = round(series.stack.slice_spacing_mm, 6)
    lengths_mm = (
        plane.column_spacing_mm,
        plane.row_spacing_mm,
        spacing_mm,
        *plane.position_mm,
        spacing_mm,
    )
    cosines = (*plane.row_direction, *plane.column_direction)
    context = Relation.HAS_ACQ_CONTEXT
    modality = MODALITIES.get(str(header.get("Modality", "")), OTHER_MODALITY)
    return [
        content.coded(MODALITY, modality, relation=context),
        content.uid(_FRAME_OF_REFERENCE, str(header.FrameOfReferenceUID), relation=context),
        content.number(_ROWS, plane.rows, _PIXELS, relation=context),
        content.number(_COLUMNS, plane.columns, _PIXELS, relation=context),
        *(
            content.number(name, value, _MILLIMETRE, relation=context)
            for name, value in zip(_LENGTHS, lengths_mm, strict=True)
        ),
        *(
            content.number(name, value, _COSINE, relation=context)
            for name, value in zip(_COSINES, cosines, strict=True)
        ),
    ]
