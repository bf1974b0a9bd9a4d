"""Messages of HL7 version 2 before a checker and a receiver that we have not written."""

import base64
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message
from v2fhir.bridge import Bridge
from v2fhir.config import Config
from v2fhir.mllp import MLLPServer, ServerThread, bridge_handler

from integrations.destination import Receipt
from integrations.errors import Refused
from integrations.hl7 import oru
from integrations.hl7.destination import OruDestination
from integrations.hl7.oru import Letterhead, filler_number
from integrations.hl7.sending import MllpPeer
from integrations.report import Coding, Report
from tests.conformance.test_fhir_resources import REPORTS
from tests.peers.sekmet import MRN_SYSTEM, Sekmet
from tests.unit.integrations.samples import (
    BRAIN_FINDING,
    ISSUER,
    LEFT,
    NO_LESION,
    REPORT,
    SCORE,
    VOLUME,
    colin,
    report,
)

AT = datetime(2026, 6, 2, 9, tzinfo=UTC)
PLAIN = Letterhead()
FULL = Letterhead(
    application="NODE",
    facility="GH",
    receiving_application="RIS",
    receiving_facility="RAD",
    processing_id="T",
    assigning_authorities={ISSUER: "GH&2.16.840.1.113883.19.5&ISO"},
    withdrawn="D",
)


def _named(name: str) -> Report:
    patient = replace(REPORT.study.patient, patient_name=name, sex=None, birth_date=None)
    return replace(REPORT, study=replace(REPORT.study, patient=patient))


EVERYTHING = replace(
    REPORT,
    conclusion="Two lines | of ^ text & more\nand ~ a \\ second.",
    findings=(
        replace(
            BRAIN_FINDING,
            laterality=LEFT,
            quantities=(
                replace(
                    VOLUME,
                    derivation=Coding("56851009", "SCT", "Maximum"),
                    method=Coding("126030", "DCM", "Sum of segmented voxel volumes"),
                ),
            ),
        ),
        replace(NO_LESION, present=None, score=replace(SCORE, calibrated=True), label="A|B"),
    ),
)
MESSAGES: dict[str, Report] = {
    **REPORTS,
    "everything": EVERYTHING,
    "three groups": _named("Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "greek": _named("Παπαδοπούλου^Ελένη"),
    "arabic": _named("قباني^لنزار"),
    "delimiters": _named("O|Neill&Sons~\\^Pat"),
    "nameless": _named(""),
}


def _strict(message: bytes) -> Message:
    """Read a message as hl7apy does when it forgives nothing.

    Raises
    ------
    HL7apyException
        It is not as version 2.5.1 wants it.
    """
    read = parse_message(message.decode("utf-8"), validation_level=VALIDATION_LEVEL.STRICT)
    assert read.validate()
    return read


@pytest.mark.parametrize("letterhead", [PLAIN, FULL], ids=["plain", "full"])
@pytest.mark.parametrize("of", MESSAGES.values(), ids=MESSAGES.keys())
def test_hl7apy_finds_no_error(of: Report, letterhead: Letterhead) -> None:
    for message in (oru.result(of, letterhead), oru.withdrawal(of, letterhead, AT)):
        read = _strict(message)
        assert [one.name for one in read.children] == ["MSH", "ORU_R01_PATIENT_RESULT"]
        result = read.oru_r01_patient_result
        order = result.oru_r01_order_observation
        assert result.oru_r01_patient.pid.pid_3.cx_1.value == "MRN-4711"
        assert order.obr.obr_3.ei_1.value == filler_number(of)
        assert len(order.oru_r01_observation) == message.count(b"\rOBX|")


@pytest.mark.parametrize(
    ("sound", "broken"),
    [
        (b"|ORU^R01^ORU_R01|", b"|ORU^R01^ORU_R99|"),
        (b"\rPID|1||MRN-4711^^^EXAMPLE HOSPITAL^MR|", b"\rPID|1|||"),
        (b"\rORC|RE|", b"\rZZZ|RE|"),
        (b"|20260601|", b"|2026-06-01|"),
        (b"||||||P|", b"|||||||"),
        (b"|2.25.1400|", b"|2.25.1400|||||||||||"),
    ],
)
def test_hl7apy_sees_a_broken_message(sound: bytes, broken: bytes) -> None:
    message = oru.result(REPORT, PLAIN)
    assert sound in message
    with pytest.raises((HL7apyException, AssertionError, ValueError)):
        _strict(message.replace(sound, broken))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridged:
    """A bridge that files messages in a FHIR server, and what it said of each."""

    destination: OruDestination
    server: Sekmet
    bridge: Bridge
    results: list[Any]

    def reports(self) -> list[dict[str, Any]]:
        """Return the reports on our patient."""
        return self.server.search("DiagnosticReport", subject="Patient/colin")


@pytest.fixture
def own() -> Report:
    """Give a report that no earlier test has sent, with an accession number of its own."""
    of = report(uuid4().int % 10**9)
    return replace(of, study=replace(of.study, accession_number=f"ACC-{uuid4().int % 10**9}"))


@pytest.fixture
def bridged(sekmet: Sekmet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bridged]:
    monkeypatch.setattr(logging.getLogger("v2fhir"), "disabled", True)  # it logs at every warning
    for one in sekmet.search("DiagnosticReport", subject="Patient/colin"):
        sekmet.request("DELETE", f"DiagnosticReport/{one['id']}")
    sekmet.put(colin())
    results: list[Any] = []
    config = Config(
        fhir_base_url=sekmet.base_url,
        default_timezone="",
        mrn_authorities=(ISSUER,),
        assigning_authorities={ISSUER: MRN_SYSTEM},
    )
    bridge = Bridge(config, on_result=results.append)
    thread = ServerThread(MLLPServer(bridge_handler(bridge), "127.0.0.1", 0)).start()
    try:
        peer = MllpPeer(host="127.0.0.1", port=thread.port)
        yield Bridged(
            destination=OruDestination(peer), server=sekmet, bridge=bridge, results=results
        )
    finally:
        thread.stop()
        bridge.close()


def _later(of: Report) -> Report:
    return replace(
        of,
        result_set_uid=f"{of.result_set_uid}.1",
        issued=of.issued + timedelta(hours=1),
        predecessors=(of.result_set_uid,),
        conclusion="The brain measures 1500.00 mL.",
    )


def _deliver(bridged: Bridged, of: Report) -> Receipt:
    to = bridged.destination
    return to.deliver(of, [], in_doubt=frozenset(), progress=lambda _uid, _state: None)


@pytest.mark.peers
def test_behind_a_bridge_it_is_one_report_in_three_versions(bridged: Bridged, own: Report) -> None:
    later = _later(own)
    seen: list[tuple[str, str, str]] = []
    steps: tuple[Callable[[], Receipt], ...] = (
        lambda: _deliver(bridged, own),
        lambda: _deliver(bridged, own),
        lambda: _deliver(bridged, later),
        lambda: _deliver(bridged, later),
        lambda: bridged.destination.withdraw(later, None, "RETRACTED", owed_at=AT),
        lambda: bridged.destination.withdraw(later, None, "RETRACTED", owed_at=AT),
    )
    for step in steps:
        assert step().confirmed
        (one,) = bridged.reports()
        seen.append((one["status"], one["meta"]["versionId"], one["conclusion"]))
    first = ("preliminary", "1", own.conclusion)
    second = ("preliminary", "2", later.conclusion)
    # R4 has no other word for OBR-25 X than "cancelled"
    withdrawn = ("cancelled", "3", later.conclusion)
    assert seen == [first, first, second, second, withdrawn, withdrawn]
    assert [one.duplicate for one in bridged.results] == [False, True] * 3


@pytest.mark.peers
def test_a_bridge_that_forgot_makes_no_second_report(bridged: Bridged, own: Report) -> None:
    _deliver(bridged, own)
    bridged.bridge._seen.clear()  # as after its restart
    _deliver(bridged, own)
    (one,) = bridged.reports()
    assert one["status"] == "preliminary"
    assert not bridged.results[-1].duplicate


@pytest.mark.peers
def test_a_bridge_keeps_the_later_of_two_revisions(bridged: Bridged, own: Report) -> None:
    later = _later(own)
    _deliver(bridged, later)
    _deliver(bridged, own)
    (one,) = bridged.reports()
    assert one["conclusion"] == later.conclusion


@pytest.mark.peers
def test_what_the_bridge_makes_of_a_withdrawal_it_takes_from_obr_25_alone(
    bridged: Bridged, own: Report
) -> None:
    """OBX-11 W has no effect there: not alone, and not beside OBR-25 X."""
    _deliver(bridged, own)
    gone = oru.withdrawal(own, PLAIN, AT)
    assert bridged.bridge.handle(gone.replace(b"|RAD|X", b"|RAD|P")).ack_code == "AA"
    (one,) = bridged.reports()
    assert one["status"] == "preliminary", "OBX-11 W, OBR-25 P"
    bridged.bridge._seen.clear()
    plain = gone.replace(b"||||||W|", b"||||||P|")
    assert bridged.bridge.handle(plain).ack_code == "AA"
    (one,) = bridged.reports()
    assert one["status"] == "cancelled", "OBX-11 P, OBR-25 X"


@pytest.mark.peers
def test_what_the_bridge_makes_of_findings(bridged: Bridged, own: Report) -> None:
    """It keeps the words, and of codes their values without what they are values of; numbers it drops."""
    before = bridged.server.count("Observation")
    _deliver(bridged, own)
    (one,) = bridged.reports()
    assert one["conclusion"] == own.conclusion
    text = base64.b64decode(one["presentedForm"][0]["data"]).decode()
    assert text == f"{own.conclusion}\nBrain extraction\n1.0.2"
    values = [concept["text"] for concept in one["conclusionCode"]]
    assert values == ["Present", "Absent", "Brain"]
    assert bridged.server.count("Observation") == before
    told = " ".join(str(issue) for issue in bridged.results[-1].issues)
    assert "'NM' is not mapped" in told


@pytest.mark.peers
def test_a_bridge_that_knows_the_order_refuses_our_number_beside_its_accession(
    bridged: Bridged, own: Report
) -> None:
    """It takes one accession number for one order; without it the report is filed beside that order."""
    number = {
        "system": "http://example.org/fhir/sid/accession",
        "value": own.study.accession_number,
    }
    kinds = {
        code: {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": code}]
        }
        for code in ("ACSN", "FILL")
    }
    theirs = {"system": "http://example.org/fhir/sid/overread", "value": "RIS-1"}
    bridged.server.create({
        "resourceType": "ServiceRequest",
        "identifier": [{**number, "type": kinds["ACSN"]}, {**theirs, "type": kinds["FILL"]}],
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/colin"},
    })
    with pytest.raises(Refused) as refused:
        _deliver(bridged, own)
    assert refused.value.reason == "HL7-AE-205"
    without = OruDestination(bridged.destination._peer, Letterhead(accession_number=False))
    without.deliver(own, [], in_doubt=frozenset(), progress=lambda _uid, _state: None)
    (one,) = bridged.reports()
    assert one["status"] == "preliminary"
