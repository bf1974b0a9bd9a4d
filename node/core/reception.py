"""What it means when an instance arrives under a SOP Instance UID: new, known, corrected, in conflict."""

from collections.abc import Mapping
from dataclasses import dataclass

from inference.selection import Value
from node.core.study import GEOMETRY_KEYWORDS, IDENTITY_KEYWORDS, Header, Outcome

LOSSLESS_SYNTAXES = frozenset({
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.92",
    "1.2.840.10008.1.2.4.110",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.5",
})
"""Transfer syntaxes that cannot have changed a pixel."""


Known = tuple[Outcome, str]
"""(OWN, "") for a result of ours; (STORED, SHA-256 of its data set) for what we received."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One of two objects under one SOP Instance UID.

    Parameters
    ----------
    digest
        SHA-256 of the data set.
    transfer_syntax_uid
        How it is encoded.
    series_instance_uid, study_instance_uid
        Where it belongs.
    values
        Its head, by keyword.
    """

    digest: str
    transfer_syntax_uid: str
    series_instance_uid: str
    study_instance_uid: str
    values: Mapping[str, Value]

    @classmethod
    def of(cls, header: Header, digest: str) -> "Version":
        """Return what a header says of an object with this digest."""
        return cls(
            digest=digest,
            transfer_syntax_uid=header.transfer_syntax_uid,
            series_instance_uid=header.series_instance_uid,
            study_instance_uid=header.study_instance_uid,
            values=header.values,
        )


def classify(held: Version, arriving: Version, same_pixels: bool | None) -> Outcome:
    """Say what an instance is whose SOP Instance UID is known.

    Parameters
    ----------
    held, arriving
        What we have, and what came.
    same_pixels
        Whether the encoded pixels are equal byte for byte; None when the encodings differ. They are then
        not decoded, which would cost the listener too much: a lossless syntax keeps the pixels of a UID (a
        lossy one must take a new UID, PS3.3 C.7.6.1.1.5), so the heads decide.
    """
    if held.digest == arriving.digest:
        return Outcome.DUPLICATE
    if not _same_image(held, arriving, same_pixels):
        return Outcome.CONFLICT
    same = _of(held, IDENTITY_KEYWORDS) == _of(arriving, IDENTITY_KEYWORDS)
    return Outcome.DUPLICATE if same else Outcome.CORRECTION


def _same_image(held: Version, arriving: Version, same_pixels: bool | None) -> bool:
    if same_pixels is None:
        syntaxes = {held.transfer_syntax_uid, arriving.transfer_syntax_uid}
        same_pixels = len(syntaxes) == 2 and syntaxes <= LOSSLESS_SYNTAXES
    places = {
        (one.study_instance_uid, one.series_instance_uid, str(_of(one, GEOMETRY_KEYWORDS)))
        for one in (held, arriving)
    }
    return same_pixels and len(places) == 1


def _of(version: Version, keywords: tuple[str, ...]) -> dict[str, Value | None]:
    return {keyword: version.values.get(keyword) for keyword in keywords}
