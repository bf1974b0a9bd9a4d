"""Debian's Orthanc as the PACS: archive, query SCP, storage commitment, DICOMweb.

It keeps the first of two instances with one SOP Instance UID and answers Success to the second, so it
cannot show that something was sent twice: `tests.peers.receiver` counts that.
"""

import contextlib
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers import free_port, program, wait_for

_DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass(frozen=True, slots=True, kw_only=True)
class Modality:
    """A DICOM node that Orthanc knows and may send to."""

    name: str
    ae_title: str
    port: int
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInstance:
    """One instance in the archive, as its REST interface describes it."""

    orthanc_id: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    modality: str
    series_description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Orthanc:
    """A running Orthanc."""

    ae_title: str
    host: str
    dicom_port: int
    http_port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.http_port}"

    @property
    def dicomweb_url(self) -> str:
        return f"{self.url}/dicom-web"

    def instances(self, *, modality: str | None = None) -> list[StoredInstance]:
        """Every instance, or those of one modality (``SEG``), in no particular order."""
        found = self._rest(
            "POST", "/tools/find", {"Level": "Instance", "Expand": False, "Query": {}}
        )
        stored = [self._describe(orthanc_id) for orthanc_id in json.loads(found)]
        return [one for one in stored if modality in {None, one.modality}]

    def count(self, *, modality: str | None = None) -> int:
        if modality is None:
            return int(json.loads(self._rest("GET", "/statistics"))["CountInstances"])
        return len(self.instances(modality=modality))

    def file(self, instance: StoredInstance) -> bytes:
        """Fetch the Part 10 file of an instance, as the archive gives it out."""
        return self._rest("GET", f"/instances/{instance.orthanc_id}/file")

    def download(self, folder: Path, *, modality: str | None = None) -> list[Path]:
        """Write every instance (of one modality) to `folder`; names are the SOP Instance UIDs."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for instance in self.instances(modality=modality):
            path = folder / f"{instance.sop_instance_uid}.dcm"
            path.write_bytes(self.file(instance))
            paths.append(path)
        return sorted(paths)

    def upload(self, path: Path) -> None:
        """Put a file into the archive without DIMSE."""
        self._rest("POST", "/instances", path.read_bytes())

    def send(self, modality: Modality | str, *, series_instance_uid: str | None = None) -> None:
        """Send everything, or one series, to a known modality by C-STORE, and wait for it."""
        name = modality if isinstance(modality, str) else modality.name
        ids = [
            one.orthanc_id
            for one in self.instances()
            if series_instance_uid in {None, one.series_instance_uid}
        ]
        self._rest("POST", f"/modalities/{name}/store", {"Resources": ids, "Synchronous": True})

    def register(self, modality: Modality) -> None:
        """Make a modality known (C-MOVE destination, forward target) while running."""
        body = {"AET": modality.ae_title, "Host": modality.host, "Port": modality.port}
        self._rest("PUT", f"/modalities/{modality.name}", body)

    def clear(self) -> None:
        """Delete every patient, so that tests sharing the server see only their own."""
        for patient in json.loads(self._rest("GET", "/patients")):
            self._rest("DELETE", f"/patients/{patient}")

    def _describe(self, orthanc_id: str) -> StoredInstance:
        tags = json.loads(self._rest("GET", f"/instances/{orthanc_id}/simplified-tags"))
        return StoredInstance(
            orthanc_id=orthanc_id,
            study_instance_uid=tags["StudyInstanceUID"],
            series_instance_uid=tags["SeriesInstanceUID"],
            sop_instance_uid=tags["SOPInstanceUID"],
            modality=tags.get("Modality", ""),
            series_description=tags.get("SeriesDescription", ""),
        )

    def _rest(self, method: str, path: str, body: object = None) -> bytes:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 -- http to our own server on loopback
            self.url + path, data=None if body is None else data, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 -- the same
            content: bytes = answer.read()
            return content


@contextlib.contextmanager
def running_orthanc(
    folder: Path,
    *,
    modalities: Sequence[Modality] = (),
    forward_to: str | None = None,
    ae_title: str = "ORTHANC",
    unknown_classes: bool = True,
) -> Iterator[Orthanc]:
    """Start an empty Orthanc in `folder`, and end it.

    Parameters
    ----------
    modalities
        The DICOM nodes that it knows from the start.
    forward_to
        Name of a modality that gets every instance as soon as it is stored.
    unknown_classes
        False: it takes only the SOP classes that its version knows, as it comes from its maker.
    """
    binary = program("Orthanc", "orthanc")
    folder.mkdir(parents=True, exist_ok=True)
    server = Orthanc(
        ae_title=ae_title, host="127.0.0.1", dicom_port=free_port(), http_port=free_port()
    )
    configuration = folder / "orthanc.json"
    scripts = _forwarding(folder, forward_to) if forward_to else []
    settings = _settings(server, folder, modalities, scripts)
    settings["UnknownSopClassAccepted"] = unknown_classes
    configuration.write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            [str(binary), str(configuration)], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            wait_for(
                lambda: process.poll() is not None or _answers(server),
                timeout_s=60,
                what="Orthanc to answer",
            )
            assert process.poll() is None, (folder / "orthanc.log").read_text()[-2000:]
            yield server
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=20)


def _settings(
    server: Orthanc, folder: Path, modalities: Sequence[Modality], scripts: Sequence[str]
) -> dict[str, object]:
    return {
        "Name": "overread-tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(_DICOMWEB)] if _DICOMWEB.exists() else [],
        "LuaScripts": list(scripts),
        "HttpPort": server.http_port,
        "RemoteAccessAllowed": False,
        "DicomAet": server.ae_title,
        "DicomPort": server.dicom_port,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "UnknownSopClassAccepted": True,
        "DicomModalities": {m.name: [m.ae_title, m.host, m.port] for m in modalities},
        "DicomModalitiesInDatabase": False,
        "OverwriteInstances": False,
        "DicomAssociationCloseDelay": 0,
        "StableAge": 1,
        "SaveJobs": False,
        "SyncStorageArea": False,
    }


def _forwarding(folder: Path, modality: str) -> list[str]:
    script = folder / "forward.lua"
    script.write_text(
        "function OnStoredInstance(instanceId, tags, metadata, origin)\n"
        f"   SendToModality(instanceId, '{modality}')\n"
        "end\n"
    )
    return [str(script)]


def _answers(server: Orthanc) -> bool:
    try:
        with urllib.request.urlopen(f"{server.url}/system", timeout=2) as answer:  # noqa: S310 -- loopback
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
