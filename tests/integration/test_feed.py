"""The MLLP server on a real socket: answered when durable, and whoever misbehaves costs one connection."""

import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from integrations.hl7.mllp import END, START, framed
from tests.integration.feed import RIS, Line, acknowledged, code, reason, running_feed
from tests.peers.certificates import Authority
from tests.unit.integrations.hl7.messages import MRN, OTHER, a40, adt, message, mrg, orm, pid

CASES = int(os.environ.get("OVERREAD_CASES", "30"))


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with running_feed(tmp_path) as port:
        yield port


def rows(folder: Path, question: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "overread.db", timeout=30)) as database:
        return database.execute(question).fetchall()


def test_an_order_is_answered_when_it_is_kept(tmp_path: Path, port: int) -> None:
    with Line(port) as line:
        answer = line.send(orm())
    assert (code(answer), acknowledged(answer).raw(2)) == ("AA", "M1")
    assert rows(tmp_path, "select accession_number, urgency from imaging_order") == [
        ("ACC42", "STAT")
    ]


def test_the_same_message_gets_the_same_answer_on_any_connection(tmp_path: Path, port: int) -> None:
    with Line(port) as one, Line(port) as other:
        first = one.send(orm(f7="20261015101500"))
        again = other.send(orm(f7="20261015101530"))
        assert again == first
        assert reason(other.send(orm(urgency="R"))) == "CONTROL-ID-REUSED"
    assert rows(tmp_path, "select urgency from imaging_order") == [("STAT",)]


def test_many_messages_of_one_connection_are_answered_in_order(port: int) -> None:
    with Line(port) as line:
        block = b"".join(framed(orm(accession=f"A{i}", f10=f"C{i}")) for i in range(20))
        line.wire.sendall(block)
        # two answers may come in one read: then `answer` would lose one
        data = b""
        while data.count(END) < 20:
            data += line.wire.recv(1 << 16)
    answers = [part.removeprefix(START) for part in data.split(END) if part]
    assert [acknowledged(one).raw(2) for one in answers] == [f"C{i}" for i in range(20)]
    assert {code(one) for one in answers} == {"AA"}


@pytest.mark.parametrize(
    ("raw", "answer", "why"),
    [
        (orm(f3="ELSE"), "AR", "SENDER-UNKNOWN"),
        (orm(f4="ELSE"), "AR", "SENDER-UNKNOWN"),
        (orm(f11="T"), "AR", "PROCESSING-ID"),
        (adt("A01", pid()), "AR", "MESSAGE-KIND"),
        (message("ORC|NW||F1"), "AE", "PATIENT-MISSING"),
        (adt("A40", pid(), mrg(OTHER, authority="X")), "AE", "MERGE-AMBIGUOUS"),
        (b"hello", "AE", "NOT-HL7"),
        (b"", "AE", "NOT-HL7"),
        (orm().replace(b"Muster", b"M\xfcller"), "AE", "CHARACTER-SET"),
    ],
)
def test_a_refusal_keeps_nothing_and_the_connection_goes_on(
    tmp_path: Path, port: int, raw: bytes, answer: str, why: str
) -> None:
    with Line(port) as line:
        refused = line.send(raw)
        assert (code(refused), reason(refused)) == (answer, why)
        assert rows(tmp_path, "select * from feed_message") == []
        assert code(line.send(orm(f10="M2"))) == "AA"


def test_merges_that_contradict_each_other_are_refused(tmp_path: Path, port: int) -> None:
    with Line(port) as line:
        assert code(line.send(a40(OTHER, MRN))) == "AA"
        swapped = line.send(a40(MRN, OTHER, f10="M2"))
        assert (code(swapped), reason(swapped)) == ("AE", "MERGE-LOOP")
        third = line.send(a40("OVR-000044", MRN, f10="M3"))
        assert (code(third), reason(third)) == ("AE", "MERGE-CONFLICT")
    assert len(rows(tmp_path, "select * from patient_merge")) == 1


def test_authorities_are_issuers_as_the_site_says(tmp_path: Path) -> None:
    feed = {**RIS["feed"], "issuers": {"1.2.3": "EXAMPLE"}}
    with running_feed(tmp_path, peers=({**RIS, "feed": feed},)) as port, Line(port) as line:
        patient = pid("A^^^&1.2.3&ISO", "B^^^LOCAL", "C")
        assert code(line.send(orm(patient=patient.replace("C^^^EXAMPLE^MR", "C")))) == "AA"
    ((patients,),) = rows(tmp_path, "select patient from imaging_order")
    assert patients == '[["A", "EXAMPLE"], ["B", "LOCAL"], ["C", "EXAMPLE"]]'


def test_what_a_site_ignores_is_accepted_and_not_kept(tmp_path: Path) -> None:
    with running_feed(tmp_path, ignored=["ADT^A01"]) as port, Line(port) as line:
        assert code(line.send(adt("A01", pid()))) == "AA"
    assert rows(tmp_path, "select * from feed_message") == []


FULL = "create trigger full before insert on feed_message begin select raise(abort, 'full'); end"


def test_a_database_that_takes_nothing_is_told_and_the_message_taken_later(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Line(port) as line, closing(sqlite3.connect(tmp_path / "overread.db")) as database:
        database.execute(FULL)
        database.commit()
        # the database calls that an integrity error, and so it is a bug of ours: nothing is answered AA
        line.wire.sendall(framed(orm()))
        assert line.ended()
        database.execute("drop trigger full")
        database.commit()
        assert rows(tmp_path, "select * from imaging_order") == []
    with Line(port) as line:
        assert code(line.send(orm())) == "AA"


# --- limits


def test_a_message_that_is_too_long_ends_its_connection_only(tmp_path: Path) -> None:
    served = running_feed(tmp_path, maximum_message_bytes=2048)
    with served as port, Line(port) as other, Line(port) as line:
        line.wire.sendall(framed(orm() + b"NTE|" + b"x" * 4096))
        assert line.ended()
        assert code(other.send(orm())) == "AA"


def test_what_is_no_block_ends_its_connection_only(port: int) -> None:
    with Line(port) as other, Line(port) as line:
        line.wire.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert line.ended()
        assert code(other.send(orm())) == "AA"


def test_silence_and_slowness_end_a_connection(tmp_path: Path) -> None:
    served = running_feed(tmp_path, idle_timeout_s=0.6, message_timeout_s=0.6)
    with served as port, Line(port) as silent, Line(port) as slow:
        slow.wire.sendall(framed(orm())[:50])
        begun = time.monotonic()
        assert slow.ended()
        assert silent.ended()
        assert time.monotonic() - begun < 5


def test_more_connections_than_may_be_are_closed(tmp_path: Path) -> None:
    with running_feed(tmp_path, maximum_connections=1) as port, Line(port) as first:
        assert code(first.send(orm())) == "AA"
        with Line(port) as second:
            assert second.ended()
        assert code(first.send(orm())) == "AA"


def test_nobody_calls_from_elsewhere(tmp_path: Path) -> None:
    peer = {key: value for key, value in RIS.items() if key != "host"}
    served = running_feed(tmp_path, peers=({**peer, "addresses": ["10.1.2.0/24"]},))
    with served as port, Line(port) as line:
        assert line.ended()


def test_a_server_that_ends_answers_what_it_has_begun(tmp_path: Path) -> None:
    with running_feed(tmp_path) as port:
        line = Line(port)
        assert code(line.send(orm())) == "AA"
    with line:
        assert line.ended()
    with pytest.raises(OSError, match="refused"):
        Line(port)


# --- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("certificates"))
    made.found("ca")
    for name in ("node", "ris", "else"):
        made.issue(name)
    return made


def test_only_a_peer_with_its_certificate_is_heard(tmp_path: Path, authority: Authority) -> None:
    named = {**RIS, "certificate_names": ["ris"]}
    with running_feed(tmp_path, peers=(named,), tls=authority.table("node")) as port:
        with Line(port, authority.client("ris")) as line:
            assert code(line.send(orm())) == "AA"
        with Line(port, authority.client("else")) as line:
            assert reason(line.send(orm())) == "SENDER-UNKNOWN"
        with Line(port, authority.client(None)) as line:
            assert line.ended()
        with Line(port) as line:
            line.wire.sendall(framed(orm()))
            assert line.ended()
        with Line(port, authority.client("ris")) as line:
            assert code(line.send(orm())) == "AA"


# --- fuzzed

SEEDS = [orm(), adt("A08", pid()), a40(OTHER, MRN), message(pid(), "ORC|NW||F1", kind="OMI^O23")]


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """Break a message: bytes changed, taken out, put in, doubled; fields of it exchanged."""
    raw = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw)))
        match draw(st.integers(0, 3)):
            case 0:
                raw[at : at + draw(st.integers(1, 8))] = b""
            case 1:
                raw[at:at] = draw(st.binary(max_size=8))
            case 2:
                mark = draw(
                    st.sampled_from([
                        b"|",
                        b"^",
                        b"~",
                        b"\\",
                        b"&",
                        b"\r",
                        b"MSH|",
                        b"PID|",
                        b"\\X",
                    ])
                )
                raw[at:at] = mark * draw(st.integers(1, 3))
            case _:
                raw[at:at] = raw[draw(st.integers(0, at)) : at]
    return bytes(raw)


class Fuzzed:
    """One server for every example, with what it must still hold after each of them."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.sent = 0

    def send(self, stream: bytes) -> bytes:
        """Send bytes and no more; return everything that comes back until the server is done."""
        with Line(self.port) as line:
            with suppress(OSError):
                line.wire.sendall(stream)
                line.wire.shutdown(socket.SHUT_WR)
            got = b""
            with suppress(ConnectionResetError):
                while data := line.wire.recv(1 << 16):
                    got += data
            return got

    def still_works(self) -> None:
        self.sent += 1
        with Line(self.port) as line:
            known = code(line.send(orm(f10=f"SOUND-{self.sent}")))
        assert known == "AA"

    def sound(self) -> None:
        """Look whether the database is whole, and no number leads in a ring."""
        assert rows(self.folder, "pragma integrity_check") == [("ok",)]
        merged = {row[:2]: row[2:] for row in rows(self.folder, MERGED)}
        for first in merged:
            seen, one = set(), first
            while one in merged:
                assert one not in seen
                seen.add(one)
                one = merged[one]


MERGED = "select prior_id, prior_issuer, surviving_id, surviving_issuer from patient_merge"


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    folder = tmp_path_factory.mktemp("fuzzed")
    with running_feed(folder, maximum_message_bytes=1 << 16) as port:
        yield Fuzzed(folder, port)


FUZZ = settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@FUZZ
@given(raw=broken())
@example(raw=b"MSH|^~\\&|RIS|HOSP")
def test_broken_messages_are_each_answered_and_change_nothing_but_what_they_say(
    fuzzed: Fuzzed, raw: bytes
) -> None:
    if START in raw or END[:1] in raw:
        raw = raw.replace(START, b"").replace(END[:1], b"")
    fuzzed.sent += 1  # else most of them would be refused for their control id
    raw = raw.replace(b"|M1|", b"|B%d|" % fuzzed.sent)
    with structlog.testing.capture_logs() as told:
        got = fuzzed.send(framed(raw))
    assert [one for one in told if one["event"] == "connection fails"] == []
    assert got.startswith(START)
    assert got.endswith(END)
    answer = got[len(START) : -len(END)]
    assert code(answer) in {"AA", "AE", "AR"}
    assert (code(answer) == "AA") == (b"\rERR|" not in answer)
    fuzzed.sound()


BLOCK_AND_MORE = st.builds(
    lambda message, more: START + message + END + more, broken(), st.binary(max_size=40)
)


@FUZZ
@given(stream=st.one_of(st.binary(max_size=300), BLOCK_AND_MORE))
def test_streams_of_anything_cost_their_connection_only(fuzzed: Fuzzed, stream: bytes) -> None:
    with structlog.testing.capture_logs() as told:
        fuzzed.send(stream)
    assert [one for one in told if one["event"] == "connection fails"] == []
    fuzzed.still_works()


MERGES = st.lists(st.tuples(st.sampled_from("ABCDE"), st.sampled_from("ABCDE")), max_size=8)


@FUZZ
@given(pairs=MERGES)
def test_merges_in_any_order_never_make_a_ring_nor_lead_to_two(
    fuzzed: Fuzzed, pairs: list[tuple[str, str]]
) -> None:
    fuzzed.sent += 1
    batch = f"{fuzzed.sent}-"
    follows: dict[str, str] = {}

    def end(number: str) -> str:
        while number in follows:
            number = follows[number]
        return number

    with Line(fuzzed.port) as line:
        for place, (prior, surviving) in enumerate(pairs):
            raw = a40(batch + surviving, batch + prior, f10=f"{batch}{place}-M")
            answer = code(line.send(raw))
            known, last = end(prior), end(surviving)
            if prior == surviving or last == prior or known not in {prior, last}:
                assert answer == "AE", (pairs, place)
            else:
                assert answer == "AA", (pairs, place)
                if known == prior:
                    follows[prior] = surviving
    fuzzed.sound()
