"""The measurement groups of a report, and the key images they stand on."""

import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.sr.codedict import codes

from inference.card import Card
from inference.findings import Finding, KeySlice, Measurement, Result
from inference.results.concepts import ARTIFICIAL_INTELLIGENCE, VISUAL_EXPLANATION, concept
from inference.results.headers import stand_in
from inference.volume import Series

_CONTAINS = hd.sr.RelationshipTypeValues.CONTAINS


def groups(
    result: Result, segmentation: Dataset, parametric_map: Dataset | None
) -> list[hd.sr.ContainerContentItem]:
    """Return the groups of every finding that is present, the volumetric one of each first.

    Viewers merge groups of one Tracking UID and list their values in this order. Both name the map that
    explains the finding, where there is one.
    """
    members = []
    explained = () if result.saliency is None else result.saliency.explains
    for finding in result.findings:
        own = []
        if finding.present:
            own.append(_volumetric(result, finding, segmentation))
        if finding.key_slice is not None:
            own.append(_planar(result, finding, finding.key_slice))
        if parametric_map is not None and finding.tracking_uid in explained:
            for group in own:
                group.ContentSequence.append(_explanation(parametric_map))
        members += own
    return members


def _explanation(parametric_map: Dataset) -> hd.sr.ImageContentItem:
    """Return the reference to a saliency map (TID 1410 and 1411, "Visual explanation")."""
    return hd.sr.ImageContentItem(
        name=concept(VISUAL_EXPLANATION),
        referenced_sop_class_uid=str(parametric_map.SOPClassUID),
        referenced_sop_instance_uid=str(parametric_map.SOPInstanceUID),
        relationship_type=_CONTAINS,
    )


def image_library(result: Result) -> hd.sr.ContainerContentItem:
    """Return the image library (TID 1600) of the key images; the evidence sequences name the others."""
    slices = {f.key_slice.index for f in result.findings if f.key_slice is not None}
    entries = [_library_entry(result.series, index) for index in sorted(slices)]
    group = _container(codes.DCM.ImageLibraryGroup, entries)
    return _container(codes.DCM.ImageLibrary, [group])


def _volumetric(
    result: Result, finding: Finding, segmentation: Dataset
) -> hd.sr.ContainerContentItem:
    referenced = hd.sr.ReferencedSegment(
        sop_class_uid=segmentation.SOPClassUID,
        sop_instance_uid=segmentation.SOPInstanceUID,
        segment_number=finding.segment.number,
        source_series=hd.sr.SourceSeriesForSegmentation(
            str(result.series.headers[0].SeriesInstanceUID)
        ),
    )
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        referenced_segment=referenced,
        measurements=_measurements(finding.measurements),
        **_description(result.card, finding),
    )[0]


def _planar(result: Result, finding: Finding, key: KeySlice) -> hd.sr.ContainerContentItem:
    where, frame_number = result.series.frames[key.index]
    header = result.series.headers[where]
    region = hd.sr.ImageRegion(
        graphic_type=hd.sr.GraphicTypeValues.POLYLINE,
        graphic_data=np.asarray(key.contour, dtype=np.float64),
        source_image=hd.sr.SourceImageForRegion(
            referenced_sop_class_uid=str(header.SOPClassUID),
            referenced_sop_instance_uid=str(header.SOPInstanceUID),
            referenced_frame_numbers=[frame_number] if "NumberOfFrames" in header else None,
        ),
    )
    return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        referenced_region=region,
        measurements=_measurements(key.measurements),
        **_description(result.card, finding),
    )[0]


def _description(card: Card, finding: Finding) -> dict[str, object]:
    site = finding.segment.finding_site
    return {
        "tracking_identifier": hd.sr.TrackingIdentifier(
            uid=finding.tracking_uid, identifier=finding.tracking_identifier
        ),
        "finding_type": concept(finding.segment.type),
        "finding_category": concept(finding.segment.category),
        "finding_sites": None if site is None else [hd.sr.FindingSite(concept(site))],
        "algorithm_id": hd.sr.AlgorithmIdentification(
            name=card.name,
            version=card.version,
            parameters=[f"weights_sha256={card.weights_digest}"],
            family=concept(ARTIFICIAL_INTELLIGENCE),
            manufacturer=card.manufacturer,
        ),
    }


def _measurements(measurements: tuple[Measurement, ...]) -> list[hd.sr.Measurement]:
    return [
        hd.sr.Measurement(
            name=concept(measurement.concept),
            value=float(measurement.value),
            unit=concept(measurement.unit),
        )
        for measurement in measurements
    ]


def _library_entry(series: Series, index: int) -> hd.sr.ImageContentItem:
    where, frame_number = series.frames[index]
    header = series.headers[where]
    item = hd.sr.ImageContentItem(
        name=hd.sr.CodedConcept("260753009", "SCT", "Source"),
        referenced_sop_class_uid=str(header.SOPClassUID),
        referenced_sop_instance_uid=str(header.SOPInstanceUID),
        referenced_frame_numbers=[frame_number] if "NumberOfFrames" in header else None,
        relationship_type=_CONTAINS,
    )
    item.ContentSequence = hd.sr.ContentSequence()
    item.ContentSequence.extend(hd.sr.ImageLibraryEntryDescriptors(_key_image(series, index)))
    return item


def _key_image(series: Series, index: int) -> Dataset:
    """Return what the library says of one frame, as a single-frame header for every kind of source."""
    plane = series.planes[index]
    header = series.headers[series.frames[index][0]]
    image = stand_in(header)
    if image.Modality not in {"CT", "MR", "PT"}:
        image.Modality = "OT"  # highdicom would ask a projection for attributes that no volume has
    image.FrameOfReferenceUID = str(header.FrameOfReferenceUID)
    image.Rows, image.Columns = plane.rows, plane.columns
    image.PixelSpacing = [plane.row_spacing_mm, plane.column_spacing_mm]
    image.ImagePositionPatient = list(plane.position_mm)
    image.ImageOrientationPatient = [*plane.row_direction, *plane.column_direction]
    image.SliceThickness = image.SpacingBetweenSlices = round(series.stack.slice_spacing_mm, 6)
    return image


def _container(title: object, members: list[hd.sr.ContentItem]) -> hd.sr.ContainerContentItem:
    container = hd.sr.ContainerContentItem(name=title, relationship_type=_CONTAINS)
    container.ContentSequence = hd.sr.ContentSequence(members)
    return container
