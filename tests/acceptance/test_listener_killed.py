"""Processes of a listener are killed at random moments; whoever was answered Success has lost nothing.

``make kill-test`` does it 200 times, ``OVERREAD_KILLS`` any number of times; ``OVERREAD_SEED`` repeats a run.
"""

import hashlib
import json
import os
import random
import socket
import struct
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.acceptance.senders import Senders
from tests.acceptance.site import Plan, Site, peer_source, running_site
from tests.acceptance.wire import OUT_OF_RESOURCES
from tests.peers import wait_for

KILLS = int(os.environ.get("OVERREAD_KILLS", "5"))
SEED = int(os.environ.get("OVERREAD_SEED", "20261015"))
LONGEST_S = 0.6
"""Between the first answer after a kill and the next kill."""

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(120 + 10 * KILLS)]


def test_nothing_that_was_answered_success_is_lost(tmp_path: Path) -> None:
    chance = random.Random(SEED)  # noqa: S311 - repeatable on purpose
    with running_site(tmp_path / "site", Plan(peers=[peer_source(results_to=[])])) as site:
        main = site.start("listener")
        site.wait_listening()
        with Senders(site.port, associations=4, image_bytes=20_000) as senders:
            for _ in range(KILLS):
                before = senders.count()
                site.wait(lambda b=before: senders.count() > b, "an answer after the kill")  # type: ignore[misc]
                time.sleep(chance.uniform(0, LONGEST_S))
                main = _kill_one(site, main, chance)
            before = senders.count()
            site.wait(lambda: senders.count() > before, "an answer after the last kill")
        refused = Counter(senders.refused)
        print(f"seed {SEED}: {KILLS} kills, {senders.count()} images answered Success", end="")
        print(f", {refused[OUT_OF_RESOURCES]} to be sent again")
        # while recorders are killed faster than they start, nothing is recorded, and that is said
        assert set(refused) <= {OUT_OF_RESOURCES}
        assert _reasons(site) <= {"nothing that arrives is recorded: see what the recorder logs"}
        _check(site, senders.acknowledged)


def _kill_one(
    site: Site, main: subprocess.Popen[bytes], chance: random.Random
) -> subprocess.Popen[bytes]:
    """Kill the listener or one of its processes; start it again when it is gone."""
    family = [psutil.Process(main.pid), *psutil.Process(main.pid).children(recursive=True)]
    victim = chance.choice(family)
    victim.kill()
    if victim.pid != main.pid:
        return main
    main.wait(timeout=30)
    wait_for(
        lambda: _free(site.port), timeout_s=30, what="the processes of a killed listener to end"
    )
    return site.start("listener")


def _reasons(site: Site) -> set[str]:
    """Return why instances were refused, as the logs tell it."""
    lines = "".join(log.read_text() for log in site.folder.glob("listener-*.log")).splitlines()
    return {json.loads(one)["detail"] for one in lines if '"event": "instance rejected"' in one}


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _check(site: Site, acknowledged: dict[str, str]) -> None:
    site.wait_recorded(len(acknowledged))
    recorded = dict(site.rows("select sop_instance_uid, path from instance"))
    missing = set(acknowledged) - set(recorded)
    assert not missing, f"{len(missing)} answered Success and not recorded"
    altered = [
        uid
        for uid, digest in acknowledged.items()
        if _data_set_digest(site.data / "files" / recorded[uid]) != digest
    ]
    assert not altered, f"{len(altered)} of {len(acknowledged)} are not what was sent"
    lines = site.rows(
        "select sop_instance_uid, count(*) from journal where outcome = 'stored' group by 1"
    )
    assert [line for line in lines if line[1] != 1] == []
    balance = site.cli("ledger", "--verify")
    assert balance.returncode == 0, balance.stdout + balance.stderr


def _data_set_digest(path: Path) -> str:
    content = path.read_bytes()
    (meta_bytes,) = struct.unpack_from("<L", content, 140)
    return hashlib.sha256(content[144 + meta_bytes :]).hexdigest()
