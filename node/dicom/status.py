"""Which DIMSE status tells a sender what happened: one table (PS3.4 Table B.2-1, PS3.7 Annex C)."""

from node.errors import DoesNotMatch, NotUnderstood, OutOfResources, Rejected

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
CANNOT_PROCESS = 0x0110
"""Processing failure (PS3.7 C.5.17): a bug of ours."""

STATUS_OF: tuple[tuple[type[Rejected], int], ...] = (
    (OutOfResources, OUT_OF_RESOURCES),
    (DoesNotMatch, DOES_NOT_MATCH),
    (NotUnderstood, CANNOT_UNDERSTAND),
)
"""The status of each kind of rejection."""


def status_of(error: Rejected) -> int:
    """Return the status that tells the sender of `error`."""
    return next(status for kind, status in STATUS_OF if isinstance(error, kind))
