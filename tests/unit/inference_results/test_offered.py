"""What an archive is asked to accept is what it will be sent: no less, and nothing more."""

from pathlib import Path

import pytest

from inference.results.offered import LABEL_MAP_SEGMENTATION, PARAMETRIC_MAP, offered
from inference.results.profile import PROFILES
from inference.results.set import build
from tests.unit.inference_results.explained import explained_two
from tests.unit.inference_results.studies import REQUEST


@pytest.mark.parametrize("name", PROFILES)
def test_every_object_of_a_result_was_offered(tmp_path: Path, name: str) -> None:
    built = {
        (item.sop_class_uid, item.transfer_syntax_uid)
        for item in build(explained_two(tmp_path), REQUEST, PROFILES[name])
    }
    told = set(offered(PROFILES[name], saliency=True))
    assert built <= told
    # an even matrix needs no label map, which the profile has for odd ones
    assert {one for one, _ in told - built} <= {LABEL_MAP_SEGMENTATION}


@pytest.mark.parametrize("name", PROFILES)
def test_a_parametric_map_is_offered_where_a_model_gives_one(name: str) -> None:
    profile = PROFILES[name]
    classes = {one for one, _ in offered(profile, saliency=True)}
    assert (PARAMETRIC_MAP in classes) == profile.parametric_map
    assert PARAMETRIC_MAP not in {one for one, _ in offered(profile, saliency=False)}
