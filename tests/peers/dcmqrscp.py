"""DCMTK's `dcmqrscp` as an archive: storage and query, and no storage commitment."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers import free_port, program
from tests.peers.dcmtk import serving

AE_TITLE = "DCMQRSCP"
_INDEX = "index.dat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dcmqrscp:
    """A running archive."""

    folder: Path
    port: int
    ae_title: str = AE_TITLE

    def files(self) -> list[Path]:
        """Every object that it holds."""
        return sorted(path for path in self.folder.iterdir() if path.name != _INDEX)

    def clear(self) -> None:
        """Forget every object."""
        for path in self.folder.iterdir():
            path.unlink()


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
    with serving(command, folder, ae_title=server.ae_title, port=server.port):
        yield server
