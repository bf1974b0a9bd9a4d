"""Everything that runs in the demo, and the configuration that joins it."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node import settings as configuration
from node.demo import ehr, modality, orthanc
from node.demo.archive import running_archive
from node.demo.processes import free_ports, running
from node.settings import Settings

ARCHIVE = "ARCHIVE"

TEMPLATE = """\
# The demo's configuration; written anew at every run.
[node]
data = "{folder}/node"

[listener]
port = {listener}

[inference]
http_port = {http}
grpc_port = {grpc}
metrics_port = {metrics}

[web]
port = {web}

[[peer]]
name = "modality"
roles = ["source"]
ae_title = "{modality}"
default_issuer = "{issuer}"
quiet_short_s = 1.0
quiet_long_s = 10.0
results_to = ["archive", "ehr"]

[[peer]]
name = "archive"
roles = ["archive"]
ae_title = "{archive}"
host = "127.0.0.1"
port = {dicom}

[[peer]]
name = "ehr"
roles = ["ehr"]

[peer.fhir]
url = "http://127.0.0.1:{fhir}/fhir"
identifier_systems = {{ "{issuer}" = "{system}" }}

[[rule]]
name = "T1 heads"
model = "brain-extraction"
select = {{ Modality = "MR", SeriesInstances = {{ min = 60 }} }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hospital:
    """What runs.

    Parameters
    ----------
    archive
        What the archive is, in words, with the address of its page when it has one.
    node
        The supervisor's process.
    """

    folder: Path
    config: Path
    settings: Settings
    archive: str
    ehr_url: str
    node: subprocess.Popen[bytes]


@contextlib.contextmanager
def running_hospital(folder: Path) -> Iterator[Hospital]:
    """Run archive, EHR and node in `folder`; all of them end on leaving.

    Raises
    ------
    DemoFailed
        One of them does not come up.
    """
    names = ("listener", "http", "grpc", "metrics", "web", "dicom", "orthanc", "fhir")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    config = folder / "overread.toml"
    config.write_text(
        TEMPLATE.format(
            folder=folder,
            modality=modality.AE_TITLE,
            archive=ARCHIVE,
            issuer=ehr.ISSUER,
            system=ehr.IDENTIFIER_SYSTEM,
            **ports,
        )
    )
    command = [sys.executable, "-m", "node", "serve", "--config", str(config)]
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(running(command, folder / "node.log"))
        archive = stack.enter_context(_archive(folder / "archive", ports))
        ehr_url = stack.enter_context(ehr.running_ehr(folder / "ehr", ports["fhir"]))
        yield Hospital(
            folder=folder,
            config=config,
            settings=configuration.load(config),
            archive=archive,
            ehr_url=ehr_url,
            node=node,
        )


@contextlib.contextmanager
def _archive(folder: Path, ports: dict[str, int]) -> Iterator[str]:
    program = orthanc.installed()
    if program is None:
        with running_archive(folder, ARCHIVE, ports["dicom"]):
            yield f"the demo's own archive, {folder}"
        return
    callers = {"OVERREAD": ports["listener"], modality.AE_TITLE: ports["orthanc"]}
    both = (ports["dicom"], ports["orthanc"])
    with orthanc.running_orthanc(program, folder, ARCHIVE, both, callers) as page:
        yield f"Orthanc, {page}"
