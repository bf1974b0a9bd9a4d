"""Which DIMSE status tells a sender what happened: one table (PS3.4 Table B.2-1, PS3.7 Annex C)."""

from node.errors import ClassNotTaken, DoesNotMatch, NotUnderstood, OutOfResources, Rejected

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
CLASS_NOT_SUPPORTED = 0x0122
"""Refused: SOP Class not supported (PS3.7 C.5.24, PS3.4 Table B.2-1)."""
CANNOT_PROCESS = 0x0110
"""Processing failure (PS3.7 C.5.17): a bug of ours."""

# of normalised requests (PS3.7 Annex C.4 and C.5)
INVALID_ATTRIBUTE_VALUE = 0x0106
PROCESSING_FAILURE = 0x0110
DUPLICATE_INSTANCE = 0x0111
NO_SUCH_INSTANCE = 0x0112
NO_SUCH_EVENT_TYPE = 0x0113
INVALID_ARGUMENT_VALUE = 0x0115
INVALID_INSTANCE = 0x0117
CLASS_INSTANCE_CONFLICT = 0x0119
MISSING_ATTRIBUTE = 0x0120
MISSING_ATTRIBUTE_VALUE = 0x0121
NO_SUCH_ACTION = 0x0123
NOT_AUTHORIZED = 0x0124
DUPLICATE_TRANSACTION_UID = 0x0131
RESOURCE_LIMITATION = 0x0213

STEP_IS_OVER = 0xA710
"""Error ID of an N-SET on a step that may no longer be updated (PS3.4 F.7.2.2)."""

STATUS_OF: tuple[tuple[type[Rejected], int], ...] = (
    (OutOfResources, OUT_OF_RESOURCES),
    (DoesNotMatch, DOES_NOT_MATCH),
    (ClassNotTaken, CLASS_NOT_SUPPORTED),
    (NotUnderstood, CANNOT_UNDERSTAND),
)
"""The status of each kind of rejection."""


def status_of(error: Rejected) -> int:
    """Return the status that tells the sender of `error`."""
    return next(status for kind, status in STATUS_OF if isinstance(error, kind))
