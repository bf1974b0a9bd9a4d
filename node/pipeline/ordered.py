"""The order behind a study is asked for, beside its way and never on it."""

from collections.abc import Callable
from dataclasses import dataclass

from integrations.errors import Refused, Unavailable
from integrations.order import OrderSource, PatientKey
from node.core.orders import OrderQuestion, Orders, Patient
from node.pipeline.feed import ordered
from node.telemetry import log


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who is asked.

    Parameters
    ----------
    peer
        Its name.
    source
        Asks it.
    patient_of
        Says its number of a patient in DICOM's words.
    deadline_s
        How long a study's order is asked for.
    """

    peer: str
    source: OrderSource
    patient_of: Callable[[PatientKey], Patient]
    deadline_s: float


def ask_for_orders(orders: Orders, asked: Asked) -> None:
    """Ask for every order that is due.

    Raises
    ------
    OutOfResources
        The records could not be read or written; the next round tries again.
    """
    orders.open(asked.deadline_s)
    for question in orders.due():
        outcome = _ask(question, orders, asked)
        log(
            "order asked for",
            study_instance_uid=question.study_instance_uid,
            peer=asked.peer,
            outcome=outcome,
        )


def _ask(question: OrderQuestion, orders: Orders, asked: Asked) -> str:
    try:
        found = asked.source.orders(question.accession_number)
    except Unavailable:
        orders.postpone(question, "SOURCE-UNAVAILABLE")
        return "unavailable"
    except Refused as error:
        orders.postpone(question, error.reason, final=True)
        return error.reason
    said = [ordered(one, asked.patient_of) for one in found]
    return "found" if orders.answer(question, asked.peer, said) else "not found"
