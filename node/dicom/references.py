"""Lists of instances in the data sets of normalised requests, read within bounds.

Whatever leaves here has valid UIDs, no doubles, and no more than `MOST_INSTANCES` of them.
"""

from collections.abc import Iterator
from typing import Any

from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ImplicitVRLittleEndian

from node.core.announcement import Announced
from node.core.commitment import Reference
from node.core.identifiers import is_uid
from node.dicom import status
from node.dicom.values import UNREADABLE
from node.errors import Declined

MOST_INSTANCES = 20_000
"""In one list: more than any study has, and a bound on what one request makes us write."""

_UNDEFINED_LENGTH = 0xFFFFFFFF
_LONG_LENGTH = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""Explicit VRs with a length of four bytes (PS3.5 7.1.2)."""

MOST_BYTES = 8 << 20
"""Of an encoded data set: `MOST_INSTANCES` references and what stands around them."""


def read(event: Any, encoded: str, decoded: str) -> Dataset:
    """Decode the data set of a request.

    Parameters
    ----------
    event
        pynetdicom's event.
    encoded, decoded
        Names of the request's bytes (``ActionInformation``) and of the event's data set
        (``action_information``).

    Raises
    ------
    Declined
        It is too long (0213), or cannot be parsed (0110).
    """
    request = getattr(event.request, encoded)
    data = b"" if request is None else request.getvalue()
    if len(data) > MOST_BYTES:
        raise Declined(status.RESOURCE_LIMITATION, f"a data set of more than {MOST_BYTES} bytes")
    if _cut_off(data, implicit=event.context.transfer_syntax == ImplicitVRLittleEndian):
        raise Declined(status.PROCESSING_FAILURE, "the data set ends inside an element")
    try:
        dataset: Dataset = getattr(event, decoded)
        for _ in dataset.iterall():  # pydicom parses late: what is damaged must show here
            pass
    except (*UNREADABLE, RecursionError) as error:
        detail = f"the data set cannot be parsed: {type(error).__name__}"
        raise Declined(status.PROCESSING_FAILURE, detail) from error
    return dataset


def required(dataset: Dataset, keyword: str) -> Any:
    """Return the value of a Type 1 attribute.

    Raises
    ------
    Declined
        It is absent (0120) or empty (0121).
    """
    if keyword not in dataset:
        raise Declined(status.MISSING_ATTRIBUTE, f"{keyword} is absent")
    value = dataset.get(keyword)
    if value is None or not len(value):
        raise Declined(status.MISSING_ATTRIBUTE_VALUE, f"{keyword} is empty")
    return value


def uid(dataset: Dataset, keyword: str) -> str:
    """Return a UID.

    Raises
    ------
    Declined
        It is absent (0120), empty (0121) or malformed (0106).
    """
    value = str(required(dataset, keyword))
    if not is_uid(value):
        raise Declined(status.INVALID_ATTRIBUTE_VALUE, f"{keyword} is no UID")
    return value


def references(dataset: Dataset) -> tuple[Reference, ...]:
    """Return the Referenced SOP Sequence (0008,1199) of a Storage Commitment request.

    Raises
    ------
    Declined
        It is absent or empty, too long, or names something that is no UID.
    """
    items = _items(required(dataset, "ReferencedSOPSequence"))
    found = [
        Reference(
            sop_class_uid=uid(item, "ReferencedSOPClassUID"),
            sop_instance_uid=uid(item, "ReferencedSOPInstanceUID"),
        )
        for item in items
    ]
    unique = {one.sop_instance_uid: one for one in found}
    if len(unique) != len({*found}):
        detail = "one instance is listed under two SOP classes"
        raise Declined(status.INVALID_ATTRIBUTE_VALUE, detail)
    return tuple(unique.values())


def failed_references(dataset: Dataset) -> dict[str, int]:
    """Return Failure Reason (0008,1197) by SOP Instance UID of a Failed SOP Sequence (0008,1198).

    One without a reason counts as a processing failure (0110).

    Raises
    ------
    Declined
        It is too long, or names something that is no UID.
    """
    items = _items(dataset.get("FailedSOPSequence") or ())
    return {
        uid(item, "ReferencedSOPInstanceUID"): int(
            item.get("FailureReason") or status.PROCESSING_FAILURE
        )
        for item in items
    }


def performed(dataset: Dataset) -> tuple[tuple[str, str], ...] | None:
    """Return (series, instance) of the Performed Series Sequence (0040,0340); None when it is absent.

    Raises
    ------
    Declined
        It is too long, or names something that is no UID.
    """
    if "PerformedSeriesSequence" not in dataset:
        return None
    names = ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")
    return _of_series(dataset, "PerformedSeriesSequence", names)


def available(dataset: Dataset) -> tuple[Announced, ...]:
    """Return what an Instance Availability Notification lists, without what is UNAVAILABLE.

    Raises
    ------
    Declined
        Study or list is absent, too long, or names something that is no UID.
    """
    study = uid(dataset, "StudyInstanceUID")
    required(dataset, "ReferencedSeriesSequence")
    return tuple(
        Announced(sop_instance_uid=instance, series_instance_uid=series, study_instance_uid=study)
        for series, instance in _of_series(
            dataset, "ReferencedSeriesSequence", ("ReferencedSOPSequence",)
        )
    )


def first_item(dataset: Dataset, keyword: str) -> Dataset:
    """Return the first item of a Type 1 sequence.

    Raises
    ------
    Declined
        It is absent (0120), empty (0121) or no sequence (0106).
    """
    return next(iter(_items(required(dataset, keyword))))


def _cut_off(data: bytes, *, implicit: bool) -> bool:
    """Whether a little-endian data set ends inside an element: pydicom would read a shorter UID there."""
    at = 0
    while at < len(data):
        if implicit:
            begin, width = at + 8, 4
        elif data[at + 4 : at + 6] in _LONG_LENGTH:
            begin, width = at + 12, 4
        else:
            begin, width = at + 8, 2
        length = int.from_bytes(data[begin - width : begin], "little")
        if width == 4 and length == _UNDEFINED_LENGTH:
            return False  # its own delimiters tell, and pydicom looks for them
        at = begin + length
    return at > len(data)


def _of_series(
    dataset: Dataset, keyword: str, lists: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for series in _items(dataset.get(keyword) or ()):
        series_uid = uid(series, "SeriesInstanceUID")
        for item in _listed(series, lists):
            if item.get("InstanceAvailability") != "UNAVAILABLE":
                found[uid(item, "ReferencedSOPInstanceUID")] = series_uid
        _bounded(len(found))
    return tuple((series, instance) for instance, series in found.items())


def _listed(series: Dataset, lists: tuple[str, ...]) -> Iterator[Dataset]:
    for keyword in lists:
        yield from _items(series.get(keyword) or ())


def _items(value: Any) -> Sequence | tuple[()]:
    if value == ():
        return ()
    if not isinstance(value, Sequence):
        raise Declined(status.INVALID_ATTRIBUTE_VALUE, "a sequence has another representation")
    _bounded(len(value))
    return value


def _bounded(count: int) -> None:
    if count > MOST_INSTANCES:
        raise Declined(
            status.RESOURCE_LIMITATION, f"a list of more than {MOST_INSTANCES} instances"
        )
