"""The last look at a result before it may leave the node.

What is checked is the bytes that would be sent, read back. The rules are those that a validator of one
object cannot know, because they hold between the object, its source and the other objects of the
result, and those of the viewers. Every fault is told at once, and none tells a patient's data.
"""

from collections import Counter
from collections.abc import Iterator

from inference.errors import GateRefused
from inference.results.examined import Examined, Source
from inference.results.grid_rules import grid_faults
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
        if item.kind is Kind.SR:
            rules = report_faults(item.dataset, source, segmentations)
            yield from (f"{Kind.SR}: {fault}" for fault in rules)


def _set_faults(objects: tuple[Examined, ...], source: Source) -> Iterator[str]:
    kinds = Counter(item.kind for item in objects)
    if kinds[Kind.SR] != 1:
        yield f"a result has exactly one SR, not {kinds[Kind.SR]}"
    all_series = Counter(str(item.dataset.SeriesInstanceUID) for item in objects)
    if any(count > 1 for count in all_series.values()):
        yield "two objects share a series: viewers show one of them"
    if str(source.header.SeriesInstanceUID) in all_series:
        yield "an object stands in the series of its source"
    numbers = Counter(item.dataset.get("SeriesNumber") for item in objects)
    if any(count > 1 for count in numbers.values()):
        yield "two objects share a Series Number"
