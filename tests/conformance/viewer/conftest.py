"""The viewer, its archive and a browser: started for each file of tests, and only there."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.conformance.viewer.studies import Case
from tests.peers.ohif import Ohif, running_chromium, running_ohif

OUT = Path(os.environ.get("VIEWER_OUT") or Path(__file__).parents[3] / "var" / "viewer")


def chosen(short: Sequence[Case], more: Sequence[Case]) -> list[Case]:
    """Cases to run: a few in every run, all of them where ``OVERREAD_VIEWER`` is ``all``."""
    return [*short, *(more if os.environ.get("OVERREAD_VIEWER") == "all" else ())]


@pytest.fixture(scope="module")
def ohif(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ohif]:
    with running_ohif(tmp_path_factory.mktemp("ohif")) as viewer:
        yield viewer


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def shots() -> Path:
    """Give the folder in which pictures of the page stay after the run."""
    OUT.mkdir(parents=True, exist_ok=True)
    return OUT
