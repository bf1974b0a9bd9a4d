"""What is done about a failure: one table for every step that works on something owed."""

from dataclasses import dataclass

from inference.errors import (
    AnswerUnreadable,
    CardInvalid,
    GateRefused,
    ModelFailed,
    SeriesUnusable,
    ServerUnavailable,
)
from integrations.errors import Refused, Unavailable
from node.errors import OutOfResources

FIRST_DELAY_S = 2.0
LONGEST_DELAY_S = 900.0

Handled = (
    SeriesUnusable,
    CardInvalid,
    ModelFailed,
    GateRefused,
    AnswerUnreadable,
    ServerUnavailable,
    Refused,
    Unavailable,
    OutOfResources,
)
"""Failures that somebody else must mend; anything beside them is a bug of ours and crashes the task."""


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after a while: the other side was not there."""

    after_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Park:
    """Stop, with a reason code: trying again would fail again."""

    reason: str
    detail: str


def decide(error: Exception, attempt: int) -> Again | Park:
    """Say what is done about a failure of the kinds in `Handled`.

    Delays double from `FIRST_DELAY_S` to `LONGEST_DELAY_S` and never end: 2, 4, 8 … 900, 900 s.

    Parameters
    ----------
    error
        The failure.
    attempt
        1 for the first.
    """
    match error:
        case SeriesUnusable() | Refused():
            return Park(error.reason, error.detail)
        case CardInvalid():
            return Park("CARD-INVALID", str(error))
        case ModelFailed():
            return Park("MODEL-FAILED", str(error))
        case GateRefused():
            return Park("RESULT-REFUSED-BY-GATE", str(error))
        case AnswerUnreadable():
            return Park("ANSWER-UNREADABLE", str(error))
        case ServerUnavailable():
            return Again(_delay_s(attempt), "MODEL-SERVER-UNAVAILABLE")
        case Unavailable():
            return Again(_delay_s(attempt), "PEER-UNAVAILABLE")
        case _:
            return Again(_delay_s(attempt), "OUT-OF-RESOURCES")


def _delay_s(attempt: int) -> float:
    return float(min(FIRST_DELAY_S * 2 ** min(attempt - 1, 20), LONGEST_DELAY_S))
