"""The product's door: ``overread demo``."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread

from integrations.pacs.peer import DicomPeer, echo
from integrations.pacs.query import DicomArchiveIndex
from node.demo.archive import running_archive
from node.demo.modality import images, send
from tests.peers import free_port

LONGEST_S = 90.0
"""The demo's own run, on two cores."""


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "node", "demo", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=LONGEST_S)


@pytest.mark.slow
@pytest.mark.peers
def test_the_demo_ends_with_everything_in_its_place(tmp_path: Path) -> None:
    done = demo("--folder", str(tmp_path / "demo"), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert [kind for kind, _ in told["objects"]] == ["SEG", "SR"]
    assert told["report"].startswith("http://127.0.0.1:")
    assert "RESEARCH" in told["conclusion"]
    for picture in ("overlay.png", "key-slice-1.png"):
        assert (tmp_path / "demo" / picture).read_bytes().startswith(b"\x89PNG")


def test_the_demo_leaves_a_folder_alone_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = demo("--folder", str(tmp_path))
    assert done.returncode == 2
    assert "was not made by the demo" in done.stderr
    assert (tmp_path / "thesis.txt").exists()


def test_the_small_archive_stores_and_lists_what_it_gets(tmp_path: Path) -> None:
    port, some = free_port(), images()[:3]
    told: list[int] = []
    with running_archive(tmp_path, "ARCHIVE", port):
        send(some, called="ARCHIVE", port=port, sent=lambda: told.append(1))
        peer = DicomPeer(ae_title="ARCHIVE", host="127.0.0.1", port=port)
        echo(peer)
        stored = sorted(path.stem for path in tmp_path.glob("*.dcm"))
        study, series = _uids(some[0])
        assert DicomArchiveIndex(peer).instances(study, series) == frozenset(stored)
        assert DicomArchiveIndex(peer).instances(study, "1.2.3") == frozenset()
    assert len(told) == len(stored) == len(some)


def _uids(path: Path) -> tuple[str, str]:
    header = dcmread(path, stop_before_pixels=True)
    return str(header.StudyInstanceUID), str(header.SeriesInstanceUID)
