"""The node's processes as such: what a listener carries, and how each of them ends."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.association import Association

from integrations.pacs.peer import keep_answers
from tests.acceptance.site import (
    ANALYSE,
    SMALL_MODELS,
    Plan,
    Site,
    peer_source,
    pids_of,
    running_site,
)
from tests.acceptance.studies import SmallStudy, small_study
from tests.peers.dcmtk import storescu

pytestmark = pytest.mark.slow

FOREIGN = ("torch", "tritonclient", "highdicom", "fhir", "celery")
"""What other roles stand on, and a listener must not carry."""

PROBES = 5
PROMPT_S = 8.0
"""A process that has nothing to finish ends well within the ten seconds that a drain may take."""

WIRED = """
import json, pathlib, sys
from node import bootstrap, settings
bootstrap.listener(settings.load(pathlib.Path(sys.argv[1])))
{extra}
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    plan = Plan(
        peers=[peer_source(results_to=[])],
        rules=[{"name": "all", "model": "threshold-brain"}],
        tables={"inference": {"server": "in-process", "models": str(SMALL_MODELS)}},
    )
    with running_site(tmp_path / "site", plan) as made:
        yield made


@pytest.fixture
def study(tmp_path: Path) -> SmallStudy:
    return small_study(tmp_path / "study", 901)


def test_a_listener_carries_nothing_of_the_other_roles(site: Site) -> None:
    modules = _modules(site)
    assert {"pynetdicom", "sqlalchemy"} <= modules
    assert modules.isdisjoint(FOREIGN)


def test_what_a_listener_carries_is_seen(site: Site) -> None:
    assert not _modules(site, extra="import celery").isdisjoint(FOREIGN)


@pytest.mark.parametrize("to_all", [False, True], ids=["to its first process", "to all"])
def test_a_listener_finishes_its_associations_and_takes_no_more(
    site: Site, study: SmallStudy, to_all: bool
) -> None:
    """A terminal sends its signal to every process: then too the recorder ends after the others."""
    listener = site.start("listener")
    site.wait_listening()
    images = [dcmread(path) for path in sorted(study.folder.iterdir())]
    with _association(site) as running:
        assert running.send_c_store(images[0]).Status == 0x0000
        for pid in (listener.pid, *(pids_of(listener) if to_all else ())):
            os.kill(pid, signal.SIGTERM)
        with contextlib.ExitStack() as refused:
            site.wait(
                lambda: not refused.enter_context(_association(site)).is_established,
                "a refused association",
            )
        for image in images[1:]:
            assert running.send_c_store(image).Status == 0x0000
    assert listener.wait(timeout=PROMPT_S) == 0
    assert site.rows("select count(*) from journal") == [(len(images),)]
    assert site.rows("select outcome from association") == [("RELEASED",)]
    balance = site.cli("ledger", "--verify")
    assert balance.returncode == 0, balance.stderr


def test_a_refusal_while_draining_is_transient(site: Site, study: SmallStudy) -> None:
    """PS3.8 9.3.4: the sender may try again, so it must not be told that it is not wanted."""
    listener = site.start("listener")
    site.wait_listening()
    image = dcmread(next(study.folder.iterdir()))
    with _association(site) as running:
        assert running.send_c_store(image).Status == 0x0000
        listener.send_signal(signal.SIGTERM)
        answers: list[int] = []

        def refused() -> bool:
            with _association(site) as another:
                if another.is_established:
                    return False
                answers.append(another.acceptor.primitive.result)
                return True

        site.wait(refused, "a refused association")
    assert answers == [0x02]


def test_probes_of_the_port_delay_no_end(site: Site) -> None:
    listener = site.start("listener")
    site.wait_listening()
    with contextlib.ExitStack() as probes:
        for _ in range(PROBES):
            probes.enter_context(socket.create_connection(("127.0.0.1", site.port)))

        def threads() -> int:
            processes = psutil.Process(listener.pid).children()
            return sum(process.num_threads() for process in processes)

        # two threads of pynetdicom's for each connection
        site.wait(lambda: threads() > 2 * PROBES, "the probes to be taken")
        listener.terminate()
        assert listener.wait(timeout=PROMPT_S) == 0


@pytest.mark.peers
def test_a_worker_finishes_its_job(site: Site, study: SmallStudy) -> None:
    site.close_gate()
    with site.running(("listener",), ("keeper",)):
        site.wait_listening()
        assert storescu(study.folder, port=site.port).returncode == 0
        worker = site.start(*ANALYSE)
        site.wait_at_gate(worker)
        worker.send_signal(signal.SIGTERM)
        assert site.jobs(study.uid) == ["IN PROGRESS"]
        site.open_gate()
        assert worker.wait(timeout=30) == 0
    assert site.jobs(study.uid) == ["COMPLETED"]


def test_serve_ends_every_role(site: Site) -> None:
    serve = site.start("serve")
    site.wait_listening()
    site.wait(lambda: len(pids_of(serve)) == 5, "every role")
    roles = pids_of(serve)
    serve.send_signal(signal.SIGTERM)
    assert serve.wait(timeout=30) == 0
    assert not any(psutil.pid_exists(pid) for pid in roles)


def test_the_roles_end_with_a_serve_that_was_killed(site: Site) -> None:
    serve = site.start("serve")
    site.wait_listening()
    site.wait(lambda: len(pids_of(serve)) == 5, "every role")
    roles = pids_of(serve)
    serve.kill()
    serve.wait()
    site.wait(lambda: not any(_runs(pid) for pid in roles), "the roles to end", timeout_s=30)


def test_serve_starts_a_killed_role_again(site: Site) -> None:
    serve = site.start("serve")
    site.wait_listening()
    listener = next(pid for pid in pids_of(serve) if "listener" in psutil.Process(pid).cmdline())
    os.kill(listener, signal.SIGKILL)
    site.wait(
        lambda: any(
            pid != listener and "listener" in psutil.Process(pid).cmdline()
            for pid in pids_of(serve)
        ),
        "another listener",
    )
    site.wait_listening()


def _modules(site: Site, extra: str = "") -> set[str]:
    command = [sys.executable, "-c", WIRED.format(extra=extra), str(site.config)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return set(json.loads(done.stdout.splitlines()[-1]))


@contextlib.contextmanager
def _association(site: Site) -> Iterator[Association]:
    entity = AE(ae_title="MODALITY")
    entity.add_requested_context("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1")
    association = entity.associate("127.0.0.1", site.port, ae_title="OVERREAD")
    keep_answers(association)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
