"""A tree of content items, read back from a document."""

from collections.abc import Iterator

from pydicom import Dataset

from inference.results.concepts import IMAGING_MEASUREMENTS, MEASUREMENT_GROUP, TRACKING_UID

GRAPHICS = frozenset({"SCOORD", "SCOORD3D"})
"""Value types of items that draw something."""


def children(item: Dataset) -> list[Dataset]:
    """Return the items right below one."""
    return list(item.get("ContentSequence") or [])


def items(item: Dataset) -> Iterator[Dataset]:
    """Return all items below one, each before its own."""
    for child in children(item):
        yield child
        yield from items(child)


def groups(document: Dataset) -> Iterator[Dataset]:
    """Return the measurement groups of a report."""
    measurements = member(document, IMAGING_MEASUREMENTS.value)
    for item in children(measurements or Dataset()):
        if name(item) == MEASUREMENT_GROUP.value:
            yield item


def graphics(group: Dataset) -> list[Dataset]:
    """Return the items of a group that draw something."""
    return [item for item in children(group) if item.ValueType in GRAPHICS]


def member(item: Dataset, concept: str) -> Dataset | None:
    """Return the first item right below one that has a concept, by its code value."""
    return next((child for child in children(item) if name(child) == concept), None)


def name(item: Dataset) -> str:
    """Return the code value of an item's concept; empty when it has none."""
    names = item.get("ConceptNameCodeSequence") or [Dataset()]
    return str(names[0].get("CodeValue", ""))


def tracking_uid(group: Dataset) -> str | None:
    """Return the Tracking Unique Identifier of a group."""
    item = member(group, TRACKING_UID.value)
    return None if item is None else str(item.UID)


def evidence_faults(document: Dataset) -> Iterator[str]:
    """Every instance in the tree stands in the evidence too (PS3.3 C.17.2.3)."""
    evidence = {
        str(item.ReferencedSOPInstanceUID)
        for study in document.get("CurrentRequestedProcedureEvidenceSequence") or []
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    cited = {
        str(named.ReferencedSOPInstanceUID)
        for item in items(document)
        for named in item.get("ReferencedSOPSequence") or []
    }
    if not cited <= evidence:
        yield f"{len(cited - evidence)} instances of the tree are not in the evidence"
