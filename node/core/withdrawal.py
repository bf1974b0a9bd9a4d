"""What was delivered and must be taken back: a result that stands where it does not belong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from node.core.job import ResultInstance

IDENTITY_CORRECTED = "IDENTITY-CORRECTED"
"""Cause of a withdrawal, and reason of a delivery that is not made: the study is another patient's."""

SUPERSEDED = "SUPERSEDED"
"""Cause of a withdrawal where a newer result has arrived; reason of a delivery that is not made any more."""
RETRACTED = "RETRACTED"
"""Cause of a withdrawal, and reason of a delivery that is not made: somebody has retracted the result."""


NOT_ROUTED = "NOT-ROUTED"
"""Reason of a delivery that is not made: by the site's criteria this result is not for this destination."""


QUIET = frozenset({SUPERSEDED, IDENTITY_CORRECTED, RETRACTED, NOT_ROUTED})
"""Reasons of parked deliveries at which nobody has to look."""


class WithdrawalState(StrEnum):
    """How far one withdrawal is."""

    OWED = "OWED"
    WITHDRAWN = "WITHDRAWN"
    """The destination shows it as wrong, or never had it."""
    KEPT = "KEPT"
    """The destination corrects what it holds itself: nothing was asked of it."""
    PARKED = "PARKED"
    """It said no; somebody has to look at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalClaim:
    """A withdrawal that one worker holds until its lease ends.

    Parameters
    ----------
    transaction_uid
        Fence: every later write is conditional on it.
    cause
        Reason code.
    attempt
        1 for the first.
    lost_leases
        How many workers claimed it and were not heard of again.
    report
        What was delivered, as the result set has it.
    receipt
        What the destination gave for it; None when nobody knows whether it took it.
    instances
        The objects that it has, or may have.
    owed_at
        Since when it is to be taken back, in seconds since 1970.
    identity
        The identifying attributes of the study by now, as received.
    """

    withdrawal_id: str
    transaction_uid: str
    study_instance_uid: str
    destination: str
    cause: str
    attempt: int
    lost_leases: int
    report: Mapping[str, Any]
    receipt: Mapping[str, Any] | None
    instances: tuple[ResultInstance, ...] = ()
    owed_at: float = 0.0
    identity: Mapping[str, Any] = field(default_factory=dict)
