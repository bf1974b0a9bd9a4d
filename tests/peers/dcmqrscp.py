"""DCMTK's `dcmqrscp` as an archive: storage and query, and no storage commitment."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers import free_port, program, wait_for
from tests.peers.dcmtk import echoscu

AE_TITLE = "DCMQRSCP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dcmqrscp:
    """A running archive."""

    folder: Path
    port: int
    ae_title: str = AE_TITLE


@contextmanager
def running_dcmqrscp(folder: Path) -> Iterator[Dcmqrscp]:
    """Start an empty archive in `folder`, and end it."""
    kept = folder / AE_TITLE
    kept.mkdir(parents=True)
    server = Dcmqrscp(folder=kept, port=free_port())
    config = folder / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {server.port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{AE_TITLE} {kept} RW (200, 1024mb) ANY\nAETable END\n"
    )
    command = [str(program("dcmqrscp", "dcmtk")), "-c", str(config)]
    with (folder / "dcmqrscp.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for(
                lambda: (
                    process.poll() is not None
                    or echoscu(port=server.port, called=AE_TITLE).returncode == 0
                ),
                timeout_s=30,
                what="dcmqrscp",
            )
            assert process.poll() is None, (folder / "dcmqrscp.log").read_text()
            yield server
        finally:
            process.terminate()
            process.wait(timeout=20)
