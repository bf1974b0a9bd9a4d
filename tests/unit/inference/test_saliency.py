"""A model's own map, from its card to the grid of the source."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inference import card as cards
from inference import phantoms
from inference.analysis import SALIENCY, analyse
from inference.card import Card
from inference.context import Context
from inference.errors import CardInvalid, ModelFailed
from inference.findings import Result
from inference.phantoms import Phantom
from inference.rehearsal import rehearse
from inference.results.objects import Equipment
from inference.testing import ThresholdServer
from inference.volume import Series, load_volume, read_series

SHIPPED = Path(cards.__file__).parent / "models" / "brain-extraction"


class Explaining(ThresholdServer):
    """Gives a map: by default the volume itself, as a part of its brightest."""

    def __init__(self, change: Callable[[NDArray[Any]], NDArray[Any]] | None = None) -> None:
        super().__init__()
        self.change = change or (lambda values: values)

    def infer(
        self, model: str, inputs: Any, outputs: Any, **options: Any
    ) -> dict[str, NDArray[Any]]:
        wanted = [output for output in outputs if output.name != SALIENCY]
        answer = ThresholdServer.infer(self, model, inputs, wanted, **options)
        if len(wanted) < len(outputs):
            volume = next(iter(inputs.values()))
            answer[SALIENCY] = self.change((volume / volume.max()).astype(np.float32))
        return answer


@pytest.fixture
def explaining(brain_card: Card) -> Card:
    return replace(brain_card, explains=("Brain",))


def smooth(affine: NDArray[np.float64], folder: Path) -> Series:
    """Write a volume whose brightness falls off evenly from its middle: linear steps lose nothing of it."""
    shape = tuple(round(60 / one) for one in np.linalg.norm(affine[:3, :3], axis=0))
    indices = np.indices(shape).reshape(3, -1)
    middle = (np.array(shape) - 1) / 2
    distance = np.linalg.norm(affine[:3, :3] @ (indices - middle[:, None]), axis=0)
    voxels = np.clip(1000 - 25 * distance, 0, None).reshape(shape).astype(np.uint16)
    return read_series(phantoms.write(Phantom(voxels=voxels, affine=affine), folder))


def run(card: Card, series: Series, server: ThresholdServer) -> Result:
    return analyse(card, {"volume": series}, Context(), {}, server=server)


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
def test_a_map_comes_back_where_it_belongs(
    tmp_path: Path, explaining: Card, affine: NDArray[np.float64]
) -> None:
    series = smooth(affine, tmp_path)
    result = run(explaining, series, Explaining())
    assert result.saliency is not None
    assert result.saliency.values.dtype == np.float32
    voxels = load_volume(series).voxels / 1000
    inside = voxels > 0.3  # away from the edges of either grid
    off = np.abs(result.saliency.values - voxels)[inside]
    assert off.mean() < 0.02
    assert off.max() < 0.08
    assert result.saliency.explains == (result.findings[0].tracking_uid,)


def test_a_model_that_declares_none_is_not_asked_for_one(tmp_path: Path, brain_card: Card) -> None:
    assert run(brain_card, smooth(phantoms.grid(), tmp_path), Explaining()).saliency is None


def test_a_map_that_explains_nothing_present_is_left_out(
    tmp_path: Path, explaining: Card, brain_card: Card
) -> None:
    other = replace(brain_card.segments[0], number=2, label="Other")
    card = replace(explaining, segments=(*brain_card.segments, other), explains=("Other",))
    assert run(card, smooth(phantoms.grid(), tmp_path), Explaining()).saliency is None


@pytest.mark.parametrize(
    "change",
    [
        lambda values: np.full_like(values, np.nan),
        lambda values: np.where(values == values.max(), np.nan, values),
        lambda values: values * 1.01,
        lambda values: values - 0.01,
        lambda values: np.full_like(values, np.inf),
    ],
    ids=["NaN", "one NaN", "above 1", "below 0", "infinite"],
)
def test_nonsense_is_refused(
    tmp_path: Path, explaining: Card, change: Callable[[NDArray[Any]], NDArray[Any]]
) -> None:
    with pytest.raises(ModelFailed, match="saliency"):
        run(explaining, smooth(phantoms.grid(), tmp_path), Explaining(change))


def test_what_rounding_adds_is_taken_off(tmp_path: Path, explaining: Card) -> None:
    server = Explaining(lambda values: values * np.float32(1.0004) - np.float32(0.0002))
    result = run(explaining, smooth(phantoms.grid(), tmp_path), server)
    assert result.saliency is not None
    assert result.saliency.values.min() == 0
    assert result.saliency.values.max() == 1


def test_its_rehearsal_goes_the_whole_way(explaining: Card) -> None:
    equipment = Equipment(model_name="Overread", device_serial_number="1", software_versions=("0",))
    rehearse(explaining, equipment)


def card_with(folder: Path, table: str) -> Card:
    text = (SHIPPED / "card.toml").read_text(encoding="utf-8")
    (folder / "card.toml").write_text(f"{text}\n{table}\n", encoding="utf-8")
    return cards.load(folder)


def test_a_card_says_what_its_map_explains(tmp_path: Path) -> None:
    assert card_with(tmp_path, '[saliency]\nexplains = ["Brain"]').explains == ("Brain",)
    assert card_with(tmp_path, "").explains == ()


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ('[saliency]\nexplains = ["Liver"]', "must name labels"),
        ("[saliency]\nexplains = []", "must name labels"),
        ("[saliency]", "'explains' is missing"),
    ],
)
def test_a_card_that_explains_what_it_does_not_find_is_wrong(
    tmp_path: Path, table: str, fault: str
) -> None:
    with pytest.raises(CardInvalid, match=fault):
        card_with(tmp_path, table)
