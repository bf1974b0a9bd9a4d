"""What is done about a failure: one table for every step that works on something owed."""

from collections.abc import Callable
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


REJECTED = "ASSOCIATION-REJECTED"
UNAUTHORIZED = "-401"
"""Reasons, and ends of them, by which a peer refuses whoever comes, not what is brought."""

Delay = Callable[[int], float]
"""Seconds until the next attempt, by the number of the one that failed."""


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


def delay_s(attempt: int) -> float:
    """Return the common delay: doubling from `FIRST_DELAY_S` to `LONGEST_DELAY_S`, for ever."""
    return float(min(FIRST_DELAY_S * 2 ** min(attempt - 1, 20), LONGEST_DELAY_S))


def unanswered(error: Exception) -> bool:
    """Whether a failure says that a peer is not there, or lets nobody in: of anybody it would be the same."""
    return isinstance(error, Unavailable) or (
        isinstance(error, Refused)
        and (error.reason == REJECTED or error.reason.endswith(UNAUTHORIZED))
    )


def decide(error: Exception, attempt: int, delay: Delay = delay_s) -> Again | Park:
    """Say what is done about a failure of the kinds in `Handled`.

    Parameters
    ----------
    error
        The failure.
    attempt
        1 for the first.
    delay
        When it is tried again; it never ends.
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
            return Again(delay(attempt), "MODEL-SERVER-UNAVAILABLE")
        case Unavailable():
            return Again(delay(attempt), "PEER-UNAVAILABLE")
        case _:
            return Again(delay(attempt), "OUT-OF-RESOURCES")


def decide_sending(error: Exception, attempt: int, delay: Delay = delay_s) -> Again | Park:
    """Say what is done about a failure to bring something to a destination, or to take it back.

    As `decide`, but one that lets nobody in is tried again: what is owed to it is as good as before.
    """
    if isinstance(error, Refused) and unanswered(error):
        return Again(delay(attempt), error.reason)
    return decide(error, attempt, delay)
