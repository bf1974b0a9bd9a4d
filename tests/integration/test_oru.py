"""Reports by HL7 version 2 on a real socket: one of everything, whatever breaks on the way."""

import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from integrations.destination import Receipt
from integrations.errors import IntegrationError, Refused, Unavailable
from integrations.hl7.destination import Manners, OruDestination
from integrations.hl7.oru import Letterhead, Purpose, control_id, filler_number
from integrations.hl7.sending import MllpPeer, reach
from integrations.report import Report
from node import settings
from node.bootstrap.outlets import outlets
from node.bootstrap.state import database
from node.errors import SettingsInvalid
from tests.peers import free_port
from tests.peers.certificates import Authority
from tests.peers.engine import PASSES, Engine, Fault, running_engine
from tests.unit.integrations.samples import report

OF = report(31)
LATER = replace(
    OF,
    result_set_uid=f"{OF.result_set_uid}.1",
    issued=OF.issued + timedelta(hours=1),
    predecessors=(OF.result_set_uid,),
    findings=OF.findings[:1],
)
AT = datetime(2026, 6, 2, 9, tzinfo=UTC)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with running_engine() as running:
        yield running


def _to(engine: Engine, manners: Manners | None = None, timeout_s: float = 10) -> OruDestination:
    peer = MllpPeer(host="127.0.0.1", port=engine.port, timeout_s=timeout_s)
    return OruDestination(peer, Letterhead(), manners)


def _deliver(to: OruDestination, of: Report = OF) -> Receipt:
    return to.deliver(of, [], in_doubt=frozenset(), progress=lambda _uid, _state: None)


def test_a_result_its_revision_and_its_withdrawal_are_versions_of_one_report(
    engine: Engine,
) -> None:
    to = _to(engine)
    first, second = _deliver(to), _deliver(to, LATER)
    withdrawn = to.withdraw(LATER, second, "RETRACTED", owed_at=AT)
    assert first.references == (filler_number(OF), control_id(OF, Purpose.RESULT))
    assert first.references[0] == second.references[0] == withdrawn.references[0]
    assert all(one.confirmed and one.remark is None for one in (first, second, withdrawn))
    (versions,) = engine.reports.values()
    assert [one.status for one in versions] == ["P", "P", "X"]
    told = [{status for status, _ in one.observations.values()} for one in versions]
    assert told == [{"P"}, {"P"}, {"W"}]
    former, newer, gone = (one.observations for one in versions)
    assert newer.keys() < former.keys(), "OBX-3 and OBX-4 stay, but for what is not said any more"
    assert gone.keys() == newer.keys()
    assert {key: value for key, (_, value) in gone.items()} == {
        key: value for key, (_, value) in newer.items()
    }


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("what", ["result", "withdrawal"])
def test_one_of_everything_whatever_breaks(engine: Engine, fault: Fault, what: str) -> None:
    def send(to: OruDestination) -> Receipt:
        return to.withdraw(OF, None, "RETRACTED") if what == "withdrawal" else _deliver(to)

    engine.answers = [fault]
    expected = Unavailable if fault in PASSES else Refused
    if fault is Fault.RESET_AFTER_ANSWER:  # whether the answer is read depends on who is faster
        with suppress(Unavailable):
            send(_to(engine))
    else:
        with pytest.raises(expected) as error:
            send(_to(engine, timeout_s=0.3))
        assert "Doe" not in str(error.value)
    receipts = [send(_to(engine)), send(_to(engine))]
    assert receipts[0] == receipts[1]
    assert list(engine.taken) == [receipts[0].references[1]]
    assert [len(versions) for versions in engine.reports.values()] == [1]
    assert set(engine.arrivals) == {receipts[0].references[1]}, "resent under the same control id"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("AE", "HL7-AE"),
        ("AE-204", "HL7-AE-204"),
        ("CE-207", "HL7-CE-207"),
        ("AR-200", "HL7-AR-200"),
        ("AR-203", "HL7-AR-203"),
        ("AE-206", None),
        ("AR", None),
        ("AR-207", None),
        ("CR", None),
    ],
)
def test_an_error_parks_and_a_rejection_is_tried_again(
    engine: Engine, answer: str, reason: str | None
) -> None:
    engine.answers = [answer]
    _expect(engine, Manners(), reason)
    assert engine.taken == {}
    assert _deliver(_to(engine)).confirmed


@pytest.mark.parametrize(
    ("answer", "on_error", "on_reject", "reason"),
    [
        ("AE", "retry", "retry", None),
        ("AE-201", "retry", "retry", "HL7-AE-201"),
        ("AR", "park", "park", "HL7-AR"),
        ("AR-207", "retry", "park", "HL7-AR-207"),
    ],
)
def test_a_site_decides_what_an_error_and_what_a_rejection_is(
    engine: Engine,
    answer: str,
    on_error: Literal["retry", "park"],
    on_reject: Literal["retry", "park"],
    reason: str | None,
) -> None:
    engine.answers = [answer]
    _expect(engine, Manners(on_error=on_error, on_reject=on_reject), reason)


def _expect(engine: Engine, manners: Manners, reason: str | None) -> None:
    with pytest.raises(IntegrationError) as error:
        _deliver(_to(engine, manners))
    assert "Doe" not in str(error.value)
    assert getattr(error.value, "reason", None) == reason
    assert isinstance(error.value, Unavailable if reason is None else Refused)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.HTTP, "HL7-NOT-MLLP"),
        (Fault.ENDLESS, "HL7-NOT-MLLP"),
        (Fault.EMPTY, "HL7-NO-ACK"),
        (Fault.NO_MSA, "HL7-NO-ACK"),
        (Fault.NO_CODE, "HL7-NO-ACK"),
        (Fault.OTHER_ID, "HL7-OTHER-ANSWER"),
    ],
)
def test_what_is_no_answer_to_this_message_has_a_reason(
    engine: Engine, fault: Fault, reason: str
) -> None:
    engine.answers = [fault]
    _expect(engine, Manners(), reason)


def test_a_message_that_is_only_kept_says_so(engine: Engine) -> None:
    engine.answers = ["CA"]
    receipt = _deliver(_to(engine))
    assert receipt.confirmed
    assert receipt.remark == "CA: kept, not worked through yet"


def test_another_content_under_the_same_control_id_is_seen_by_the_engine(engine: Engine) -> None:
    _deliver(_to(engine))
    with pytest.raises(Refused) as refused:
        _deliver(_to(engine), replace(OF, conclusion="Something else."))
    assert refused.value.reason == "HL7-AE-205"


def test_after_a_correction_the_right_patient_gets_a_report_of_his_own(engine: Engine) -> None:
    to = _to(engine)
    given = _deliver(to)
    to.withdraw(OF, given, "IDENTITY-CORRECTED", owed_at=AT)
    patient = replace(OF.study.patient, patient_id="MRN-4712")
    right = replace(
        OF,
        result_set_uid=f"{OF.result_set_uid}.9",
        study=replace(OF.study, patient=patient),
        issued=AT + timedelta(minutes=1),
    )
    _deliver(to, right)
    wrong, own = engine.reports.values()
    assert [(one.patient.split("^")[0], one.status) for one in wrong] == [
        ("MRN-4711", "P"),
        ("MRN-4711", "X"),
    ]
    assert [(one.patient.split("^")[0], one.status) for one in own] == [("MRN-4712", "P")]


def test_nobody_there_is_unavailable() -> None:
    nobody = MllpPeer(host="127.0.0.1", port=free_port(), timeout_s=5)
    with pytest.raises(Unavailable):
        _deliver(OruDestination(nobody))
    with pytest.raises(Unavailable):
        reach(nobody)


def test_a_receiver_is_reached_without_a_message(engine: Engine) -> None:
    reach(MllpPeer(host="127.0.0.1", port=engine.port))
    assert engine.arrivals == []


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("certificates"))
    made.found("ca")
    made.found("other-ca")
    made.issue("engine")
    made.issue("node")
    return made


@pytest.fixture
def secure(authority: Authority) -> Iterator[Engine]:
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cafile=authority.folder / "ca.pem"
    )
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(authority.folder / "engine.pem", authority.folder / "engine.key")
    with running_engine(context) as running:
        yield running


def _configured(folder: Path, engine: Engine, tls: str) -> settings.Settings:
    path = folder / "overread.toml"
    path.write_text(
        f"""
        [node]
        data = "{folder / "data"}"
        [[peer]]
        name = "engine"
        roles = ["oru"]
        takes = [{{ Present = {{ present = true }} }}]
        delivery = {{ backoff_first_s = 7.0 }}
        [peer.oru]
        host = "127.0.0.1"
        port = {engine.port}
        application = "NODE"
        receiving_application = "RIS"
        assigning_authorities = {{ "EXAMPLE HOSPITAL" = "GH" }}
        withdrawn = "D"
        on_reject = "park"
        timeout_s = 5
        [peer.oru.tls]
        {tls}
        """,
        encoding="utf-8",
    )
    return settings.load(path, {})


def test_a_site_sends_as_it_is_configured_by_tls(
    secure: Engine, authority: Authority, tmp_path: Path
) -> None:
    tls = "".join(
        f'{key} = "{authority.folder / name}"\n'
        for key, name in (
            ("authorities", "ca.pem"),
            ("certificate", "node.pem"),
            ("key", "node.key"),
        )
    )
    site = _configured(tmp_path, secure, f'{tls}name = "engine"')
    outlet = outlets(site, database(site))["engine"]
    outlet.destination.deliver(OF, [], in_doubt=frozenset(), progress=lambda _uid, _state: None)
    outlet.destination.withdraw(OF, None, "RETRACTED")
    (versions,) = secure.reports.values()
    assert [one.patient for one in versions] == ["MRN-4711^^^GH^MR"] * 2
    assert {status for status, _ in versions[1].observations.values()} == {"D"}
    (first, _) = secure.taken.values()
    assert first.startswith(b"MSH|^~\\&|NODE||RIS|")
    assert outlet.withdraws == {"IDENTITY-CORRECTED", "RETRACTED"}
    assert outlet.record is None
    assert (len(outlet.takes), outlet.backoff.first_s) == (1, 7.0)
    secure.answers = ["AR"]
    with pytest.raises(Refused) as refused:
        outlet.destination.withdraw(OF, None, "RETRACTED")
    assert refused.value.reason == "HL7-AR"


@pytest.mark.parametrize(
    ("trusted", "name"), [("other-ca.pem", "engine"), ("ca.pem", "another")], ids=["ca", "name"]
)
def test_nothing_is_sent_to_whom_we_do_not_trust(
    secure: Engine, authority: Authority, tmp_path: Path, trusted: str, name: str
) -> None:
    tls = f'authorities = "{authority.folder / trusted}"\nname = "{name}"'
    site = _configured(tmp_path, secure, tls)
    to = outlets(site, database(site))["engine"].destination
    with pytest.raises(Unavailable, match="SSLCertVerificationError"):
        to.deliver(OF, [], in_doubt=frozenset(), progress=lambda _uid, _state: None)
    assert secure.arrivals == []


def test_files_of_tls_that_are_none_are_a_fault_of_the_configuration(
    engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    site = _configured(tmp_path, engine, f'authorities = "{tmp_path / "ca.pem"}"')
    with pytest.raises(SettingsInvalid, match=r"peer engine: oru\.tls"):
        outlets(site, database(site))
