"""What the gate's rules look at."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydicom import DataElement, Dataset, dcmread
from pydicom.config import disable_value_validation

from inference.geometry import Plane
from inference.results.headers import decoded
from inference.results.modules import IDENTITY
from inference.results.objects import Kind, ResultObject
from inference.volume import Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One object, read back from its bytes.

    Parameters
    ----------
    elements
        All data elements of `dataset`, those of its sequences among them.
    """

    kind: Kind
    dataset: Dataset
    elements: tuple[DataElement, ...]

    @classmethod
    def of(cls, item: ResultObject) -> "Examined":
        """Read an object from its bytes."""
        with disable_value_validation():  # it would tell the source's own wrong values to the log
            dataset = dcmread(io.BytesIO(item.encoded))
            elements = tuple(dataset.iterall())
        return cls(kind=item.kind, dataset=dataset, elements=elements)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The instances that a result speaks of, as the rules for every object need them.

    Parameters
    ----------
    identities
        For each keyword of `IDENTITY` the values, decoded, that its instances have: one, if they agree.
    sop_classes
        SOP Class UID of each instance, by SOP Instance UID.
    """

    identities: Mapping[str, frozenset[str]]
    sop_classes: Mapping[str, str]

    @classmethod
    def of_headers(cls, headers: Sequence[Dataset]) -> "Origin":
        """Read what the rules need from the headers of any instances of a study."""
        return cls(
            identities=_identities(headers),
            sop_classes={str(h.SOPInstanceUID): str(h.SOPClassUID) for h in headers},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Origin):
    """The source of a result, as its rules need it.

    Parameters
    ----------
    series
        The series itself.
    planes
        The plane of each frame, by SOP Instance UID and frame number.
    """

    series: Series
    planes: Mapping[tuple[str, int], Plane]

    @property
    def header(self) -> Dataset:
        """The first slice's header."""
        return self.series.headers[0]

    @classmethod
    def of(cls, series: Series) -> "Source":
        """Read what the rules need from a series."""
        return cls(
            series=series,
            identities=_identities(series.headers),
            planes={
                (str(series.headers[where].SOPInstanceUID), number): plane
                for plane, (where, number) in zip(series.planes, series.frames, strict=True)
            },
            sop_classes={str(h.SOPInstanceUID): str(h.SOPClassUID) for h in series.headers},
        )


def identifying(known: Dataset, keyword: str) -> str:
    """Return an attribute of `IDENTITY` as it is compared: absent and empty are the same."""
    return str(known.get(keyword) or "")


def _identities(headers: Sequence[Dataset]) -> dict[str, frozenset[str]]:
    # What is the same byte for byte is decoded once: a series has hundreds of headers and one patient.
    written = {_written(header): header for header in headers}
    known = [decoded(header, IDENTITY) for header in written.values()]
    return {keyword: frozenset(identifying(one, keyword) for one in known) for keyword in IDENTITY}


def _written(header: Dataset) -> tuple[str, ...]:
    return tuple(
        f"{header.get_item(keyword).VR} {header.get_item(keyword).value!r}"
        if keyword in header
        else ""
        for keyword in ("SpecificCharacterSet", *IDENTITY)
    )
