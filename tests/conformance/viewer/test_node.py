"""What a node brought, seen in OHIF: where an archive refused a form, and after a study was asked again.

One of the long form. Two archives are asked for label maps: one takes them, and deletes what a newer result
replaces; the other one is Orthanc as it comes, which refuses them and keeps everything.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from inference import card
from inference.volume import Series, load_volume, read_series
from tests.acceptance.site import (
    ANALYSE,
    DELIVER,
    SMALL_MODELS,
    Plan,
    Site,
    peer_archive,
    peer_source,
    running_site,
)
from tests.acceptance.studies import SmallStudy, small_study
from tests.conformance.viewer.conftest import chosen
from tests.conformance.viewer.overlay import compare, corners
from tests.conformance.viewer.page import SEGMENTATIONS, Viewer, opened
from tests.conformance.viewer.studies import AXIAL, image
from tests.peers.dcmtk import storescu
from tests.peers.ohif import Ohif, running_page
from tests.peers.orthanc import Orthanc, running_orthanc

pytestmark = [
    pytest.mark.peers,
    pytest.mark.slow,
    pytest.mark.skipif(not chosen([], [AXIAL]), reason="one of the long form: make viewer-test"),
]

FLAT = (-7500.0, 8500.0)
"""A window for `tests.conformance.viewer.overlay`."""

ENOUGH = 5000
"""Pixels of the canvas that the ball must cover on its middle slice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the page showed of a study in one archive.

    Parameters
    ----------
    listed
        Modalities of the series of results that were listed, and whether each said that it replaces another.
    names
        Rows of the panel, with the segmentation open.
    """

    listed: list[tuple[str, bool]]
    names: list[str]


@pytest.fixture
def takes(tmp_path: Path) -> Iterator[Ohif]:
    with (
        running_orthanc(tmp_path / "takes", ae_title="TAKES") as archive,
        running_page(archive, tmp_path / "takes") as page,
    ):
        yield page


@pytest.fixture
def refuses(tmp_path: Path) -> Iterator[Ohif]:
    folder = tmp_path / "refuses"
    with (
        running_orthanc(folder, ae_title="REFUSES", unknown_classes=False) as archive,
        running_page(archive, folder) as page,
    ):
        yield page


def plan(takes: Orthanc, refuses: Orthanc) -> Plan:
    return Plan(
        peers=[
            peer_source(results_to=["takes", "refuses"]),
            peer_archive(
                "takes",
                takes.ae_title,
                takes.dicom_port,
                profile="labelmap",
                withdrawal="delete",
                orthanc={"url": takes.url},
            ),
            peer_archive("refuses", refuses.ae_title, refuses.dicom_port, profile="labelmap"),
        ],
        rules=[{"name": "balls", "model": "threshold-brain"}],
        tables={"inference": {"models": str(SMALL_MODELS), "server": "in-process"}},
    )


def settled(site: Site, deliveries: int, withdrawals: int) -> bool:
    """Whether so many deliveries, and so many withdrawals, are over, and no other one is owed."""
    counts = "select count(*), count(*) filter (where state in ({})) from {}"
    (made, arrived), *_ = site.rows(counts.format("'CONFIRMED', 'WITHDRAWN'", "delivery")) or [
        (0, 0)
    ]
    (asked, over), *_ = site.rows(counts.format("'WITHDRAWN', 'KEPT'", "withdrawal")) or [(0, 0)]
    return (made, arrived, asked, over) == (deliveries, deliveries, withdrawals, withdrawals)


def results(viewer: Viewer) -> list[tuple[str, bool]]:
    """Modality of each listed series of results, and whether it says that it replaces another one."""
    told = [text.split() for text in viewer.thumbnails()]
    return sorted(
        (next(word for word in ("SEG", "SR", "OT") if word in words), "rev" in words)
        for words in told
        if "Threshold" in words
    )


def segmentation_series(viewer: Viewer) -> int:
    """Series Number of the one segmentation that is listed."""
    (listed,) = (text for text in viewer.thumbnails() if "SEG" in text.split())
    (number,) = re.findall(r"S:(\d+)", listed)
    return int(number)


def look(page: Ohif, chromium: Browser, study: SmallStudy, series: Series, shot: Path) -> Seen:
    """Open a study and its segmentation; the ball must be covered, and nothing else."""
    viewer = opened(chromium, page.url)
    viewer.open_study(study.uid)
    viewer.wait_for(lambda: len(results(viewer)) > 1)
    listed = results(viewer)
    viewer.open_panel(SEGMENTATIONS)
    viewer.open_series(segmentation_series(viewer))
    viewer.wait_for(lambda: bool(viewer.rows()))
    voxels = load_volume(series).voxels
    index = len(voxels) // 2
    ball = (voxels[index] > voxels.max() / 2).astype(np.uint8)
    viewer.show(image(series, index))
    viewer.window(*FLAT)
    places = corners(series, index)
    viewer.wait_for(lambda: not compare(viewer.look(places), ball).wrong, deadline_s=20)
    compared = compare(viewer.look(places), ball)
    assert compared.wrong == 0
    assert compared.right[1] > ENOUGH
    names, errors = viewer.rows(), list(viewer.errors)
    viewer.keep(shot.name, shot.parent)
    viewer.close()
    assert errors == []
    return Seen(listed=listed, names=names)


def test_what_lands_is_seen_and_what_is_replaced_is_not(
    takes: Ohif, refuses: Ohif, chromium: Browser, tmp_path: Path, shots: Path
) -> None:
    study = small_study(tmp_path / "study", 961)
    series = read_series(sorted(study.folder.glob("*.dcm")))
    for path in series.paths:
        takes.archive.upload(path)
        refuses.archive.upload(path)
    label = card.load(SMALL_MODELS / "threshold-brain").segments[0].label
    with running_site(tmp_path / "site", plan(takes.archive, refuses.archive)) as site:
        with site.running(("listener",), ("keeper",), ANALYSE, DELIVER):
            site.wait_listening()
            assert storescu(study.folder, port=site.port).returncode == 0
            site.wait(lambda: settled(site, 2, 0), "the first result", 120)
            once = [("OT", False), ("SEG", False), ("SR", False)]
            first = look(takes, chromium, study, series, shots / "node-label-map")
            assert first == Seen(listed=once, names=["Background", label])
            other = look(refuses, chromium, study, series, shots / "node-bits")
            assert other == Seen(listed=once[1:], names=[label])  # `generic-pacs` has no capture

            assert site.cli("rerun", study.uid).returncode == 0
            site.wait(lambda: settled(site, 4, 2), "the second result", 120)
        viewer = opened(chromium, takes.url)
        viewer.open_study(study.uid)
        again = [("OT", True), ("SEG", True), ("SR", True)]
        assert viewer.wait_for(lambda: results(viewer) == again, deadline_s=20), results(viewer)
        viewer.keep("node-rerun", shots)
        viewer.close()
