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
from inference.results.companion_rules import (
    key_object_faults,
    notice_faults,
    presentation_faults,
    summary_faults,
)
from inference.results.examined import Examined, Origin, Source
from inference.results.grid_rules import grid_faults
from inference.results.map_rules import map_faults
from inference.results.object_rules import object_faults
from inference.results.objects import Kind, ResultObject, ResultObjects
from inference.results.profile import GENERIC_PACS, PROFILES, Profile
from inference.results.report_rules import report_faults
from inference.volume import Series


def check(
    objects: ResultObjects, series: Series, profile: Profile = PROFILES[GENERIC_PACS]
) -> None:
    """Refuse objects that are not fit to be sent.

    Parameters
    ----------
    objects
        The result, as `set.build` made it.
    series
        The series that it was made from.
    profile
        The profile that it was made by.

    Raises
    ------
    GateRefused
        With every fault; the job is parked, and nothing of the result is sent.
    """
    faults = tuple(_faults(tuple(map(Examined.of, objects)), Source.of(series), profile))
    if faults:
        raise GateRefused(faults)


def check_notice(notice: ResultObject, headers: Sequence[Dataset]) -> None:
    """Refuse a notice that is not fit to be sent.

    Parameters
    ----------
    headers
        Headers of the instances that were not analysed.

    Raises
    ------
    GateRefused
        With every fault; nothing is sent.
    """
    item, origin = Examined.of(notice), Origin.of_headers(headers)
    faults = (*object_faults(item, origin, ()), *notice_faults(item.dataset))
    if faults:
        raise GateRefused(tuple(f"{item.kind}: {fault}" for fault in faults))


def _faults(objects: tuple[Examined, ...], source: Source, profile: Profile) -> Iterator[str]:
    yield from _set_faults(objects, source)
    segmentations = [item.dataset for item in objects if item.kind is Kind.SEG]
    for item in objects:
        others = tuple(other for other in objects if other is not item)
        yield from (f"{item.kind}: {fault}" for fault in object_faults(item, source, others))
        rules = _own_faults(item, source, segmentations, profile)
        yield from (f"{item.kind}: {fault}" for fault in rules)


def _own_faults(
    item: Examined, source: Source, segmentations: Sequence[Dataset], profile: Profile
) -> Iterator[str]:
    """Say which rules of its kind an object breaks."""
    match item.kind:
        case Kind.SEG:
            yield from grid_faults(item.dataset, source)
        case Kind.PM:
            yield from map_faults(item.dataset, source)
        case Kind.SC:
            yield from capture_faults(item.dataset, source)
        case Kind.SR:
            yield from report_faults(item.dataset, source, segmentations, profile)
        case Kind.KO:
            yield from key_object_faults(item.dataset, source)
        case Kind.PR:
            yield from presentation_faults(item.dataset, source)
        case Kind.DOC:
            yield from summary_faults(item.dataset)


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
