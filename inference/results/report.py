"""The findings as a Comprehensive 3D SR of TID 1500 (PS3.16), as IHE RAD AIR wants its root.

Each finding that is present makes two groups of one Tracking UID: a volumetric one (TID 1411) that
references the segment and holds the values of the whole, and a planar one (TID 1410) with the contour
on the key slice and the values of that slice. A viewer that knows no segments shows the second.
"""

from collections.abc import Sequence

import highdicom as hd
from pydicom import Dataset
from pydicom.sr.codedict import codes

from inference.codes import Code
from inference.findings import Result
from inference.results.concepts import (
    IMAGING_MEASUREMENT_REPORT,
    IMAGING_MEASUREMENTS,
    PROCEDURE_REPORTED,
    concept,
)
from inference.results.evaluations import evaluations, subject
from inference.results.groups import groups, image_library
from inference.results.headers import (
    decoded,
    dress,
    identity,
    named,
    series_number,
    series_uid,
    stand_in,
)
from inference.results.objects import Kind, ResultObject, ResultRequest
from inference.results.part10 import UNNAMED, finished
from inference.volume import Series


def report(
    result: Result,
    request: ResultRequest,
    segmentation: Dataset | None,
    parametric_map: Dataset | None = None,
) -> ResultObject:
    """Return the report on `result`.

    Parameters
    ----------
    segmentation
        The Segmentation that its groups reference; None when nothing is present.
    parametric_map
        The Parametric Map that explains its findings; None when there is none.
    """
    references = tuple(one for one in (segmentation, parametric_map) if one is not None)
    header = result.series.headers[0]
    source = identity(header)
    dataset: Dataset = hd.sr.Comprehensive3DSR(
        evidence=_evidence(result.series, references),
        content=_content(result, request, segmentation, parametric_map, source),
        series_instance_uid=series_uid(header, result.card, Kind.SR, request),
        series_number=series_number(request, Kind.SR),
        sop_instance_uid=UNNAMED,
        instance_number=1,
        manufacturer=request.equipment.manufacturer,
        is_complete=True,
        is_final=False,
        is_verified=False,
        requested_procedures=_requests(header, source),
    )
    dress(dataset, source, result.card, request, Kind.SR)
    return finished(Kind.SR, dataset, uid_root=request.uid_root)


def _evidence(series: Series, references: Sequence[Dataset]) -> list[Dataset]:
    # highdicom takes the patient from the first and only references from the others.
    sources = [stand_in(series.headers[0]), *(named(header) for header in series.headers[1:])]
    return [*sources, *references]


def _content(
    result: Result,
    request: ResultRequest,
    segmentation: Dataset | None,
    parametric_map: Dataset | None,
    source: Dataset,
) -> hd.sr.ContainerContentItem:
    root = hd.sr.ContainerContentItem(name=concept(IMAGING_MEASUREMENT_REPORT), template_id="1500")
    root.ContentSequence = hd.sr.ContentSequence()
    root.ContentSequence.extend(
        hd.sr.LanguageOfContentItemAndDescendants(hd.sr.CodedConcept("en", "RFC5646", "English"))
    )
    root.ContentSequence.extend(_observer(request))
    root.ContentSequence.extend(subject(result.context))
    root.ContentSequence.append(
        hd.sr.CodeContentItem(
            name=concept(PROCEDURE_REPORTED),
            value=concept(_procedure(source, result.card.procedure_reported)),
            relationship_type=hd.sr.RelationshipTypeValues.HAS_CONCEPT_MOD,
        )
    )
    if segmentation is not None:
        root.ContentSequence.append(image_library(result))
        root.ContentSequence.append(_measurements(groups(result, segmentation, parametric_map)))
    root.ContentSequence.append(evaluations(result))
    return root


def _observer(request: ResultRequest) -> hd.sr.ObserverContext:
    equipment = request.equipment
    return hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=equipment.device_uid(request.uid_root),
            name=equipment.model_name,
            manufacturer_name=equipment.manufacturer,
            model_name=equipment.model_name,
            serial_number=equipment.device_serial_number,
        ),
    )


def _procedure(source: Dataset, otherwise: Code) -> Code:
    """Return the study's own procedure where it is one of CID 100, else the card's.

    The acceptance tool of IHE RAD AIR calls every other code an error.
    """
    items = source.get("ProcedureCodeSequence") or []
    if len(items) == 1:
        item = items[0]
        value, scheme = str(item.get("CodeValue", "")), str(item.get("CodingSchemeDesignator", ""))
        for known in codes.cid100.concepts.values():
            if (known.value, known.scheme_designator) == (value, scheme):
                return Code(value, scheme, known.meaning)
    return otherwise


def _measurements(members: Sequence[hd.sr.ContainerContentItem]) -> hd.sr.ContainerContentItem:
    container = hd.sr.ContainerContentItem(
        name=concept(IMAGING_MEASUREMENTS),
        relationship_type=hd.sr.RelationshipTypeValues.CONTAINS,
    )
    container.ContentSequence = hd.sr.ContentSequence(members)
    return container


def _requests(header: Dataset, source: Dataset) -> list[Dataset] | None:
    """Return Referenced Request Sequence (0040,A370) when the accession is known (PS3.3 C.17.2)."""
    if not source.AccessionNumber:
        return None
    ordered = decoded(header, ["RequestAttributesSequence"]).get("RequestAttributesSequence") or []
    order = ordered[0] if len(ordered) == 1 else Dataset()
    request = decoded(source, ["StudyInstanceUID", "AccessionNumber"])
    if "IssuerOfAccessionNumberSequence" in source:
        request.IssuerOfAccessionNumberSequence = source.IssuerOfAccessionNumberSequence
    request.ReferencedStudySequence = []
    request.PlacerOrderNumberImagingServiceRequest = ""
    request.FillerOrderNumberImagingServiceRequest = ""
    request.RequestedProcedureID = order.get("RequestedProcedureID", "")
    request.RequestedProcedureDescription = order.get("RequestedProcedureDescription", "")
    request.RequestedProcedureCodeSequence = order.get("RequestedProcedureCodeSequence") or []
    return [request]
