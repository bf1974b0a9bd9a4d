"""The findings as a structured report of TID 1500 (PS3.16), as IHE RAD AIR wants its root.

Each segment that is present makes two groups of one Tracking UID: a volumetric one (TID 1411) that
references the segment and holds the values of the whole, and a planar one (TID 1410) with the contour
on the key slice and the values of that slice. A viewer that knows no segments shows the second.
"""

from pydicom import Dataset
from pydicom.sr.codedict import codes

from inference.codes import Code
from inference.findings import Result
from inference.results import content
from inference.results.concepts import (
    DEVICE,
    DEVICE_MANUFACTURER,
    DEVICE_MODEL,
    DEVICE_NAME,
    DEVICE_SERIAL_NUMBER,
    DEVICE_UID,
    ENGLISH,
    IMAGING_MEASUREMENT_REPORT,
    IMAGING_MEASUREMENTS,
    LANGUAGE,
    OBSERVER_TYPE,
    PROCEDURE_REPORTED,
)
from inference.results.content import Item, Relation
from inference.results.document import (
    COMPREHENSIVE_3D_SR,
    COMPREHENSIVE_SR,
    ENHANCED_SR,
    Document,
    written,
)
from inference.results.evaluations import evaluations, subject
from inference.results.groups import Shown, groups
from inference.results.headers import identity
from inference.results.library import image_library
from inference.results.marks import key_slices
from inference.results.objects import Kind, ResultObject, ResultRequest
from inference.results.profile import GENERIC_PACS, PROFILES, Profile, ReportClass

SOP_CLASSES = {
    ReportClass.COMPREHENSIVE_3D: COMPREHENSIVE_3D_SR,
    ReportClass.COMPREHENSIVE: COMPREHENSIVE_SR,
    ReportClass.ENHANCED: ENHANCED_SR,
}


def report(
    result: Result,
    request: ResultRequest,
    segmentation: Dataset | None,
    parametric_map: Dataset | None = None,
    profile: Profile = PROFILES[GENERIC_PACS],
) -> ResultObject:
    """Return the report on `result`.

    Parameters
    ----------
    segmentation
        The Segmentation that its groups reference; None when nothing is present, or the profile wants none.
    parametric_map
        The saliency map that its findings reference; None when there is none.
    profile
        Says which class it is of, and where contours stand.
    """
    shown = Shown.by(profile, segmentation, parametric_map)
    made = [one for one in (segmentation, parametric_map) if one is not None]
    document = Document(
        kind=Kind.SR,
        sop_class_uid=SOP_CLASSES[profile.report],
        title=IMAGING_MEASUREMENT_REPORT,
        template="1500",
        children=_children(result, request, profile, shown),
        evidence=[*result.series.headers, *made],
        pertinent=result.compared,
    )
    return written(document, result.series.headers[0], result.card, request)


def observer(request: ResultRequest) -> list[Item]:
    """Return this node as the one who observed (TID 1001, TID 1004)."""
    equipment, context = request.equipment, Relation.HAS_OBS_CONTEXT
    return [
        content.coded(OBSERVER_TYPE, DEVICE, relation=context),
        content.uid(DEVICE_UID, equipment.device_uid(request.uid_root), relation=context),
        content.sentence(DEVICE_NAME, equipment.model_name, relation=context),
        content.sentence(DEVICE_MANUFACTURER, equipment.manufacturer, relation=context),
        content.sentence(DEVICE_MODEL, equipment.model_name, relation=context),
        content.sentence(DEVICE_SERIAL_NUMBER, equipment.device_serial_number, relation=context),
    ]


def _children(
    result: Result, request: ResultRequest, profile: Profile, shown: Shown
) -> tuple[Item, ...]:
    source, mod = identity(result.series.headers[0]), Relation.HAS_CONCEPT_MOD
    procedure = _procedure(source, result.card.procedure_reported)
    items = [
        content.coded(LANGUAGE, ENGLISH, relation=mod),
        *observer(request),
        *subject(result.context),
        content.coded(PROCEDURE_REPORTED, procedure, relation=mod),
    ]
    if key_slices(result):
        items.append(image_library(result))
    members = groups(result, profile, shown)
    if members:
        items.append(content.container(IMAGING_MEASUREMENTS, members))
    return (*items, evaluations(result, profile))


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
