"""Somebody a report is brought to: the one promise that every protocol keeps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from integrations.report import Instance, PatientIdentity, Report

COMMITMENT, READ_BACK = "COMMITMENT", "READ BACK"
"""What a destination that took everything is still asked: to commit it (PS3.4 Annex J), or what it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a destination gave us to remember.

    Parameters
    ----------
    references
        What now stands there: SOP Instance UIDs in an archive, ``DiagnosticReport/7`` in an EHR.
    confirmed
        True when the destination was asked afterwards, or answered in one transaction, and has it.
    remark
        What the destination said besides (a warning status), free of patient data; None when nothing.
    awaits
        `COMMITMENT` or `READ_BACK` where it can be confirmed later, of all instances of the result; None where
        it is confirmed, or nobody can.
    """

    references: tuple[str, ...]
    confirmed: bool
    remark: str | None = None
    awaits: str | None = None


Progress = Callable[[str, str], None]
"""Called with a SOP Instance UID and ``SENDING`` or ``SENT``, before and after each instance leaves.

What it records must be durable when it returns: after a crash, an instance that was ``SENDING`` is in doubt.
"""


class Destination(Protocol):
    """A peer that takes results. Both calls are idempotent: they may run twice with one effect."""

    def deliver(
        self,
        report: Report,
        instances: Sequence[Instance],
        *,
        in_doubt: frozenset[str],
        progress: Progress,
    ) -> Receipt:
        """Bring a result.

        Parameters
        ----------
        report
            The result in plain values.
        instances
            The objects that are still owed, in the order in which they must arrive.
        in_doubt
            SOP Instance UIDs that may have arrived in an earlier, interrupted call: the peer is asked
            for them first, and those that it has are not sent again.
        progress
            Told of every instance, before and after it leaves.

        Raises
        ------
        Unavailable
            The peer cannot be reached or cannot take it now; deliver again later.
        Refused
            The peer will not take it; the delivery is parked with the reason.
        """

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
        """Take a delivered result back.

        Parameters
        ----------
        report
            The result, as it was delivered.
        receipt
            What `deliver` gave for it; None when its answer was lost: it may never have arrived.
        reason
            Reason code: ``IDENTITY-CORRECTED``, ``SUPERSEDED`` or ``RETRACTED``.
        instances
            The objects that were delivered, or may have been. Their files may be gone.
        owed_at
            Since when it is to be taken back: the same in every call for one withdrawal.
        patient
            Who the study says the patient is by now; None: who the report says.

        Returns
        -------
        Receipt
            What does not stand any more; without references when nothing stood there.

        Raises
        ------
        Unavailable
            The peer cannot be reached; withdraw again later.
        Refused
            The peer has no way to take a result back.
        """
