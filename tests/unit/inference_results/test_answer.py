"""An answer that was kept gives the same objects again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.errors import AnswerUnreadable
from inference.findings import Result
from inference.results import answer
from inference.results.answer import pack, unpack
from inference.results.profile import PROFILES, Profile
from inference.results.set import build
from tests.unit.inference_results.studies import BRAIN, COMPARED, LESION, REQUEST, Study


@pytest.fixture
def result(tmp_path: Path) -> Result:
    made = Study(segments=(BRAIN, LESION)).result(tmp_path)
    return replace(made, compared=(COMPARED,), not_compared={"older": "PRIOR-NOT-FOUND"})


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_every_form_of_a_kept_answer_is_the_same_byte_for_byte(
    result: Result, profile: Profile
) -> None:
    again, about = unpack(pack(result, {"revision": 2}), result.card, result.series)
    assert about == {"revision": 2}
    request = replace(REQUEST, form=profile.name)
    made, rebuilt = build(result, request, profile), build(again, request, profile)
    assert [one.encoded for one in made] == [one.encoded for one in rebuilt]


def test_a_kept_answer_has_every_value_and_is_small(result: Result) -> None:
    data = pack(result, {})
    again, _ = unpack(data, result.card, result.series)
    assert np.array_equal(again.mask, result.mask)
    assert again.mask.dtype == result.mask.dtype
    assert (again.context, again.server, again.seconds) == (
        result.context,
        result.server,
        result.seconds,
    )
    for one, other in zip(again.findings, result.findings, strict=True):
        bare, mended = replace(one, key_slice=None), replace(other, key_slice=None)
        assert bare == mended
    assert len(data) < result.mask.nbytes


@pytest.mark.parametrize("damage", ["cut", "empty", "model", "version"])
def test_an_answer_that_is_not_this_ones_is_refused(
    result: Result, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, card = pack(result, {}), result.card
    match damage:
        case "cut":
            data = data[: len(data) // 2]
        case "empty":
            data = b""
        case "model":
            card = replace(card, version="9")
        case _:
            monkeypatch.setattr(answer, "VERSION", 2)
    with pytest.raises(AnswerUnreadable):
        unpack(data, card, result.series)
