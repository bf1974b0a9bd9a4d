"""A hospital on loopback: the node's processes as the CLI starts them, and a configuration for them."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests import patients
from tests.peers import free_port, wait_for
from tests.peers.sekmet import MRN_SYSTEM

HEAD = Path(__file__).parents[2] / "node" / "demo" / "head"
"""The demo's head study."""

JPEG_LS = "1.2.840.10008.1.2.4.80"
ISSUER = "OVERREAD-DEMO"
SMALL_MODELS = Path(__file__).parent / "models"
"""A model repository for tests that are not about a model's answer."""

ANALYSE = ("worker", "--queue", "analyse")
DELIVER = ("worker", "--queue", "deliver")

PATIENT: Mapping[str, Any] = {
    "resourceType": "Patient",
    "active": True,
    "identifier": [{"system": MRN_SYSTEM, "value": "OVR-000027"}],
    "name": [{"family": "Colin", "given": ["Twentyseven"]}],
    "gender": "male",
    "birthDate": "1963-07-04",
}
"""The head's patient, as the EHR should know him."""


@dataclass(kw_only=True)
class Site:
    """One node with its peers."""

    folder: Path
    port: int
    web_port: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    logs: dict[int, Path] = field(default_factory=dict)

    @property
    def gate(self) -> Path:
        """The folder in which the threshold model's gate stands."""
        return self.folder / "gate"

    @property
    def config(self) -> Path:
        return self.folder / "overread.toml"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start ``overread …`` with the site's configuration."""
        command = [sys.executable, "-m", "node", *arguments, "--config", str(self.config)]
        return self.start_command(command, "-".join(arguments).replace("--", ""))

    def start_command(self, command: Sequence[str], name: str) -> subprocess.Popen[bytes]:
        """Start a program that is ended with the site; `name` is that of its log."""
        log = self.folder / f"{name}-{len(self.processes)}.log"
        environment = {**os.environ, "THRESHOLD_GATE": str(self.gate)}
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=environment
            )
        self.processes.append(process)
        self.logs[process.pid] = log
        return process

    @contextlib.contextmanager
    def running(self, *roles: tuple[str, ...]) -> Iterator[list[subprocess.Popen[bytes]]]:
        """Run roles side by side while the block runs; then they are killed: nothing may need a farewell."""
        processes = [self.start(*role) for role in roles]
        try:
            yield processes
        finally:
            for process in processes:
                kill(process)

    def log_of(self, process: subprocess.Popen[bytes]) -> str:
        """Everything that a process has written so far."""
        return self.logs[process.pid].read_text(encoding="utf-8")

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``overread …`` to its end."""
        command = [sys.executable, "-m", "node", *arguments, "--config", str(self.config)]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

    def listing(self, what: str) -> list[dict[str, Any]]:
        """``overread studies|jobs|deliveries --json``."""
        done = self.cli(what, "--json")
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def rows(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the node's database, for conditions that are waited for."""
        if not (self.data / "overread.db").exists():
            return []
        with contextlib.closing(sqlite3.connect(self.data / "overread.db", timeout=30)) as database:
            try:
                return database.execute(question, values).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):
                    raise
                return []  # not migrated yet

    def jobs(self, study_instance_uid: str) -> list[str]:
        """State of each job of a study."""
        question = "select state from job where study_instance_uid = ?"
        return [str(row[0]) for row in self.rows(question, study_instance_uid)]

    def deliveries(self, study_instance_uid: str) -> dict[str, tuple[str, str | None]]:
        """State and reason of each delivery of a study, by destination."""
        question = (
            "select destination, delivery.state, delivery.reason from delivery "
            "join result_set using (result_set_id) where study_instance_uid = ?"
        )
        return {row[0]: (row[1], row[2]) for row in self.rows(question, study_instance_uid)}

    def story(self, study_instance_uid: str) -> list[str]:
        """Tell what happened to a study, line by line."""
        question = "select what, detail from event where study_instance_uid = ? order by line"
        return [f"{what} {detail}" for what, detail in self.rows(question, study_instance_uid)]

    def wait(self, condition: Callable[[], object], what: str, timeout_s: float = 60) -> None:
        """Wait until `condition` is truthy; a process that fails ends the waiting."""
        wait_for(
            lambda: self._failed() or condition(),
            timeout_s=timeout_s,
            what=f"{what}; logs in {self.folder}",
        )
        assert not self._failed(), self.log_of(self._failed()[0])[-2000:]

    def wait_listening(self) -> None:
        """Wait until C-STORE is taken; the port is open before the processes that share it serve."""
        self.wait(lambda: _answers(self.port), "the listener")

    def wait_recorded(self, count: int, timeout_s: float = 60) -> None:
        """Wait until `count` instances are on record: that follows the answer to their C-STORE."""
        question = "select count(*) from instance"
        self.wait(
            lambda: (self.rows(question) or [(0,)])[0][0] >= count,
            f"{count} instance(s) on record",
            timeout_s,
        )

    def wait_jobs(self, state: str, count: int = 1, timeout_s: float = 120) -> None:
        """Wait until `count` jobs are in `state`."""
        question = f"select count(*) from job where state = '{state}'"  # noqa: S608 - ours
        self.wait(
            lambda: (self.rows(question) or [(0,)])[0][0] >= count,
            f"{count} job(s) {state}",
            timeout_s,
        )

    def wait_delivered(self, count: int, timeout_s: float = 120) -> None:
        """Wait until `count` deliveries are over."""
        question = "select count(*) from delivery where state in ('CONFIRMED', 'SENT', 'PARKED')"
        self.wait(
            lambda: (self.rows(question) or [(0,)])[0][0] >= count,
            f"{count} deliveries",
            timeout_s,
        )

    def explain(self, study_instance_uid: str) -> str:
        """``overread explain``."""
        done = self.cli("explain", study_instance_uid)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _failed(self) -> list[subprocess.Popen[bytes]]:
        return [process for process in self.processes if (process.poll() or 0) > 0]

    def close_gate(self) -> None:
        """Let the threshold model wait."""
        (self.gate / "closed").touch()

    def open_gate(self) -> None:
        """Let the threshold model go on."""
        (self.gate / "closed").unlink(missing_ok=True)

    def wait_at_gate(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until a worker is in the middle of a job."""
        self.wait((self.gate / str(process.pid)).exists, "a worker in the middle of a job")

    def stop(self) -> None:
        """End every process that `start` made."""
        self.open_gate()
        end(self.processes)

    def require_no_patient_in_logs(self) -> None:
        """Look through every log that was written here for whatever the node knows of its patients."""
        known = patients.of_database(self.data / "overread.db")
        for log in (*self.folder.glob("*.log"), *self.data.rglob("*.log")):
            found = patients.named(log.read_text(encoding="utf-8", errors="replace"), known)
            assert not found, f"{log} names a patient: {', '.join(found)}"


def end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Let processes drain, and wait for them."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
    for process in processes:
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process without giving it a chance."""
    process.kill()
    process.wait(timeout=30)


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it started, none of them with a chance: a listener is several."""
    started = psutil.Process(process.pid).children(recursive=True)
    kill(process)
    for child in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(started, timeout=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What stands in a site's configuration besides its defaults."""

    peers: Sequence[Mapping[str, Any]]
    grpc_port: int | None = None
    lease_s: float = 60.0
    rules: Sequence[Mapping[str, Any]] = ({"name": "heads", "model": "brain-extraction"},)
    profiles: Sequence[Mapping[str, Any]] = ()
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@contextlib.contextmanager
def running_site(folder: Path, plan: Plan) -> Iterator[Site]:
    """Write a configuration; processes that are started are ended again, and their logs may name no patient."""
    folder.mkdir(parents=True, exist_ok=True)
    site = Site(folder=folder, port=free_port(), web_port=free_port())
    site.gate.mkdir(exist_ok=True)
    site.config.write_text(_toml(site, plan))
    try:
        yield site
    finally:
        site.stop()
    site.require_no_patient_in_logs()


def peer_source(*, results_to: Sequence[str], **more: Any) -> dict[str, Any]:
    """Return the sender as a peer, with quiet times for tests."""
    return {
        "name": "modality",
        "ae_title": "MODALITY",
        "roles": ["source"],
        "default_issuer": ISSUER,
        "quiet_short_s": 1.0,
        "quiet_long_s": 4.0,
        "results_to": list(results_to),
        **more,
    }


def peer_archive(name: str, ae_title: str, port: int, **more: Any) -> dict[str, Any]:
    """Return an archive as a peer."""
    return {
        "name": name,
        "ae_title": ae_title,
        "host": "127.0.0.1",
        "port": port,
        "roles": ["archive"],
        "quiet_short_s": 1.0,
        "quiet_long_s": 4.0,
        **more,
    }


def peer_ehr(base_url: str) -> dict[str, Any]:
    """Return the EHR as a peer."""
    return {
        "name": "ehr",
        "roles": ["ehr"],
        "fhir": {"url": base_url, "identifier_systems": {ISSUER: MRN_SYSTEM}},
    }


def _toml(site: Site, plan: Plan) -> str:
    tables: dict[str, Mapping[str, Any]] = {
        "node": {"data": str(site.data)},
        "listener": {"port": site.port},
        "web": {"port": site.web_port},
        "queue": {"lease_s": plan.lease_s, "ring_again_s": 2.0},
        "inference": _inference(plan.grpc_port),
        "exclude": {"phantoms": False},  # what the tests send says truly that it is one
    }
    for name, values in plan.tables.items():
        tables[name] = {**tables.get(name, {}), **values}
    lines = [f"[{name}]\n{_values(values)}" for name, values in tables.items()]
    lines += [f"[[peer]]\n{_values(peer)}" for peer in plan.peers]
    lines += [f"[[profile]]\n{_values(profile)}" for profile in plan.profiles]
    lines += [f"[[rule]]\n{_values(rule)}" for rule in plan.rules]
    return "\n".join(lines)


def _inference(grpc_port: int | None) -> dict[str, Any]:
    if grpc_port is not None:
        return {"grpc_port": grpc_port}
    return {"http_port": free_port(), "grpc_port": free_port(), "metrics_port": free_port()}


def _values(values: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f'"{key}" = {_value(item)}' for key, item in value.items()) + "}"
    return json.dumps(value)


def _answers(port: int) -> bool:
    """Whether somebody aborts what is no PDU: until then connections only wait in the kernel."""
    with socket.socket() as probe:
        probe.settimeout(2)
        try:
            probe.connect(("127.0.0.1", port))
            probe.sendall(b"\xff" * 6)
            return probe.recv(1) != b""
        except OSError:
            return False


def pids_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Process ids of the children of a supervisor."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in path.read_text().split()]
