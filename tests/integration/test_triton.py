"""Triton's own binary from the wheel, as a child of this process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from inference.errors import ServerUnavailable, TritonAbsent
from inference.server import Output, TritonServer
from inference.server.region import sweep
from inference.triton import Ports, TritonProcess, prepare_backends, start
from tests.peers import free_port, triton, wait_for

pytestmark = pytest.mark.peers

MODEL = "slow"
MASK = Output(name="mask", shape=(4, 4, 4), dtype=np.dtype(np.uint8))
VOLUME = {"volume": np.arange(64, dtype=np.float32).reshape(4, 4, 4)}
CONFIGURATION = """
name: "slow"
backend: "python"
max_batch_size: 0
input [ { name: "volume", data_type: TYPE_FP32, dims: [ -1, -1, -1 ] } ]
output [ { name: "mask", data_type: TYPE_UINT8, dims: [ -1, -1, -1 ] } ]
instance_group [ { kind: KIND_CPU } ]
"""
SLOW_MODEL = """
import time
import numpy as np
import triton_python_backend_utils as triton


class TritonPythonModel:
    def execute(self, requests):
        volume = triton.get_input_tensor_by_name(requests[0], "volume").as_numpy()
        time.sleep(float(volume.min()))
        mask = triton.Tensor("mask", (volume > volume.mean()).astype(np.uint8))
        return [triton.InferenceResponse(output_tensors=[mask])]
"""


def model(repository: Path, code: str) -> Path:
    (repository / MODEL / "1").mkdir(parents=True)
    (repository / MODEL / "config.pbtxt").write_text(CONFIGURATION)
    (repository / MODEL / "1" / "model.py").write_text(code)
    return repository


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonProcess]:
    folder = tmp_path_factory.mktemp("triton")
    with triton.serving(model(folder / "models", SLOW_MODEL), folder) as process:
        yield process


def our_regions() -> set[Path]:
    return set(Path("/dev/shm").glob(f"overread-{os.getpid()}-*"))


def forgets(server: TritonServer) -> bool:
    """Ask as the next request would: a region may be in use for a moment after the answer has left."""
    server._forget(set(server._still_in_use))
    return not server._still_in_use


def test_the_region_of_a_killed_process_is_removed_and_that_of_a_living_one_stays(
    process: TritonProcess,
) -> None:
    """A worker that is killed while it waits for its answer leaves a patient's images in memory."""
    begin = (
        "import numpy as np, time\n"
        "from inference.server.region import Region\n"
        "region = Region({'volume': np.zeros(64)}, [])\n"
        "region.__enter__()\n"
        "print(region.name, flush=True)\n"
        "time.sleep(60)"
    )
    killed, living = (
        subprocess.Popen(
            [sys.executable, "-c", begin], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        for _ in range(2)
    )
    try:
        gone, stays = (
            child.stdout.readline().strip() for child in (killed, living) if child.stdout
        )
        TritonServer(process.url, shared_memory=True)
        assert {path.name for path in Path("/dev/shm").iterdir()} >= {gone, stays}
        os.killpg(killed.pid, signal.SIGKILL)  # and the process that would tidy up behind it
        killed.wait()
        assert (Path("/dev/shm") / gone).exists()
        server = TritonServer(process.url, shared_memory=True)
        there = {path.name for path in Path("/dev/shm").iterdir()}
        assert stays in there
        assert gone not in there
        server.infer(MODEL, VOLUME, [MASK], timeout_s=20)
        wait_for(lambda: forgets(server), timeout_s=10, what="the region to be let go")
        assert not server._client.get_system_shared_memory_status().regions
    finally:
        os.killpg(living.pid, signal.SIGKILL)
        living.wait()
        assert sweep() == {stays}


def test_it_listens_on_loopback_only(process: TritonProcess) -> None:
    sockets = psutil.Process(process.pid).net_connections("tcp")
    listening = {s.laddr for s in sockets if s.status == psutil.CONN_LISTEN}
    assert {port for _, port in listening} >= {
        process.ports.http,
        process.ports.grpc,
        process.ports.metrics,
    }
    assert all(address.removeprefix("::ffff:") == "127.0.0.1" for address, _ in listening)


def test_it_says_what_it_is_and_how_it_is_asked(process: TritonProcess) -> None:
    assert TritonServer(process.url, shared_memory=False).name == "Triton 2.51.0 (gRPC)"
    shared = TritonServer(process.url, shared_memory=True)
    assert shared.name == "Triton 2.51.0 (gRPC, system shared memory)"


@pytest.mark.parametrize("shared_memory", [True, False])
def test_a_model_too_slow_is_given_up_at_the_deadline(
    process: TritonProcess, shared_memory: bool
) -> None:
    server = TritonServer(process.url, shared_memory=shared_memory)
    began = time.monotonic()
    with pytest.raises(ServerUnavailable):
        server.infer(MODEL, {"volume": VOLUME["volume"] + 3}, [MASK], timeout_s=0.3)
    assert time.monotonic() - began < 2
    assert not our_regions()
    # It takes up the next request, in a region of its own, after the one that nobody waits for.
    answer = server.infer(MODEL, VOLUME, [MASK], timeout_s=20)["mask"]
    assert answer.sum() == 32
    # Nor does the server keep the first region once it is done with it.
    wait_for(lambda: forgets(server), timeout_s=10, what="the region to be let go")
    assert not server._client.get_system_shared_memory_status().regions


def test_no_region_is_left_behind(process: TritonProcess) -> None:
    server = TritonServer(process.url, shared_memory=True)
    server.infer(MODEL, VOLUME, [MASK], timeout_s=20)
    assert not our_regions()
    wait_for(lambda: forgets(server), timeout_s=10, what="the region to be let go")
    assert not server._client.get_system_shared_memory_status().regions


def test_a_server_that_refuses_a_region_is_asked_by_grpc(
    process: TritonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on another machine: the region's name means nothing there.
    server = TritonServer(process.url, shared_memory=True)
    register = server._client.register_system_shared_memory

    def elsewhere(name: str, key: str, size: int, **options: float) -> None:
        register(name, f"{key}-elsewhere", size, **options)

    monkeypatch.setattr(server._client, "register_system_shared_memory", elsewhere)
    answer = server.infer(MODEL, VOLUME, [MASK], timeout_s=20)["mask"]
    assert answer.sum() == 32
    assert server.name == "Triton 2.51.0 (gRPC)"
    assert not our_regions()


@pytest.mark.parametrize("shared_memory", [True, False])
def test_nobody_listening_is_unavailable(shared_memory: bool) -> None:
    server = TritonServer(f"127.0.0.1:{free_port()}", shared_memory=shared_memory)
    assert not server.ready(MODEL)
    with pytest.raises(ServerUnavailable):
        server.infer(MODEL, VOLUME, [MASK], timeout_s=1)
    with pytest.raises(ServerUnavailable):
        _ = server.name
    assert not our_regions()


def test_a_model_that_does_not_load_is_said_early(tmp_path: Path) -> None:
    repository = model(tmp_path / "models", "import a_package_that_nobody_has")
    with (
        start(repository, tmp_path, Ports.free()) as process,
        pytest.raises(ServerUnavailable, match="ended with status 1"),
    ):
        process.wait_ready(60)
    assert "a_package_that_nobody_has" in process.log.read_text()


def test_it_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    repository = model(tmp_path / "models", SLOW_MODEL)
    code = (
        "import sys; from pathlib import Path; from inference.triton import Ports, start\n"
        f"process = start(Path({str(repository)!r}), Path({str(tmp_path)!r}), Ports.free())\n"
        "process.wait_ready(60); print(process.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        family = [child, *child.children(recursive=True)]
        assert len(family) > 1
        os.kill(parent.pid, signal.SIGKILL)
        wait_for(
            lambda: not any(one.is_running() for one in family),
            timeout_s=30,
            what="Triton and its stub to end with their parent",
        )


def test_an_installation_without_the_wheel_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(TritonAbsent, match="nvidia-pytriton is not installed"):
        start(tmp_path, tmp_path, Ports.free())


def test_backends_are_prepared_once(tmp_path: Path) -> None:
    stub = prepare_backends(tmp_path) / "python" / "triton_python_backend_stub"
    before = stub.stat()
    prepare_backends(tmp_path)
    assert (stub.stat().st_ino, stub.stat().st_mtime) == (before.st_ino, before.st_mtime)
    assert os.access(stub, os.X_OK)
