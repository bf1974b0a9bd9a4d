"""One Triton server for every acceptance test that does not start its own: ten seconds, paid once."""

from collections.abc import Iterator

import pytest

from inference.server import TritonServer
from inference.triton import installed
from tests.acceptance.site import Plan, running_site
from tests.peers import absent, free_port, wait_for


@pytest.fixture(scope="session")
def triton_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Serve the shipped models by ``overread triton``; give the port of gRPC."""
    if not installed():
        absent("Triton", "pip install nvidia-pytriton on Linux x86-64")
    tables = {"inference": {"http_port": free_port(), "metrics_port": free_port()}}
    plan = Plan(peers=[], rules=[], grpc_port=free_port(), tables=tables)
    with running_site(tmp_path_factory.mktemp("triton"), plan) as site:
        process = site.start("triton")
        assert plan.grpc_port is not None
        server = TritonServer(f"127.0.0.1:{plan.grpc_port}", shared_memory=False)
        wait_for(
            lambda: process.poll() is not None or server.ready("brain-extraction"),
            timeout_s=60,
            what="Triton",
        )
        assert process.poll() is None, site.log_of(process)
        yield plan.grpc_port
