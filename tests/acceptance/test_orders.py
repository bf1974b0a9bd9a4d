"""The role `hl7` as a process: killed and traced, and a STAT order that comes before or after its images."""

import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.site import (
    ISSUER,
    SMALL_MODELS,
    Plan,
    Site,
    kill,
    peer_source,
    running_site,
)
from tests.acceptance.studies import small_study
from tests.acceptance.system_calls import OPTIONS, read_calls
from tests.integration.feed import RIS, Line, code
from tests.peers import free_port, program
from tests.peers.dcmtk import storescu
from tests.unit.integrations.hl7.messages import adt, mrg, orm, pid

pytestmark = [pytest.mark.slow, pytest.mark.peers]

KILLS = int(os.environ.get("OVERREAD_KILLS", "2"))
ANSWERED = "select control_id from feed_message"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def site(tmp_path: Path, port: int) -> Iterator[Site]:
    ris: dict[str, Any] = {**RIS, "default_issuer": ISSUER}
    plan = Plan(
        peers=[peer_source(results_to=[]), ris],
        rules=[{"name": "balls", "model": "threshold-brain"}],
        tables={
            "inference": {"server": "in-process", "models": str(SMALL_MODELS)},
            "hl7": {"enabled": True, "port": port},
        },
    )
    with running_site(tmp_path / "site", plan) as site:
        yield site


def listening(site: Site, port: int) -> None:
    def answers() -> bool:
        try:
            Line(port).wire.close()
        except OSError:
            return False
        return True

    site.wait(answers, "the role hl7")


def order(number: int, control_id: str) -> bytes:
    patient = pid(f"OVR-{number:06d}", name=f"Ball^Number {number}", authority=ISSUER)
    return orm(accession=f"BALL{number}", patient=patient, f10=control_id)


def priorities(site: Site) -> dict[str, int]:
    return dict(site.rows("select study_instance_uid, priority from job"))


def test_an_order_makes_its_study_urgent_before_or_after_the_images(
    site: Site, port: int, tmp_path: Path
) -> None:
    for role in ("listener", "keeper", "hl7"):
        site.start(role)
    site.wait_listening()
    listening(site, port)
    studies = {number: small_study(tmp_path / str(number), number) for number in (911, 912, 913)}
    with Line(port) as line:
        assert code(line.send(order(911, "A"))) == "AA"
        sent = [storescu(one.folder, port=site.port).returncode for one in studies.values()]
        assert sent == [0, 0, 0]
        site.wait_jobs("SCHEDULED", 3)
        assert code(line.send(order(912, "B"))) == "AA"
        assert code(line.send(order(914, "C"))) == "AA"  # of images that never come
        wanted = {studies[911].uid: 100, studies[912].uid: 100, studies[913].uid: 0}
        site.wait(lambda: priorities(site) == wanted, "the orders' urgency")
        who = pid("OVR-000999", name="Ball^Number 911", born="19700101", authority=ISSUER)
        assert (
            code(line.send(adt("A40", who, mrg("OVR-000911", authority=ISSUER), f10="D"))) == "AA"
        )
    told = site.story(studies[911].uid)
    assert "order STAT by ris" in told
    assert "patient merged by ris" in told
    assert [line for line in site.story(studies[913].uid) if line.startswith("order")] == []


def test_whatever_was_answered_aa_is_there_after_a_kill_and_nothing_twice(
    site: Site, port: int
) -> None:
    chance = random.Random(5)  # noqa: S311 - moments, not secrets
    sent = 0
    for _ in range(KILLS):
        role = site.start("hl7")
        listening(site, port)
        answered: list[str] = []
        with Line(port) as line:
            for _ in range(chance.randint(1, 20)):
                sent += 1
                assert code(line.send(order(sent, f"K{sent}"))) == "AA"
                answered.append(f"K{sent}")
            line.wire.sendall(b"\x0b" + order(sent + 1, f"K{sent + 1}") + b"\x1c\r")
            kill(role)
        assert set(answered) <= {row[0] for row in site.rows(ANSWERED)}
        # whatever was not answered is sent again, as a RIS does
        role = site.start("hl7")
        listening(site, port)
        with Line(port) as line:
            sent += 1
            assert code(line.send(order(sent, f"K{sent}"))) == "AA"
            assert code(line.send(order(1, "K1"))) == "AA"
        kill(role)
    assert len(site.rows(ANSWERED)) == sent
    assert len(site.rows("select * from imaging_order")) == sent


def test_aa_leaves_after_the_message_is_synced(site: Site, port: int, tmp_path: Path) -> None:
    trace = tmp_path / "calls"
    command = [str(program("strace", "strace")), *OPTIONS, "-o", str(trace), sys.executable]
    process = site.start_command(
        [*command, "-m", "node", "hl7", "--config", str(site.config)], "strace"
    )
    listening(site, port)
    with Line(port) as line:
        assert code(line.send(order(931, "T"))) == "AA"
    for child in psutil.Process(process.pid).children():
        os.kill(child.pid, signal.SIGTERM)
    process.wait(timeout=60)
    with trace.open() as lines:
        calls = list(read_calls(lines))
    wal = [(i, one) for i, one in enumerate(calls) if one.path.endswith("overread.db-wal")]
    holds = [i for i, one in wal if one.ended and any(b"BALL931" in text for text in one.strings)]
    syncs = [i for i, one in wal if one.ended and one.name in {"fsync", "fdatasync"}]
    (answer,) = (
        i
        for i, one in enumerate(calls)
        if not one.ended and any(b"MSA|AA|T" in text for text in one.strings)
    )
    assert holds
    assert [one for one in syncs if holds[-1] < one < answer] != []
