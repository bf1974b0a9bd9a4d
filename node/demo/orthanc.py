"""Orthanc as the demo's archive, where it is installed."""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from node.demo.processes import listens, running, wait_until


def installed() -> str | None:
    """Return Orthanc's program; None when it is not installed."""
    return shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


@contextlib.contextmanager
def running_orthanc(
    program: str, folder: Path, ae_title: str, ports: tuple[int, int], callers: Mapping[str, int]
) -> Iterator[str]:
    """Run an empty Orthanc; give the address of its page.

    Orthanc listens for DICOM on every address, so that it is told to talk to `callers` on this machine alone.

    Parameters
    ----------
    ports
        DICOM port, HTTP port.
    callers
        AE titles that may call, with their ports.

    Raises
    ------
    DemoFailed
        It does not come up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dicom_port, http_port = ports
    settings = {
        "Name": "Demo archive",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [],
        "RemoteAccessAllowed": False,
        "HttpPort": http_port,
        "DicomAet": ae_title,
        "DicomPort": dicom_port,
        "DicomCheckCalledAet": True,
        "DicomCheckModalityHost": True,
        "DicomAlwaysAllowStore": False,
        "DicomModalities": {name: [name, "127.0.0.1", port] for name, port in callers.items()},
        "UnknownSopClassAccepted": True,
        "StableAge": 1,
        "DicomAssociationCloseDelay": 0,
        "SyncStorageArea": False,
    }
    config = folder / "orthanc.json"
    config.write_text(json.dumps(settings))
    with running([program, str(config)], folder / "orthanc.log") as process:
        wait_until(
            lambda: process.poll() is None and listens(dicom_port),
            timeout_s=30,
            what=f"Orthanc; see {folder / 'orthanc.log'}",
        )
        yield f"http://127.0.0.1:{http_port}/app/explorer.html"
