"""OHIF on Orthanc, as `deploy/ohif/start` gives it to everybody, and Debian's Chromium to look at it."""

import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.peers import absent, free_port, program, wait_for
from tests.peers.orthanc import Orthanc

DEPLOY = Path(__file__).parents[2] / "deploy"

_FLAGS = (
    "--no-sandbox",  # Chromium as root has none
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
"""WebGL on the processor, and nobody beyond this machine to talk to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ohif:
    """A running viewer on a running archive."""

    archive: Orthanc
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def running_ohif(folder: Path) -> Iterator[Ohif]:
    """Start the viewer on an empty archive in `folder`, by the script that users have, and end both."""
    program("Orthanc", "orthanc")
    build()
    archive = Orthanc(
        ae_title="ORTHANC", host="127.0.0.1", dicom_port=free_port(), http_port=free_port()
    )
    viewer = Ohif(archive=archive, port=free_port())
    environment = {
        "ARCHIVE_FOLDER": str(folder / "archive"),
        "ARCHIVE_AE_TITLE": archive.ae_title,
        "ARCHIVE_DICOM_PORT": str(archive.dicom_port),
        "ARCHIVE_HTTP_PORT": str(archive.http_port),
        "VIEWER_PORT": str(viewer.port),
    }
    with _running([str(DEPLOY / "ohif" / "start")], environment, viewer, folder / "start.log"):
        yield viewer


@contextlib.contextmanager
def running_page(archive: Orthanc, folder: Path) -> Iterator[Ohif]:
    """Serve the viewer's page for an archive that runs already, and end it."""
    viewer = Ohif(archive=archive, port=free_port())
    command = [sys.executable, str(DEPLOY / "ohif" / "serve.py"), "--dist", str(build())]
    command += ["--archive", archive.url, "--port", str(viewer.port)]
    with _running(command, {}, viewer, folder / "serve.log"):
        yield viewer


@contextlib.contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], viewer: Ohif, log: Path
) -> Iterator[None]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **environment}
        )
        try:
            wait_for(
                lambda: process.poll() is not None or _answers(viewer),
                timeout_s=60,
                what="the viewer's page and its archive to answer",
            )
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


@contextlib.contextmanager
def running_chromium() -> Iterator[Browser]:
    """Start Chromium without a window, and end it."""
    build()
    binary = program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def build() -> Path:
    """Return the folder of OHIF's build; skip or fail where it was not fetched: tests fetch nothing."""
    done = subprocess.run(
        [str(DEPLOY / "ohif" / "fetch"), "--installed"], check=False, capture_output=True, text=True
    )
    if done.returncode:
        absent("OHIF's build", "deploy/ohif/fetch")
    return Path(done.stdout.strip())


def _answers(viewer: Ohif) -> bool:
    try:
        with urllib.request.urlopen(f"{viewer.url}/dicom-web/studies", timeout=2) as answer:  # noqa: S310 -- loopback
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
