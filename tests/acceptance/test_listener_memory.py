"""A listener stays small while eight associations send at once; `bench_listener` tells more."""

from pathlib import Path

import pytest

from tests.acceptance.load import peak_mb, send_side_by_side, write_images
from tests.acceptance.site import Plan, peer_source, running_site

pytestmark = [pytest.mark.peers, pytest.mark.slow]

ASSOCIATIONS = 8
IMAGES = 12
BOUND_MB = 200.0


def test_eight_associations_at_once(tmp_path: Path) -> None:
    write_images(tmp_path / "images", IMAGES)
    with running_site(tmp_path / "site", Plan(peers=[peer_source(results_to=[])])) as site:
        listener = site.start("listener")
        site.wait_listening()
        idle = peak_mb(listener.pid)
        send_side_by_side(
            tmp_path / "images", port=site.port, called="OVERREAD", associations=ASSOCIATIONS
        )
        peak = peak_mb(listener.pid)
        count = ASSOCIATIONS * IMAGES
        site.wait_recorded(count)
        assert site.rows("select outcome, count(*) from journal") == [("stored", count)]
    print(f"{idle:.0f} MB idle, {peak:.0f} MB at most")
    assert peak <= BOUND_MB
