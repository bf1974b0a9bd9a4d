"""Vendors' counts and enhanced objects, end to end; with the association open, nothing else testifies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE

from integrations.pacs.peer import keep_answers
from tests.acceptance.site import Plan, Site, peer_source, running_site
from tests.acceptance.studies import SLICES, small_study
from tests.peers import wait_for
from tests.unit.node.enhanced import enhanced_dataset, frames
from tests.unit.node.samples import STUDY, encoded

LONG_QUIET_S = 5.0

pytestmark = [pytest.mark.peers, pytest.mark.slow]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    source = peer_source(
        results_to=[],
        quiet_long_s=LONG_QUIET_S,
        trusted_counts=["0025,07 GEMS_SERS_01"],
    )
    with (
        running_site(tmp_path / "site", Plan(peers=[source], rules=[])) as site,
        site.running(("listener",), ("keeper",)),
    ):
        site.wait_listening()
        yield site


@contextmanager
def association(site: Site, sop_class: str) -> Iterator[Any]:
    entity = AE(ae_title="MODALITY")
    entity.add_requested_context(sop_class, ExplicitVRLittleEndian)
    opened = entity.associate("127.0.0.1", site.port, ae_title="OVERREAD")
    assert opened.is_established
    keep_answers(opened)
    yield opened
    opened.release()


def states(site: Site) -> list[str]:
    return [str(state) for (state,) in site.rows("select state from series")]


def counted(instance: Dataset, count: int) -> Dataset:
    """Add GE's Images in Series, in another block than the usual one."""
    instance.add_new((0x0025, 0x0010), "LO", "SOMEBODY ELSE")
    instance.add_new((0x0025, 0x1007), "SL", 1)
    instance.add_new((0x0025, 0x0011), "LO", "GEMS_SERS_01")
    instance.add_new((0x0025, 0x1107), "SL", count)
    return instance


def test_the_last_counted_image_closes_the_series(site: Site, tmp_path: Path) -> None:
    study = small_study(tmp_path / "study", 6)
    images = [counted(dcmread(file), SLICES) for file in sorted(study.folder.glob("*.dcm"))]
    with association(site, MRImageStorage) as opened:
        for image in images[:-1]:
            assert opened.send_c_store(image).Status == 0
        assert states(site) == ["OPEN"]
        assert opened.send_c_store(images[-1]).Status == 0
        wait_for(lambda: states(site) == ["COMPLETE"], timeout_s=LONG_QUIET_S, what="the end")
    story = " ".join(site.explain(study.uid).split())
    assert f"{SLICES} of {SLICES}; count trusted; no gap" in story


def enhanced(*skip: int) -> Dataset:
    dataset = enhanced_dataset(frames(20, skip=skip))
    encoded(dataset)
    return dataset


def test_an_enhanced_object_without_a_gap_is_complete_at_once(site: Site) -> None:
    with association(site, EnhancedMRImageStorage) as opened:
        assert opened.send_c_store(enhanced()).Status == 0
        wait_for(lambda: states(site) == ["COMPLETE"], timeout_s=LONG_QUIET_S, what="the end")
    assert "1 instances; one enhanced object; no gap" in " ".join(site.explain(STUDY).split())


def test_a_gap_inside_an_enhanced_object_waits_and_is_told(site: Site) -> None:
    with association(site, EnhancedMRImageStorage) as opened:
        assert opened.send_c_store(enhanced(9)).Status == 0
        site.wait(lambda: states(site) == ["COMPLETE"], "the end")
    ((closed, last),) = site.rows("select closed_at, last_at from series")
    assert closed - last >= LONG_QUIET_S
    story = " ".join(site.explain(STUDY).split())
    assert "1 instances; one enhanced object; about 1 slice(s) missing" in story
