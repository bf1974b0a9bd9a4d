"""``overread triton``: NVIDIA's server in the foreground."""

import os
import sys

from inference.errors import TritonAbsent
from inference.triton import Ports, command, environment, prepare_backends
from node.cli.app import err
from node.settings import Settings
from node.telemetry import log


def run(settings: Settings) -> None:
    """Replace this process by the server; what it writes goes to ``triton/triton.log`` in `node.data`."""
    table = settings.inference
    folder = settings.node.data / "triton"
    folder.mkdir(parents=True, exist_ok=True)
    ports = Ports(http=table.http_port, grpc=table.grpc_port, metrics=table.metrics_port)
    try:
        served = command(table.models, prepare_backends(folder), ports)
    except TritonAbsent as error:
        err.print(f"{error}; the models then run in process", highlight=False)
        sys.exit(1)
    log("triton starts", path=str(folder / "triton.log"), port=table.grpc_port)
    with (folder / "triton.log").open("ab") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    os.execve(served[0], served, environment())  # noqa: S606 - no shell is wanted
