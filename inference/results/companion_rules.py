"""Rules for what stands beside a report: key objects, presentation state, summary, notice."""

import io
from collections.abc import Iterator

import numpy as np
from pydicom import Dataset

from inference.results.concepts import NOT_ANALYSED, OF_INTEREST
from inference.results.examined import Source
from inference.results.headers import NOT_RUN
from inference.results.region_rules import frame_is_known, outline_faults
from inference.results.report_rules import standing_faults
from inference.results.tree import children, evidence_faults, groups, items, name


def key_object_faults(dataset: Dataset, source: Source) -> Iterator[str]:
    """Say what is wrong with a Key Object Selection."""
    if name(dataset) != OF_INTEREST.value:
        yield "the title is not (113000, DCM, Of Interest)"
    images = [item for item in children(dataset) if item.ValueType == "IMAGE"]
    if not images:
        yield "no image is selected"
    if any(name(item) for item in images):
        yield "an image has a purpose of reference, which TID 2010 forbids"
    if not all(
        frame_is_known(one, source) for item in images for one in item.ReferencedSOPSequence
    ):
        yield "an image is selected that is no frame of the source"
    yield from evidence_faults(dataset)


def presentation_faults(dataset: Dataset, source: Source) -> Iterator[str]:
    """Say what is wrong with a presentation state."""
    layers = {item.GraphicLayer for item in dataset.get("GraphicLayerSequence") or []}
    if not all(
        item.get("GraphicLayerRecommendedDisplayCIELabValue")
        for item in dataset.get("GraphicLayerSequence") or []
    ):
        yield "a graphic layer has no colour"
    shown = {
        str(image.ReferencedSOPInstanceUID)
        for series in dataset.get("ReferencedSeriesSequence") or []
        for image in series.ReferencedImageSequence
    }
    for annotation in dataset.get("GraphicAnnotationSequence") or []:
        if annotation.GraphicLayer not in layers:
            yield "an annotation stands on a layer that is not described"
        images = annotation.ReferencedImageSequence
        if not all(frame_is_known(one, source) for one in images):
            yield "an annotation names no frame of the source"
        if not {str(one.ReferencedSOPInstanceUID) for one in images} <= shown:
            yield "an annotation stands on an image that the presentation state does not show"
        for graphic in annotation.GraphicObjectSequence:
            points = np.array([float(v) for v in graphic.GraphicData]).reshape(-1, 2)
            yield from outline_faults(points, source)
        if not all("AI" in text.UnformattedTextValue for text in annotation.TextObjectSequence):
            yield "an annotation does not say that a machine made it"


def summary_faults(dataset: Dataset) -> Iterator[str]:
    """Say what is wrong with an encapsulated document."""
    if dataset.get("MIMETypeOfEncapsulatedDocument") != "application/pdf":
        yield "the encapsulated document is not a PDF by its MIME type"
    content = io.BytesIO(dataset.get("EncapsulatedDocument") or b"")
    page = content.read(int(dataset.get("EncapsulatedDocumentLength") or 0))
    if not page.startswith(b"%PDF-") or not page.endswith(b"%%EOF\n"):
        yield "the encapsulated document is not a PDF of the length that is told"
    if dataset.get("BurnedInAnnotation") != "NO":
        yield "the page names no patient, and Burned In Annotation must say so"


def notice_faults(dataset: Dataset) -> Iterator[str]:
    """Say what is wrong with a notice: it must not look like a report."""
    if not str(dataset.get("SeriesDescription", "")).endswith(NOT_RUN):
        yield "Series Description does not say that nothing ran"
    if dataset.get("Modality") != "SR":
        return
    yield from standing_faults(dataset)
    if name(dataset) != NOT_ANALYSED.value:
        yield "the title does not say that nothing was analysed"
    if any(groups(dataset)) or any(item.ValueType == "NUM" for item in items(dataset)):
        yield "a notice holds measurements"
    yield from evidence_faults(dataset)
