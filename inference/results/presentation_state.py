"""The marks of a result as a Grayscale Softcopy Presentation State (PS3.3 A.33.1), for viewers that draw it."""

from collections.abc import Iterable, Sequence

import highdicom as hd
from pydicom import Dataset

from inference.findings import Form, Result
from inference.results.headers import copy_body_part, dress, identity, series_number, series_uid
from inference.results.marks import CLOSED, Mark, key_slices, marks
from inference.results.objects import Kind, ResultObject, ResultRequest
from inference.results.part10 import finished, unnamed
from inference.results.profile import Profile
from inference.volume import Series, frame_value

GRAYSCALE_SOFTCOPY_PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"

_BESIDE_PIXELS = 3.0
"""How far right of its mark a label stands."""


def presentation_state(
    result: Result, request: ResultRequest, profile: Profile
) -> ResultObject | None:
    """Return the marks on the key images, one coloured layer for each; None when there are none or unwanted.

    A presentation state has one rescale for all of its images: of a series whose key images differ in it,
    as those of PET do, there is none.
    """
    drawn = marks(result)
    if not drawn or not profile.presentation_state:
        return None
    series = result.series
    rescales = {_rescale(series, index) for index in key_slices(result)}
    if len(rescales) > 1:
        return None
    header = series.headers[0]
    dataset = unnamed(GRAYSCALE_SOFTCOPY_PRESENTATION_STATE)
    dataset.Modality = "PR"
    dataset.SeriesInstanceUID = series_uid(header, result.card, Kind.PR, request)
    dataset.SeriesNumber = series_number(request, Kind.PR)
    dataset.InstanceNumber = 1
    copy_body_part(dataset, header)
    dataset.ContentLabel = "AI"
    dataset.ContentDescription = f"{result.card.name} {result.card.version}"[:64]
    dataset.ContentCreatorName = ""  # Type 2; nobody drew it
    _refer(dataset, series, key_slices(result))
    _show(dataset, series, key_slices(result), rescales.pop())
    _draw(dataset, result, drawn)
    dress(dataset, identity(header), result.card, request, Kind.PR)
    dataset.PresentationCreationDate = dataset.ContentDate
    dataset.PresentationCreationTime = dataset.ContentTime
    del dataset.ContentDate, dataset.ContentTime
    return finished(Kind.PR, dataset, uid_root=request.uid_root)


def _refer(dataset: Dataset, series: Series, slices: Sequence[int]) -> None:
    of_series = Dataset()
    of_series.SeriesInstanceUID = series.headers[0].SeriesInstanceUID
    of_series.ReferencedImageSequence = _images(series, slices)
    dataset.ReferencedSeriesSequence = [of_series]


def _show(
    dataset: Dataset, series: Series, slices: Sequence[int], rescale: tuple[str, str] | None
) -> None:
    """Show the images as they would be without us: the whole of them, by their own rescale and window."""
    plane = series.planes[0]
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner = [1, 1]
    area.DisplayedAreaBottomRightHandCorner = [plane.columns, plane.rows]
    area.PresentationSizeMode = "SCALE TO FIT"
    area.PresentationPixelSpacing = [plane.row_spacing_mm, plane.column_spacing_mm]
    dataset.DisplayedAreaSelectionSequence = [area]
    if rescale is not None:
        dataset.RescaleSlope, dataset.RescaleIntercept = rescale
        header = series.headers[0]
        dataset.RescaleType = str(header.get("RescaleType") or "US")
    windows = [window for index in slices if (window := _window(series, index)) is not None]
    if windows:
        dataset.SoftcopyVOILUTSequence = windows
    inverted = str(series.headers[0].get("PhotometricInterpretation")) == "MONOCHROME1"
    dataset.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"


def _draw(dataset: Dataset, result: Result, drawn: Iterable[Mark]) -> None:
    layers, annotations = [], []
    for order, mark in enumerate(drawn, start=1):
        layer = Dataset()
        layer.GraphicLayer = f"AI{order}"
        layer.GraphicLayerOrder = order
        layer.GraphicLayerDescription = mark.label[:64]
        colour = hd.color.CIELabColor.from_rgb(*mark.colour_rgb)
        layer.GraphicLayerRecommendedDisplayCIELabValue = list(colour.value)
        layers.append(layer)
        annotation = Dataset()
        annotation.ReferencedImageSequence = _images(result.series, [mark.index])
        annotation.GraphicLayer = layer.GraphicLayer
        annotation.TextObjectSequence = [_label(mark, result.card.content_qualification)]
        annotation.GraphicObjectSequence = [_graphic(mark)]
        annotations.append(annotation)
    dataset.GraphicLayerSequence = layers
    dataset.GraphicAnnotationSequence = annotations


def _graphic(mark: Mark) -> Dataset:
    graphic = Dataset()
    graphic.GraphicAnnotationUnits = "PIXEL"
    graphic.GraphicDimensions = 2
    graphic.NumberOfGraphicPoints = len(mark.points)
    graphic.GraphicData = mark.points.ravel().tolist()
    graphic.GraphicType = "POINT" if mark.form is Form.POINT else "POLYLINE"
    if mark.form in CLOSED:
        graphic.GraphicFilled = "N"
    return graphic


def _label(mark: Mark, qualification: str) -> Dataset:
    """Return the text beside a mark: what it is, and that a machine says so."""
    text = Dataset()
    text.AnchorPointAnnotationUnits = "PIXEL"
    text.UnformattedTextValue = f"AI: {mark.label}" + (
        " (RESEARCH)" if qualification == "RESEARCH" else ""
    )
    column, row = mark.points[mark.points[:, 0].argmax()].tolist()
    text.AnchorPoint = [column + _BESIDE_PIXELS, row]
    text.AnchorPointVisibility = "N"
    return text


def _images(series: Series, slices: Iterable[int]) -> list[Dataset]:
    """Return references to the images of slices: one for each instance, with its frames if it has several."""
    frames: dict[int, list[int]] = {}
    for index in slices:
        where, number = series.frames[index]
        frames.setdefault(where, []).append(number)
    references = []
    for where, numbers in frames.items():
        header, reference = series.headers[where], Dataset()
        reference.ReferencedSOPClassUID = header.SOPClassUID
        reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
        if "NumberOfFrames" in header:
            reference.ReferencedFrameNumber = sorted(numbers)
        references.append(reference)
    return references


def _rescale(series: Series, index: int) -> tuple[str, str] | None:
    """Return slope and intercept of one slice as they are written; None when it has none."""
    where, number = series.frames[index]
    header = series.headers[where]
    slope = frame_value(header, number, "RescaleSlope")
    intercept = frame_value(header, number, "RescaleIntercept")
    return None if slope is None or intercept is None else (str(slope), str(intercept))


def _window(series: Series, index: int) -> Dataset | None:
    """Return the first window of one slice."""
    where, number = series.frames[index]
    header = series.headers[where]
    centre = _first(frame_value(header, number, "WindowCenter"))
    width = _first(frame_value(header, number, "WindowWidth"))
    if centre is None or width is None:
        return None
    window = Dataset()
    window.ReferencedImageSequence = _images(series, [index])
    window.WindowCenter, window.WindowWidth = centre, width
    function = frame_value(header, number, "VOILUTFunction")
    if function:
        window.VOILUTFunction = str(function)
    return window


def _first(value: object) -> str | None:
    """Return the first of an attribute's values as it is written."""
    if value is None or isinstance(value, str | float | int):
        return None if value in {None, ""} else str(value)
    values = [str(one) for one in value]  # type: ignore[attr-defined] # MultiValue
    return values[0] if values else None
