"""What ORM^O01 and OMI^O23 order (HL7 v2.5.1 chapter 4; IHE RAD TF-2 4.4 and 4.130)."""

from collections.abc import Mapping
from dataclasses import dataclass

from integrations.hl7.message import Message, MessageRefused, Segment
from integrations.hl7.patients import IDENTIFIERS, keys, subject
from integrations.order import Order, Urgency

ORDERS = frozenset({"ORM^O01", "OMI^O23"})

_URGENCIES: Mapping[str, Urgency] = {
    "S": Urgency.STAT,
    "STAT": Urgency.STAT,
    "A": Urgency.HIGH,
    "ASAP": Urgency.HIGH,
    "HIGH": Urgency.HIGH,
    "T": Urgency.MEDIUM,
    "TM": Urgency.MEDIUM,
}
"""HL7 tables 0027 and 0485 in words of Requested Procedure Priority; others are routine."""

_ENDED = frozenset({"CA", "OC", "CR", "DC", "OD", "DR"})
"""ORC-1 (HL7 table 0119): canceled and discontinued, as asked and as done."""

REASON, CLINICAL_INFORMATION = 31, 13
"""OBR-31 and OBR-13."""


@dataclass(frozen=True, slots=True)
class _Group:
    """The segments of one order, which begins with its ORC."""

    segments: list[Segment]

    @property
    def control(self) -> Segment:
        return self.segments[0]

    def first(self, name: str) -> Segment | None:
        return next((one for one in self.segments if one.name == name), None)

    def text(self, name: str, field: int, component: int = 1) -> str:
        segment = self.first(name)
        return "" if segment is None else segment.text(field, component)


def orders(message: Message) -> tuple[Order, ...]:
    """Every order of a message.

    The accession number is that of IPC-1, else of OBR-18, else the filler order number.

    Raises
    ------
    MessageRefused
        It names no patient or more than one, orders nothing, or an order has no accession number.
    """
    patient = keys(subject(message), IDENTIFIERS)
    found = []
    for group in _groups(message):
        accession = _accession(group)
        if not accession:
            detail = group.first("OBR")
            place = group.control.place(3) if detail is None else detail.place(18)
            text = "the order has no accession number (IPC-1, OBR-18 or filler order number)"
            raise MessageRefused(101, place, "ACCESSION-MISSING", text)
        found.append(
            Order(
                accession_number=accession,
                patient=patient,
                placer_order_number=_either(group, 2),
                filler_order_number=_either(group, 3),
                urgency=_urgency(group),
                reason=_reason(group),
                active=group.control.text(1).upper() not in _ENDED,
            )
        )
    if not found:
        raise MessageRefused(100, "ORC^1", "ORDER-MISSING", "there is no ORC")
    return tuple(found)


def _groups(message: Message) -> list[_Group]:
    groups: list[_Group] = []
    for segment in message.segments:
        if segment.name == "ORC":
            groups.append(_Group([segment]))
        elif groups:
            groups[-1].segments.append(segment)
    return groups


def _accession(group: _Group) -> str:
    return group.text("IPC", 1) or group.text("OBR", 18) or _either(group, 3)


def _either(group: _Group, field: int) -> str:
    """Return a number that ORC and OBR both hold: ORC-2 and OBR-2, ORC-3 and OBR-3."""
    return group.text("ORC", field) or group.text("OBR", field)


def _urgency(group: _Group) -> Urgency:
    """Return the highest of TQ1-9, ORC-7.6, OBR-27.6 and OBR-5: senders fill in what their version has."""
    words = [
        group.text("TQ1", 9),
        group.text("ORC", 7, 6),
        group.text("OBR", 27, 6),
        group.text("OBR", 5),
    ]
    named = {_URGENCIES.get(word.upper(), Urgency.ROUTINE) for word in words if word}
    return next((one for one in Urgency if one in named), Urgency.ROUTINE)


def _reason(group: _Group) -> str:
    """Return the reason for study (OBR-31) as text or coded, else the clinical information (OBR-13)."""
    return (
        group.text("OBR", REASON, 2)
        or group.text("OBR", REASON)
        or group.text("OBR", CLINICAL_INFORMATION)
    )
