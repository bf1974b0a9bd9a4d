from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inference import phantoms
from inference.analysis import analyse
from inference.card import Card, Input
from inference.codes import VOLUME
from inference.context import Context
from inference.errors import ModelFailed, SeriesUnusable, ServerUnavailable
from inference.findings import Result
from inference.phantoms import Phantom
from inference.selection import Selection
from inference.testing import ThresholdServer
from inference.volume import Series, read_series

RADIUS_MM = 20.0
BALL_ML = 4 / 3 * np.pi * RADIUS_MM**3 / 1000


def ball(folder: Path, affine: NDArray[np.float64], **changes: Any) -> Series:
    slices, rows, columns = (
        int(60 / float(spacing)) for spacing in np.linalg.norm(affine[:3, :3], axis=0)
    )
    voxels = phantoms.sphere(affine, (slices, rows, columns), radius_mm=RADIUS_MM)
    return read_series(phantoms.write(Phantom(voxels=voxels, affine=affine, **changes), folder))


def run(card: Card, series: Series, **options: Any) -> Result:
    server = options.pop("server", ThresholdServer())
    return analyse(card, {"volume": series}, Context(), {}, server=server, **options)


@pytest.mark.parametrize(
    "affine",
    [
        phantoms.grid(),
        phantoms.grid(spacing_mm=(2, 0.8, 1.2)),
        phantoms.grid(plane="sagittal"),
        phantoms.grid(tilt_degrees=20),
        phantoms.grid(spacing_mm=(1.5, 0.9, 0.9), plane="coronal", tilt_degrees=10),
    ],
    ids=["straight", "anisotropic", "sagittal", "oblique", "all of it"],
)
def test_a_ball_is_measured_within_a_hundredth(
    tmp_path: Path, brain_card: Card, affine: NDArray[np.float64]
) -> None:
    result = run(brain_card, ball(tmp_path, affine))
    (finding,) = result.findings
    assert finding.present
    (measurement,) = finding.measurements
    assert measurement.concept == VOLUME
    assert measurement.value == pytest.approx(BALL_ML, rel=0.01)
    assert result.mask.shape == result.series.shape
    assert finding.key_slice is not None
    assert finding.key_slice.index == pytest.approx((result.series.shape[0] - 1) / 2, abs=1)


def test_each_stage_is_timed(tmp_path: Path, brain_card: Card) -> None:
    result = run(brain_card, ball(tmp_path, phantoms.grid()))
    stages = {"read", "preprocess", "server", "forward", "postprocess", "measure", "draw"}
    assert set(result.seconds) == stages
    assert result.server == ThresholdServer().name


def test_tracking_uids_belong_to_study_series_model_and_segment(
    tmp_path: Path, brain_card: Card
) -> None:
    def uid(folder: str, card: Card = brain_card, entropy: str = "a", **options: Any) -> str:
        series = ball(tmp_path / folder, phantoms.grid(), entropy=entropy)
        return run(card, series, **options).findings[0].tracking_uid

    first = uid("1")
    assert uid("2") == first
    assert uid("3", entropy="b") != first
    assert uid("4", card=replace(brain_card, name="Other")) != first
    assert uid("5", uid_root="1.2.3").startswith("1.2.3.")


class FindsNothing(ThresholdServer):
    def infer(self, *args: Any, **options: Any) -> dict[str, NDArray[Any]]:
        answer = ThresholdServer.infer(self, *args, **options)
        return answer | {"mask": np.zeros_like(answer["mask"])}


def test_nothing_found_is_said_and_not_measured(tmp_path: Path, brain_card: Card) -> None:
    result = run(brain_card, ball(tmp_path, phantoms.grid()), server=FindsNothing())
    (finding,) = result.findings
    assert not finding.present
    assert finding.measurements == ()
    assert finding.key_slice is None


@pytest.mark.parametrize("failure", [ServerUnavailable("gone"), ModelFailed("broken")])
def test_what_goes_wrong_at_the_server_is_passed_on(
    tmp_path: Path, brain_card: Card, failure: ServerUnavailable | ModelFailed
) -> None:
    with pytest.raises(type(failure)):
        run(brain_card, ball(tmp_path, phantoms.grid()), server=ThresholdServer(failure=failure))


def with_two_inputs(card: Card) -> Card:
    return replace(card, inputs=(*card.inputs, Input(name="other", select=Selection())))


def test_an_input_that_is_missing_is_named(tmp_path: Path, brain_card: Card) -> None:
    with pytest.raises(SeriesUnusable, match="needs other as well") as caught:
        run(with_two_inputs(brain_card), ball(tmp_path, phantoms.grid()))
    assert caught.value.reason == "MISSING-INPUT"


def test_inputs_share_one_grid_and_must_share_one_frame_of_reference(
    tmp_path: Path, brain_card: Card
) -> None:
    card = with_two_inputs(brain_card)
    first = ball(tmp_path / "first", phantoms.grid(), entropy="a")
    second = ball(tmp_path / "second", phantoms.grid(spacing_mm=(3, 1, 1)), entropy="a")
    asked: dict[str, NDArray[Any]] = {}

    class Listening(ThresholdServer):
        def infer(self, model: str, inputs: Any, *args: Any, **options: Any) -> Any:
            asked.update(inputs)
            return ThresholdServer.infer(self, model, inputs, *args, **options)

    inputs = {"other": second, "volume": first}
    analyse(card, inputs, Context(), {}, server=Listening())
    assert asked["volume"].shape == asked["other"].shape
    assert list(asked) == ["volume", "other"]
    stranger = ball(tmp_path / "stranger", phantoms.grid(), entropy="b")
    with pytest.raises(SeriesUnusable) as caught:
        analyse(card, inputs | {"other": stranger}, Context(), {}, server=Listening())
    assert caught.value.reason == "MIXED-FRAME-OF-REFERENCE"
