"""Send reports as ORU^R01: one message at a time, each under a control id that stays its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Literal

from integrations.destination import Progress, Receipt
from integrations.errors import Refused, Unavailable
from integrations.hl7 import answers, oru
from integrations.hl7.answers import Answer, Said
from integrations.hl7.oru import Letterhead, Purpose, control_id, filler_number
from integrations.hl7.sending import MllpPeer, exchange
from integrations.report import Instance, PatientIdentity, Report

What = Literal["retry", "park"]

_FOR_GOOD = frozenset({200, 201, 202, 203})
"""Conditions of table 0357 that no later attempt mends: kind, event, processing id or version is not taken."""
_LOCKED = 206
"""Condition of table 0357 that passes: the application's record is locked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """What a no of the receiver means at this site.

    Parameters
    ----------
    on_error
        AE: the standard has it say that the content is wrong.
    on_reject
        AR: the standard has it say that something else was in the way.
    """

    on_error: What = "park"
    on_reject: What = "retry"


class OruDestination:
    """The `Destination` that takes messages of HL7 version 2.

    A receiver cannot be asked what it holds. So a message is sent until it is answered, as the same bytes under
    the same control id; a receiver that keeps to the standard has it once. Of two revisions the later one
    counts by OBR-22; who sends them keeps their order.

    Parameters
    ----------
    peer
        Where to.
    letterhead
        What stands in every message.
    manners
        What its answers mean.
    """

    def __init__(
        self, peer: MllpPeer, letterhead: Letterhead | None = None, manners: Manners | None = None
    ) -> None:
        self._peer = peer
        self._letterhead = Letterhead() if letterhead is None else letterhead
        self._manners = Manners() if manners is None else manners
        self._one_at_a_time = Lock()

    def deliver(
        self,
        report: Report,
        instances: Sequence[Instance],
        *,
        in_doubt: frozenset[str],
        progress: Progress,
    ) -> Receipt:
        """Send the report, preliminary.

        The instances and their progress are not used: a message has none.

        Raises
        ------
        Unavailable
            No answer, or a no that passes.
        Refused
            ``NO-PATIENT-ID``, ``NO-ASSIGNING-AUTHORITY``; the receiver's no, with the condition that it tells
            (``HL7-AE-204``); or what it answers is no acknowledgment of this message.
        """
        message = oru.result(report, self._letterhead)
        return self._sent(report, message, Purpose.RESULT)

    def withdraw(
        self,
        report: Report,
        receipt: Receipt | None,
        reason: str,
        *,
        instances: Sequence[Instance] = (),
        owed_at: datetime | None = None,
        patient: PatientIdentity | None = None,
    ) -> Receipt:
        """Send that the report does not hold, on the patient on whom it was sent.

        Also where nobody knows whether it arrived: then the receiver has it as withdrawn from the beginning.

        Raises
        ------
        Unavailable
            No answer, or a no that passes.
        Refused
            As `deliver`.
        """
        at = report.issued if owed_at is None else owed_at
        message = oru.withdrawal(report, self._letterhead, at)
        return self._sent(report, message, Purpose.WITHDRAWAL)

    def _sent(self, report: Report, message: bytes, purpose: Purpose) -> Receipt:
        own = control_id(report, purpose)
        with self._one_at_a_time:
            answer = answers.read(exchange(self._peer, message))
        if answer.control_id != own:
            raise Refused(
                "HL7-OTHER-ANSWER", f"{self._peer} answers to another control id than {own}"
            )
        if answer.said is not Said.ACCEPTED:
            raise self._no(answer, own)
        remark = None if answer.code == "AA" else f"{answer.code}: kept, not worked through yet"
        return Receipt(references=(filler_number(report), own), confirmed=True, remark=remark)

    def _no(self, answer: Answer, own: str) -> Refused | Unavailable:
        manners, condition = self._manners, answer.condition
        what = manners.on_error if answer.said is Said.ERROR else manners.on_reject
        code = answer.code if condition is None else f"{answer.code}-{condition}"
        told = f"{self._peer} answered {code} to control id {own}"
        if condition == _LOCKED or (what == "retry" and condition not in _FOR_GOOD):
            return Unavailable(told)
        return Refused(f"HL7-{code}", told)
