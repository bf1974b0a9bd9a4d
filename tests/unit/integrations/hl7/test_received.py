"""Orders and merges as they are read, and every message that cannot be used, with what and where."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from integrations.hl7 import adt as received
from integrations.hl7 import header
from integrations.hl7.acknowledgement import Answerer
from integrations.hl7.message import Message, MessageRefused, parse
from integrations.hl7.orders import orders
from integrations.order import PatientKey, Urgency
from tests.unit.integrations.hl7.messages import MRN, OTHER, a40, adt, message, mrg, orm, pid

ACCEPTED = header.Accepted(kinds={"ORM^O01", "ADT^A40"}, processing_ids={"P"})
AT = datetime(2026, 10, 15, 10, 15, tzinfo=UTC)
KEY = PatientKey(patient_id=MRN, authority="EXAMPLE")


def test_an_order_is_read() -> None:
    (order,) = orders(parse(orm()))
    assert order.accession_number == "ACC42"
    assert order.patient == (KEY,)
    assert (order.placer_order_number, order.filler_order_number) == ("P1", "F1")
    assert order.urgency is Urgency.STAT
    assert order.reason == "Shortness of breath"
    assert order.active


@pytest.mark.parametrize(
    ("segments", "urgency"),
    [
        (("ORC|NW||F1", "TQ1|1||||||||S^Stat^HL70485", "OBR|1||F1"), Urgency.STAT),
        (("ORC|NW||F1||||^^^^^A", "OBR|1||F1"), Urgency.HIGH),
        (("ORC|NW||F1", "OBR|1||F1||S"), Urgency.STAT),
        (("ORC|NW||F1||||^^^^^R", "OBR|1||F1||S"), Urgency.STAT),
        (("ORC|NW||F1", "OBR|1||F1" + "|" * 24 + "^^^^^T"), Urgency.MEDIUM),
        (("ORC|NW||F1", "OBR|1||F1"), Urgency.ROUTINE),
        (("ORC|NW||F1||||^^^^^whatever", "OBR|1||F1"), Urgency.ROUTINE),
    ],
)
def test_urgency_stands_where_the_version_has_it(
    segments: tuple[str, ...], urgency: Urgency
) -> None:
    (order,) = orders(parse(message(pid(), *segments)))
    assert order.urgency is urgency


@pytest.mark.parametrize(
    ("segments", "accession"),
    [
        (("ORC|NW||F1^RIS", "OBR|1||F1", "IPC|A1^RIS|RP1|1.2.3|SPS1"), "A1"),
        (("ORC|NW||F1", "OBR|1||F1" + "|" * 15 + "A2"), "A2"),
        (("ORC|NW||F1", "OBR|1"), "F1"),
        (("ORC|NW", "OBR|1||F1"), "F1"),
    ],
)
def test_the_accession_number_stands_where_the_site_writes_it(
    segments: tuple[str, ...], accession: str
) -> None:
    (order,) = orders(parse(message(pid(), *segments, kind="OMI^O23")))
    assert order.accession_number == accession


def test_several_orders_of_a_message_are_told_apart() -> None:
    read = orders(parse(message(pid(), "ORC|NW||F1", "OBR|1||F1||S", "ORC|CA||F2", "OBR|2||F2")))
    assert [(one.accession_number, one.urgency, one.active) for one in read] == [
        ("F1", Urgency.STAT, True),
        ("F2", Urgency.ROUTINE, False),
    ]


def test_a_merge_pairs_numbers_of_one_authority() -> None:
    raw = adt("A40", pid("M2", "N2^^^NAT"), mrg("M1", "N1^^^NAT"))
    pairs = [
        (one.prior.patient_id, one.surviving.patient_id) for one in received.merges(parse(raw))
    ]
    assert pairs == [("M1", "M2"), ("N1", "N2")]


def test_several_merges_of_a_message_are_told_apart() -> None:
    raw = adt("A40", pid("M2"), "PD1|", mrg("M1"), pid("M4", born="20000229"), mrg("M3"))
    first, second = received.merges(parse(raw))
    assert (first.prior.patient_id, second.prior.patient_id) == ("M1", "M3")
    assert second.person.birth_date == date(2000, 2, 29)


def test_a_correction_is_read() -> None:
    read = received.update(parse(adt("A08", pid(name="山田^太郎^^^^^^I~Yamada^Taro"))))
    assert read.patient == (KEY,)
    assert (read.person.family, read.person.given, read.person.sex) == ("Yamada", "Taro", "F")


def use(message: Message) -> Any:
    header.require(message, ACCEPTED)
    return received.merges(message) if message.kind == "ADT^A40" else orders(message)


REFUSED = {
    "no patient": (message("ORC|NW||F1"), "AE", "PID^1"),
    "two patients in an order": (message(pid(), pid(OTHER), "ORC|NW||F1"), "AE", "PID^2"),
    "a patient without number": (message("PID|1||^^^EXAMPLE", "ORC|NW||F1"), "AE", "PID^1^3"),
    "no order": (message(pid()), "AE", "ORC^1"),
    "no accession number": (
        message(pid(), "ORC|NW||F1", "OBR|1", "ORC|NW", "OBR|2"),
        "AE",
        "OBR^2^18",
    ),
    "a birth date that is none": (adt("A40", pid(born="19640231"), mrg(OTHER)), "AE", "PID^1^7"),
    "a merge without MRG": (adt("A40", pid()), "AE", "MRG^1"),
    "two PID, one MRG": (adt("A40", pid(), pid(OTHER), mrg("M1")), "AE", "MRG^1"),
    "MRG before PID": (adt("A40", mrg(OTHER), pid()), "AE", "PID^1"),
    "MRG without number": (adt("A40", pid(), "MRG|"), "AE", "MRG^1^1"),
    "a number merged into itself": (a40(MRN, MRN), "AE", "MRG^1^1"),
    "numbers of two authorities": (adt("A40", pid(), mrg("M1", authority="X")), "AE", "MRG^1^1"),
    "two surviving numbers": (adt("A40", pid(MRN, OTHER), mrg("M1")), "AE", "MRG^1^1"),
    "no control id": (orm(f10=""), "AE", "MSH^1^10"),
    "a control id of other characters": (orm(f10="Ä"), "AE", "MSH^1^10"),
    "version 3": (orm(f12="3.0"), "AR", "MSH^1^12"),
    "a training message": (orm(f11="T"), "AR", "MSH^1^11"),
    "another event": (adt("A01", pid()), "AR", "MSH^1^9"),
    "another message": (message(pid(), kind="SIU^S12"), "AR", "MSH^1^9"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_answered_with_what_and_where(case: str) -> None:
    raw, code, place = REFUSED[case]
    read = parse(raw)
    with pytest.raises(MessageRefused) as told:
        use(read)
    answer = parse(Answerer(application="OVERREAD").answer(read, "A1", AT, told.value))
    msa, err = answer.first("MSA"), answer.first("ERR")
    assert msa is not None
    assert err is not None
    assert msa.raw(1) == code
    assert (err.raw(2), err.raw(4)) == (place, "E")
    assert err.text(8)


def test_an_answer_is_one_by_an_independent_parser() -> None:
    refused = MessageRefused(101, "PID^1^3", "PATIENT-MISSING", "no identifier | ^ & ~ \\")
    for error in (None, refused):
        raw = Answerer(application="OVERREAD", facility="HOSP").answer(
            parse(orm()), "A1", AT, error
        )
        parse_message(raw.decode(), validation_level=VALIDATION_LEVEL.STRICT).validate()
        head, msa = parse(raw).header, parse(raw).first("MSA")
        assert head.text(9) == "ACK"
        assert (head.text(3), head.text(5), head.text(6)) == ("OVERREAD", "RIS", "HOSP")
        assert msa is not None
        assert msa.raw(2) == "M1"


def test_old_senders_get_the_old_error() -> None:
    refused = MessageRefused(101, "PID^1^3", "PATIENT-MISSING", "nothing")
    answer = Answerer(application="O").answer(parse(orm(f12="2.3")), "A1", AT, refused)
    assert b"\rERR|PID^1^3^101&nothing&HL70357\r" in answer


def test_nothing_that_a_sender_writes_becomes_a_segment_of_the_answer() -> None:
    forged = parse(orm(f10="M1\\X0D\\MSA\\F\\AA\\F\\M2", f3="R\\F\\X"))
    answer = Answerer(application="O").answer(forged, "A1", AT)
    assert [one.name for one in parse(answer).segments] == ["MSH", "MSA"]
    assert parse(answer).header.text(5) == "RX"
