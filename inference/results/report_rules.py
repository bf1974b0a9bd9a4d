"""Rules for a report: TID 1500 as the viewers can read it, and true to its segmentation."""

from collections import Counter
from collections.abc import Iterator, Sequence

from pydicom import Dataset

from inference.results.concepts import IMAGING_MEASUREMENT_REPORT, IMAGING_MEASUREMENTS
from inference.results.examined import Source

MEASUREMENT_GROUP = "125007"
TRACKING_UID = "112040"
REFERENCED_SEGMENT = "121191"
IMAGE_REGION = "111030"


def report_faults(
    dataset: Dataset, source: Source, segmentations: Sequence[Dataset]
) -> Iterator[str]:
    """Say what is wrong with a report.

    Parameters
    ----------
    segmentations
        The Segmentations of the same result.
    """
    if _name(dataset) != IMAGING_MEASUREMENT_REPORT.value:
        yield "the root is not (126000, DCM): viewers show such a report as plain text"
    flags = [dataset.get(k) for k in ("CompletionFlag", "VerificationFlag", "PreliminaryFlag")]
    if flags != ["COMPLETE", "UNVERIFIED", "PRELIMINARY"]:
        yield "a machine's report is COMPLETE, UNVERIFIED and PRELIMINARY"
    groups = list(_groups(dataset))
    yield from _tracking_faults(groups)
    yield from _value_faults(groups)
    yield from _segment_faults(groups, segmentations)
    yield from _region_faults(groups, source)
    yield from _evidence_faults(dataset)


def _tracking_faults(groups: list[Dataset]) -> Iterator[str]:
    untracked = sum(_tracking_uid(group) is None for group in groups)
    if untracked:
        yield f"{untracked} measurement groups have no Tracking UID: OHIF drops the whole report"
    planar = {_tracking_uid(group) for group in groups if _member(group, IMAGE_REGION) is not None}
    alone = sum(
        _member(group, REFERENCED_SEGMENT) is not None and _tracking_uid(group) not in planar
        for group in groups
    )
    if alone:
        yield f"{alone} volumetric groups have no planar companion: OHIF's page fails on them"


def _value_faults(groups: list[Dataset]) -> Iterator[str]:
    values = Counter(
        (_tracking_uid(group), _name(item))
        for group in groups
        for item in group.get("ContentSequence") or []
        if item.ValueType == "NUM"
    )
    twice = sum(count > 1 for count in values.values())
    if twice:
        yield f"{twice} values stand more than once"


def _segment_faults(groups: list[Dataset], segmentations: Sequence[Dataset]) -> Iterator[str]:
    described = {
        (str(dataset.SOPInstanceUID), int(item.SegmentNumber)): str(item.get("TrackingUID"))
        for dataset in segmentations
        for item in dataset.SegmentSequence
    }
    for group in groups:
        item = _member(group, REFERENCED_SEGMENT)
        if item is None:
            continue
        named = item.ReferencedSOPSequence[0]
        key = (str(named.ReferencedSOPInstanceUID), int(named.get("ReferencedSegmentNumber", 0)))
        if key not in described:
            yield "a group references a segment that does not exist"
        elif described[key] != _tracking_uid(group):
            yield "a group and its segment differ in Tracking UID"


def _region_faults(groups: list[Dataset], source: Source) -> Iterator[str]:
    plane = source.series.planes[0]
    for group in groups:
        item = _member(group, IMAGE_REGION)
        if item is None:
            continue
        data = [float(value) for value in item.GraphicData]
        columns, rows = data[::2], data[1::2]
        if not (
            min(columns) >= 0
            and max(columns) <= plane.columns
            and min(rows) >= 0
            and max(rows) <= plane.rows
        ):
            yield "a contour leaves its image"
        if data[:2] != data[-2:]:
            yield "a contour is not closed"


def _evidence_faults(dataset: Dataset) -> Iterator[str]:
    """Every instance in the tree stands in the evidence too (PS3.3 C.17.2.3)."""
    evidence = {
        str(item.ReferencedSOPInstanceUID)
        for study in dataset.get("CurrentRequestedProcedureEvidenceSequence") or []
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    cited = {
        str(named.ReferencedSOPInstanceUID)
        for item in _items(dataset)
        for named in item.get("ReferencedSOPSequence") or []
    }
    if not cited <= evidence:
        yield f"{len(cited - evidence)} instances of the tree are not in the evidence"


def _groups(dataset: Dataset) -> Iterator[Dataset]:
    measurements = _member(dataset, IMAGING_MEASUREMENTS.value)
    for item in (measurements or Dataset()).get("ContentSequence") or []:
        if _name(item) == MEASUREMENT_GROUP:
            yield item


def _items(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence") or []:
        yield child
        yield from _items(child)


def _member(item: Dataset, concept: str) -> Dataset | None:
    members = (child for child in item.get("ContentSequence") or [] if _name(child) == concept)
    return next(members, None)


def _name(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence") or [Dataset()]
    return str(names[0].get("CodeValue", ""))


def _tracking_uid(group: Dataset) -> str | None:
    item = _member(group, TRACKING_UID)
    return None if item is None else str(item.UID)
