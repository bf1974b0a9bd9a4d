"""The peers that several tests share, each started once and emptied for every test that asks for it."""

import re
from collections.abc import Generator, Iterator

import pytest

from tests.patients import named
from tests.peers.dcmqrscp import Dcmqrscp, running_dcmqrscp
from tests.peers.orthanc import Orthanc, running_orthanc
from tests.peers.receiver import Receiver, running_receiver
from tests.peers.sekmet import Sekmet, running_sekmet


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that none of them is still running alone at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


LOG_LINE = re.compile(r"^(\{.*\}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[.*)$", re.MULTILINE)
"""As `node.telemetry` writes in a role's process, and structlog where it was not set up."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test fail whose logs name a patient, whatever else it is about."""
    report = yield
    # where telemetry was not set up, an error stands there whole; a role's process writes its type and frames
    lines = [
        line.partition(" exc=")[0] for _, text in report.sections for line in LOG_LINE.findall(text)
    ]
    found = named("\n".join(lines))
    if found and report.passed:
        report.outcome = "failed"
        report.longrepr = f"a log names a patient: {', '.join(found)}"
    return report


@pytest.fixture(scope="session")
def orthanc_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def orthanc(orthanc_server: Orthanc) -> Orthanc:
    """Give an empty Orthanc that knows no modality."""
    orthanc_server.clear()
    return orthanc_server


@pytest.fixture(scope="session")
def dcmqrscp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dcmqrscp]:
    with running_dcmqrscp(tmp_path_factory.mktemp("dcmqrscp")) as server:
        yield server


@pytest.fixture
def dcmqrscp(dcmqrscp_server: Dcmqrscp) -> Dcmqrscp:
    """Give an empty archive of DCMTK's."""
    dcmqrscp_server.clear()
    return dcmqrscp_server


@pytest.fixture(scope="module")
def sekmet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sekmet]:
    """Give a FHIR server that is empty when a module's tests begin."""
    with running_sekmet(tmp_path_factory.mktemp("sekmet")) as server:
        yield server


@pytest.fixture(scope="session")
def receiver_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with running_receiver(tmp_path_factory.mktemp("receiver")) as server:
        yield server


@pytest.fixture
def receiver(receiver_server: Receiver) -> Receiver:
    """Give an empty archive that counts every C-STORE, all switches off."""
    receiver_server.reset()
    return receiver_server
