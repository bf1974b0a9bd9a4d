"""The measurement groups of a report (PS3.16 TID 1410, 1411, 1501)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference.card import Card, Segment
from inference.declared import Target
from inference.findings import Classification, Detection, Finding, Form, Reading, Result
from inference.results import content
from inference.results.concepts import (
    FINDING,
    FINDING_CATEGORY,
    IMAGE_REGION,
    MEASUREMENT_GROUP,
    REFERENCED_SEGMENT,
    SOURCE_SERIES,
    VISUAL_EXPLANATION,
)
from inference.results.content import Item, Reference, Relation
from inference.results.marks import CLOSED, frame, in_patient
from inference.results.parts import (
    PRESENCES,
    algorithm,
    measured,
    scored,
    sites,
    tracked,
)
from inference.results.profile import Coordinates, Profile, ReportClass

PLANAR, VOLUMETRIC, OF_THE_WHOLE = "1410", "1411", "1501"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The objects that a report refers to, and how it may.

    Parameters
    ----------
    segmentation
        The Segmentation of the same set; None when there is none.
    parametric_map
        Its saliency map; None when there is none.
    in_three_dimensions
        Contours are given in the patient, not on their image.
    """

    segmentation: Dataset | None
    parametric_map: Dataset | None
    in_three_dimensions: bool

    @classmethod
    def by(
        cls, profile: Profile, segmentation: Dataset | None, parametric_map: Dataset | None
    ) -> "Shown":
        """Return what a profile allows: only Comprehensive 3D SR has points in the patient (PS3.3 A.35.13)."""
        whole = profile.report is ReportClass.COMPREHENSIVE_3D
        return cls(
            segmentation=segmentation,
            parametric_map=parametric_map,
            in_three_dimensions=whole and profile.coordinates is Coordinates.SCOORD3D,
        )


def groups(result: Result, profile: Profile, shown: Shown) -> list[Item]:
    """Return the groups of everything that was found, of a segment the volumetric one first.

    Viewers merge groups of one Tracking UID and list their values in this order.
    """
    members = []
    for finding in result.findings:
        if finding.present:
            members.append(_whole(result, finding, shown))
        if finding.key_slice is not None:
            members.append(_planar(result, finding, shown))
    members += [_place(result, detection, shown) for detection in result.detections]
    if profile.groups_without_regions:
        members += [_answer(result.card, one) for one in result.classifications]
        members += [_reading(result.card, one) for one in result.readings]
    return members


def _whole(result: Result, finding: Finding, shown: Shown) -> Item:
    """Return the values of a whole segment: with a reference to it, where there is an object that has it."""
    members = [
        *_described(result.card, finding, finding.segment),
        *_explained(result, finding.tracking_uid, shown),
        *map(measured, finding.measurements),
    ]
    segmentation = shown.segmentation
    if segmentation is None:
        return content.container(MEASUREMENT_GROUP, members, template=OF_THE_WHOLE)
    reference = Reference(
        sop_class_uid=str(segmentation.SOPClassUID),
        sop_instance_uid=str(segmentation.SOPInstanceUID),
        segment_number=finding.segment.number,
    )
    series_instance_uid = str(result.series.headers[0].SeriesInstanceUID)
    members += [
        content.image(REFERENCED_SEGMENT, reference),
        content.uid(SOURCE_SERIES, series_instance_uid),
    ]
    return content.container(MEASUREMENT_GROUP, members, template=VOLUMETRIC)


def _planar(result: Result, finding: Finding, shown: Shown) -> Item:
    key = finding.key_slice
    if key is None:
        raise ValueError("a planar group needs a key slice")
    members = [
        *_described(result.card, finding, finding.segment),
        *_explained(result, finding.tracking_uid, shown),
        *map(measured, key.measurements),
        _region(result, key.index, Form.CONTOUR, key.contour, shown),
    ]
    return content.container(MEASUREMENT_GROUP, members, template=PLANAR)


def _place(result: Result, detection: Detection, shown: Shown) -> Item:
    members = [
        *_described(result.card, detection, detection.target),
        *_explained(result, detection.tracking_uid, shown),
    ]
    members += [
        *map(measured, detection.measurements),
        *scored(detection.target.decision, detection.score, Relation.CONTAINS),
        _region(result, detection.index, detection.form, detection.points, shown),
    ]
    return content.container(MEASUREMENT_GROUP, members, template=PLANAR)


def _answer(card: Card, answer: Classification) -> Item:
    # No Finding (121071, DCM): readers take it for something that is there, also where the answer is absent.
    question = answer.question
    members = [
        *tracked(answer),
        *sites(question.finding_site, question.laterality),
        *algorithm(card),
        *scored(question.decision, answer.score, Relation.CONTAINS),
        content.coded(question.type, PRESENCES[answer.presence]),
    ]
    return content.container(MEASUREMENT_GROUP, members, template=OF_THE_WHOLE)


def _reading(card: Card, reading: Reading) -> Item:
    members = [
        *tracked(reading),
        *sites(reading.quantity.finding_site, reading.quantity.laterality),
        *algorithm(card),
        measured(reading.measurement),
    ]
    return content.container(MEASUREMENT_GROUP, members, template=OF_THE_WHOLE)


def _region(
    result: Result, index: int, form: Form, points: NDArray[np.float64], shown: Shown
) -> Item:
    open_type = "POINT" if form is Form.POINT else "POLYLINE"
    if not shown.in_three_dimensions:
        where = frame(result.series, index)
        return content.coordinates(IMAGE_REGION, open_type, points, where)
    return content.coordinates_3d(
        IMAGE_REGION,
        "POLYGON" if form in CLOSED else open_type,
        in_patient(result.series, index, points),
        str(result.series.headers[0].FrameOfReferenceUID),
    )


def _described(card: Card, finding: Finding | Detection, what: Segment | Target) -> list[Item]:
    return [
        *tracked(finding),
        content.coded(FINDING_CATEGORY, what.category),
        content.coded(FINDING, what.type),
        *sites(what.finding_site, what.laterality),
        *algorithm(card),
    ]


def _explained(result: Result, tracking_uid: str, shown: Shown) -> list[Item]:
    """Return the reference to the saliency map, where it explains this finding."""
    saliency, parametric_map = result.saliency, shown.parametric_map
    if saliency is None or parametric_map is None or tracking_uid not in saliency.explains:
        return []
    reference = Reference(
        sop_class_uid=str(parametric_map.SOPClassUID),
        sop_instance_uid=str(parametric_map.SOPInstanceUID),
    )
    return [content.image(VISUAL_EXPLANATION, reference)]
