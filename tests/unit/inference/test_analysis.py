from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from inference import phantoms
from inference.analysis import analyse
from inference.card import Card, Input, Prior
from inference.codes import VOLUME
from inference.context import Context
from inference.errors import ModelFailed, SeriesUnusable, ServerUnavailable
from inference.findings import Result
from inference.phantoms import Phantom
from inference.selection import Selection, parse
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
    server = Listening()
    inputs = {"other": second, "volume": first}
    analyse(card, inputs, Context(), {}, server=server)
    assert server.asked["volume"].shape == server.asked["other"].shape
    assert list(server.asked) == ["volume", "other"]
    stranger = ball(tmp_path / "stranger", phantoms.grid(), entropy="b")
    with pytest.raises(SeriesUnusable) as caught:
        analyse(card, inputs | {"other": stranger}, Context(), {}, server=server)
    assert caught.value.reason == "MIXED-FRAME-OF-REFERENCE"


def with_a_prior(card: Card) -> Card:
    return replace(card, priors=(Prior(name="before", within_days=365, select=parse({})),))


class Listening(ThresholdServer):
    """Remembers what the model was given."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, NDArray[Any]] = {}

    def infer(self, model: str, inputs: Any, *args: Any, **options: Any) -> Any:
        self.asked.update(inputs)
        return ThresholdServer.infer(self, model, inputs, *args, **options)


def test_an_earlier_series_comes_on_a_grid_of_its_own(tmp_path: Path, brain_card: Card) -> None:
    card, server = with_a_prior(brain_card), Listening()
    now = ball(tmp_path / "now", phantoms.grid(), entropy="now")
    header = {"StudyDate": "20260101"}
    before = ball(tmp_path / "then", phantoms.grid(plane="sagittal"), entropy="then", header=header)
    result = analyse(card, {"volume": now}, Context(), {"before": before}, server=server)
    assert list(server.asked) == ["volume", "before"]
    spans = np.array(server.asked["before"].shape) * card.spacing_mm
    assert spans == pytest.approx((60, 60, 60), abs=3)
    (compared,) = result.compared
    assert (compared.prior, compared.modality, compared.study_date) == (
        "before",
        "MR",
        "2026-01-01",
    )
    assert compared.study_instance_uid == before.headers[0].StudyInstanceUID
    assert set(compared.sop_classes) == {str(one.SOPInstanceUID) for one in before.headers}
    assert result.not_compared == {}


def test_without_an_earlier_series_the_model_runs_all_the_same(
    tmp_path: Path, brain_card: Card
) -> None:
    card, server = with_a_prior(brain_card), Listening()
    now = ball(tmp_path, phantoms.grid())
    priors = {"before": "PRIOR-NOT-FOUND"}
    result = analyse(card, {"volume": now}, Context(), priors, server=server)
    assert list(server.asked) == ["volume"]
    assert (result.compared, result.not_compared) == ((), priors)
    assert run(card, now).not_compared == {"before": "PRIOR-NOT-ASKED"}


def test_an_earlier_series_that_is_no_volume_is_done_without(
    tmp_path: Path, brain_card: Card
) -> None:
    card, server = with_a_prior(brain_card), Listening()
    now = ball(tmp_path / "now", phantoms.grid(), entropy="now")
    before = ball(tmp_path / "then", phantoms.grid(), entropy="then")
    damaged = dcmread(before.paths[0])
    del damaged.PixelData
    damaged.save_as(before.paths[0])
    result = analyse(card, {"volume": now}, Context(), {"before": before}, server=server)
    assert result.not_compared == {"before": "NO-PIXELS"}
    assert list(server.asked) == ["volume"]
