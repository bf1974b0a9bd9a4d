"""What a feed of HL7 version 2 says is kept, and answered only then: orders, merges, corrected patients."""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from integrations.hl7 import adt, header
from integrations.hl7.acknowledgement import Answerer, code_of
from integrations.hl7.message import Message, MessageRefused, parse
from integrations.hl7.orders import ORDERS, orders
from integrations.order import Order, PatientKey, Person
from node.core.orders import (
    Demographics,
    Feed,
    FeedMessage,
    Merged,
    Ordered,
    Patient,
    Said,
    Updated,
)
from node.errors import ControlIdReused, MergeRefused, OutOfResources
from node.telemetry import log, log_failure

KINDS = frozenset({*ORDERS, adt.UPDATE, *adt.MERGES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """A peer that sends messages.

    Parameters
    ----------
    name
        Our name for it.
    application, facility
        MSH-3 and MSH-4 of its messages, their first components.
    issuers
        Issuer of Patient ID of each assigning authority (CX-4) that is not written in the same way.
    default_issuer
        Issuer of numbers without an authority; empty for none.
    admits
        Whether a connection may be this peer's: from its address, with its certificate.
    """

    name: str
    application: str
    facility: str
    issuers: Mapping[str, str]
    default_issuer: str
    admits: "Callable[[Caller], bool]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is at the other end of a connection.

    Parameters
    ----------
    address
        IP address.
    certificate_names
        Names in its TLS certificate; empty without one.
    """

    address: str
    certificate_names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What messages are taken with.

    Parameters
    ----------
    senders
        Who may send.
    feed
        Keeps what they say.
    answerer
        Writes answers.
    processing_ids
        Values of MSH-11 that are taken.
    ignored
        Kinds of messages that are answered AA, and of which nothing is kept.
    character_set
        Of messages that name none (MSH-18).
    """

    senders: Sequence[Sender]
    feed: Feed
    answerer: Answerer
    processing_ids: Collection[str] = ("P",)
    ignored: Collection[str] = ()
    character_set: str = "ASCII"


def take(raw: bytes, caller: Caller, desk: Desk, at: datetime, control_id: str) -> bytes:
    """Take one message, and return its answer: AA when what it says is durable, else AE or AR with the reason.

    Parameters
    ----------
    raw
        The message as it came.
    control_id
        Of the answer.
    """
    message: Message | None = None
    sender: Sender | None = None
    refused: MessageRefused | None = None
    answer = b""
    try:
        message = parse(raw, desk.character_set)
        sender = _sender(message, caller, desk)
        header.require(message, _accepted(desk))
        answer = desk.answerer.answer(message, control_id, at)
        answer = _kept(message, sender, desk, answer)
    except MessageRefused as error:
        refused = error
        answer = desk.answerer.answer(message, control_id, at, error)
    log(
        "message answered",
        address=caller.address,
        peer=sender.name if sender else None,
        outcome=code_of(refused),
        reason=refused.reason if refused else None,
        detail=refused.place if refused else message.kind if message else None,
    )
    return answer


def _accepted(desk: Desk) -> header.Accepted:
    return header.Accepted(kinds={*KINDS, *desk.ignored}, processing_ids=desk.processing_ids)


def _sender(message: Message, caller: Caller, desk: Desk) -> Sender:
    """Return the peer that a message is from.

    Raises
    ------
    MessageRefused
        Nobody who may send is called so, or calls from there (``SENDER-UNKNOWN``).
    """
    said = (message.header.text(3), message.header.text(4))
    for one in desk.senders:
        if (one.application, one.facility) == said and one.admits(caller):
            return one
    text = "no peer with this sending application and facility may send from there"
    raise MessageRefused(207, "MSH^1^3", "SENDER-UNKNOWN", text)


def _kept(message: Message, sender: Sender, desk: Desk, answer: bytes) -> bytes:
    """Keep what a message says, and return the answer that it gets, which may be an earlier one.

    Raises
    ------
    MessageRefused
        It cannot be used, or cannot be kept now (``NOT-KEPT``): then its sender tries again.
    """
    if message.kind in desk.ignored:
        return answer
    key = FeedMessage(
        peer=sender.name,
        control_id=message.control_id,
        kind=message.kind,
        digest=_digest(message),
    )
    try:
        earlier = desk.feed.answered(key)
        if earlier is not None:
            return earlier
        return desk.feed.take(key, _said(message, sender), answer)
    except ControlIdReused:
        text = "another message with this control id was taken before"
        raise MessageRefused(205, "MSH^1^10", "CONTROL-ID-REUSED", text) from None
    except MergeRefused as error:
        raise MessageRefused(205, "MRG^1^1", error.reason, error.detail) from None
    except OutOfResources as error:
        log_failure("message not kept", error, peer=sender.name)
        text = "it cannot be kept now; send it again"
        raise MessageRefused(207, "MSH^1^10", "NOT-KEPT", text) from None


def _digest(message: Message) -> str:
    """SHA-256 of a message's content; MSH-7 is left out, because a sender may write it anew."""
    first, *others = (one.fields for one in message.segments)
    fields = [[*first[:7], *first[8:]], *others]
    written = "\r".join("|".join(one) for one in fields)
    return hashlib.sha256(written.encode()).hexdigest()


def _said(message: Message, sender: Sender) -> list[Said]:
    if message.kind in ORDERS:
        return [ordered(one, lambda key: _patient(key, sender)) for one in orders(message)]
    if message.kind == adt.UPDATE:
        update = adt.update(message)
        patient = tuple(_patient(one, sender) for one in update.patient)
        return [Updated(patient=patient, who=_who(update.person))]
    return [
        Merged(
            prior=_patient(one.prior, sender),
            surviving=_patient(one.surviving, sender),
            who=_who(one.person),
        )
        for one in adt.merges(message)
    ]


def ordered(order: Order, patient_of: Callable[[PatientKey], Patient]) -> Ordered:
    """Return an order as the core knows it.

    Parameters
    ----------
    patient_of
        Says a source's number of a patient in DICOM's words.
    """
    return Ordered(
        accession_number=order.accession_number,
        patient=tuple(patient_of(key) for key in order.patient),
        placer_order_number=order.placer_order_number,
        filler_order_number=order.filler_order_number,
        urgency=order.urgency,
        reason=order.reason,
        active=order.active,
    )


def _patient(key: PatientKey, sender: Sender) -> Patient:
    issuer = sender.issuers.get(key.authority or "", key.authority or sender.default_issuer)
    return Patient(patient_id=key.patient_id[:64], issuer=issuer[:64])


def _who(person: Person) -> Demographics:
    return Demographics(
        family=person.family,
        given=person.given,
        birth_date=person.birth_date.strftime("%Y%m%d") if person.birth_date else "",
        sex=person.sex or "",
    )
