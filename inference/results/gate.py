"""The last look at a result before it may leave the node.

What is checked is the bytes that would be sent, read back. The rules are those that a validator of one
object cannot know, because they hold between the object, its source and the other objects of the
result, and those of the viewers. Every fault is told at once, and none tells a patient's data.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from pydicom import Dataset

from inference.errors import GateRefused
from inference.results.capture_rules import capture_faults
from inference.results.examined import Examined, Source
from inference.results.grid_rules import grid_faults
from inference.results.map_rules import map_faults
from inference.results.object_rules import object_faults
from inference.results.objects import Kind, ResultObjects
from inference.results.report_rules import report_faults
from inference.volume import Series


def check(objects: ResultObjects, series: Series) -> None:
    """Refuse objects that are not fit to be sent.

    Parameters
    ----------
    objects
        The result, as `set.build` made it.
    series
        The series that it was made from.

    Raises
    ------
    GateRefused
        With every fault; the job is parked, and nothing of the result is sent.
    """
    faults = tuple(_faults(tuple(map(Examined.of, objects)), Source.of(series)))
    if faults:
        raise GateRefused(faults)


def _faults(objects: tuple[Examined, ...], source: Source) -> Iterator[str]:
    yield from _set_faults(objects, source)
    for item in objects:
        others = tuple(other for other in objects if other is not item)
        yield from (f"{item.kind}: {fault}" for fault in object_faults(item, source, others))
    segmentations = [item.dataset for item in objects if item.kind is Kind.SEG]
    for dataset in segmentations:
        yield from (f"{Kind.SEG}: {fault}" for fault in grid_faults(dataset, source))
    for item in objects:
        yield from (f"{item.kind}: {fault}" for fault in _own_faults(item, source, segmentations))


def _own_faults(item: Examined, source: Source, segmentations: Sequence[Dataset]) -> Iterator[str]:
    """Say which rules of its kind an object breaks."""
    match item.kind:
        case Kind.SR:
            yield from report_faults(item.dataset, source, segmentations)
        case Kind.PM:
            yield from map_faults(item.dataset, source)
        case Kind.SC:
            yield from capture_faults(item.dataset, source)


def _set_faults(objects: tuple[Examined, ...], source: Source) -> Iterator[str]:
    kinds = Counter(item.kind for item in objects)
    if kinds[Kind.SR] != 1:
        yield f"a result has exactly one SR, not {kinds[Kind.SR]}"
    if _share(objects, "SeriesInstanceUID"):
        yield "two objects share a series: viewers show one of them"
    if any(item.dataset.SeriesInstanceUID == source.header.SeriesInstanceUID for item in objects):
        yield "an object stands in the series of its source"
    if _share(objects, "SeriesNumber"):
        yield "two objects share a Series Number"


def _share(objects: tuple[Examined, ...], keyword: str) -> bool:
    """Whether two objects have one value; captures may, which are pages of one series."""
    values = [item.dataset.get(keyword) for item in objects if item.kind is not Kind.SC]
    values += {item.dataset.get(keyword) for item in objects if item.kind is Kind.SC}
    return len(set(values)) < len(values)
