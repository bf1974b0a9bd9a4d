"""Rules for a report: TID 1500 as the viewers can read it, and true to its segmentation."""

from collections import Counter
from collections.abc import Iterator, Sequence

from pydicom import Dataset

from inference.results.concepts import IMAGING_MEASUREMENT_REPORT, REFERENCED_SEGMENT
from inference.results.document import COMPREHENSIVE_3D_SR
from inference.results.examined import Source
from inference.results.profile import Profile
from inference.results.region_rules import region_faults
from inference.results.tree import (
    children,
    evidence_faults,
    graphics,
    groups,
    items,
    member,
    name,
    tracking_uid,
)

STANDING = ["COMPLETE", "UNVERIFIED", "PRELIMINARY"]
"""Completion, Verification and Preliminary Flag of what a machine says."""


def report_faults(
    dataset: Dataset, source: Source, segmentations: Sequence[Dataset], profile: Profile
) -> Iterator[str]:
    """Say what is wrong with a report.

    Parameters
    ----------
    segmentations
        The Segmentations of the same result.
    profile
        Says whether groups may draw nothing.
    """
    if name(dataset) != IMAGING_MEASUREMENT_REPORT.value:
        yield "the root is not (126000, DCM): viewers show such a report as plain text"
    yield from standing_faults(dataset)
    found = list(groups(dataset))
    yield from _tracking_faults(found, profile)
    yield from _value_faults(found)
    yield from _segment_faults(found, segmentations)
    yield from (fault for group in found for fault in region_faults(group, source))
    yield from _class_faults(dataset)
    yield from evidence_faults(dataset)
    yield from _predecessor_faults(dataset, source)
    yield from _pertinent_faults(dataset, source)


def standing_faults(dataset: Dataset) -> Iterator[str]:
    """Say when a document does not say that nobody looked at it."""
    flags = [dataset.get(k) for k in ("CompletionFlag", "VerificationFlag", "PreliminaryFlag")]
    if flags != STANDING:
        yield "a machine's report is COMPLETE, UNVERIFIED and PRELIMINARY"


def _tracking_faults(found: list[Dataset], profile: Profile) -> Iterator[str]:
    untracked = sum(tracking_uid(group) is None for group in found)
    if untracked:
        yield f"{untracked} measurement groups have no Tracking UID: OHIF drops the whole report"
    drawn = {tracking_uid(group) for group in found if graphics(group)}
    bare = [group for group in found if tracking_uid(group) not in drawn]
    segments = sum(member(group, REFERENCED_SEGMENT.value) is not None for group in bare)
    if segments:
        yield f"{segments} volumetric groups have no planar companion: OHIF's page fails on them"
    if len(bare) > segments and not profile.groups_without_regions:
        yield f"{len(bare) - segments} groups draw nothing: OHIF's page fails on them"


def _value_faults(found: list[Dataset]) -> Iterator[str]:
    values = Counter(
        (tracking_uid(group), name(item))
        for group in found
        for item in children(group)
        if item.ValueType == "NUM"
    )
    twice = sum(count > 1 for count in values.values())
    if twice:
        yield f"{twice} values stand more than once"


def _segment_faults(found: list[Dataset], segmentations: Sequence[Dataset]) -> Iterator[str]:
    described = {
        (str(dataset.SOPInstanceUID), int(item.SegmentNumber)): str(item.get("TrackingUID"))
        for dataset in segmentations
        for item in dataset.SegmentSequence
    }
    for group in found:
        item = member(group, REFERENCED_SEGMENT.value)
        if item is None:
            continue
        named = item.ReferencedSOPSequence[0]
        key = (str(named.ReferencedSOPInstanceUID), int(named.get("ReferencedSegmentNumber", 0)))
        if key not in described:
            yield "a group references a segment that does not exist"
        elif described[key] != tracking_uid(group):
            yield "a group and its segment differ in Tracking UID"


def _class_faults(dataset: Dataset) -> Iterator[str]:
    in_space = any(item.ValueType == "SCOORD3D" for item in items(dataset))
    if in_space and dataset.SOPClassUID != COMPREHENSIVE_3D_SR:
        yield "points in the patient stand in a class that has none (PS3.3 A.35)"


def _pertinent_faults(dataset: Dataset, source: Source) -> Iterator[str]:
    for study in dataset.get("PertinentOtherEvidenceSequence") or []:
        if study.StudyInstanceUID == source.header.StudyInstanceUID:
            yield "what is of the study itself stands among the evidence of others (PS3.3 C.17.2.3)"


def _predecessor_faults(dataset: Dataset, source: Source) -> Iterator[str]:
    for study in dataset.get("PredecessorDocumentsSequence") or []:
        if study.StudyInstanceUID != source.header.StudyInstanceUID:
            yield "a predecessor is of another study"
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                if item.ReferencedSOPInstanceUID == dataset.SOPInstanceUID:
                    yield "a report names itself as its predecessor"
