"""The shipped model on a real head, however the scanner laid its slices: the same brain.

The truth is Debian's `ch2bet` (cut tighter than the networks cut), placed on each series by its affine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from inference import card, phantoms
from inference.analysis import analyse
from inference.context import Context
from inference.errors import ModelFailed
from inference.findings import Result
from inference.server import InProcessServer, Output, TritonServer
from inference.volume import read_series
from tests.peers import colin27, triton

ROOT = Path(__file__).parents[2]
REPOSITORY = ROOT / "inference" / "models"
DEMO = ROOT / "node" / "demo" / "head"
STRAIGHT_DICE = 0.92
DICE_TOLERANCE = 0.01
VOLUME_TOLERANCE = 0.02

pytestmark = [pytest.mark.peers, pytest.mark.slow]


@dataclass(frozen=True, slots=True)
class Answer:
    dice: float
    millilitres: float


def onto(
    grid: NDArray[np.float64], shape: tuple[int, int, int], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Place template values on a grid of LPS points; 0 beyond the template."""
    _, ras = colin27.template()
    to_template = np.linalg.inv(np.diag([-1, -1, 1, 1]) @ ras) @ grid
    placed: NDArray[np.float64] = ndimage.affine_transform(
        values, to_template, output_shape=shape, order=1
    )
    return placed


def reformatted(grid: NDArray[np.float64], shape: tuple[int, int, int]) -> phantoms.Phantom:
    """Colin's head as another scan, its middle where the template's is."""
    voxels, ras = colin27.template()
    middle = (np.diag([-1, -1, 1, 1]) @ ras @ [*(np.array(voxels.shape) - 1) / 2, 1])[:3]
    placed = grid.copy()
    placed[:3, 3] = middle - grid[:3, :3] @ ((np.array(shape) - 1) / 2)
    head = colin27.GAIN * onto(placed, shape, voxels.astype(np.float64))
    return phantoms.Phantom(
        voxels=np.rint(head).astype(np.uint16), affine=placed, header=colin27.HEADER
    )


def straight(_: Path) -> list[Path]:
    return sorted(DEMO.glob("*.dcm"))


def shuffled(folder: Path) -> list[Path]:
    order = np.random.default_rng(27).permutation(181).tolist()
    return phantoms.write(colin27.head(), folder, order=order)


def backwards(folder: Path) -> list[Path]:
    return phantoms.write(colin27.head(), folder, order=list(reversed(range(181))))


def sagittal(folder: Path) -> list[Path]:
    return phantoms.write(reformatted(phantoms.grid(plane="sagittal"), (181, 192, 224)), folder)


def anisotropic(folder: Path) -> list[Path]:
    grid = phantoms.grid(spacing_mm=(2.0, 1.2, 0.8))
    return phantoms.write(reformatted(grid, (91, 184, 240)), folder)


def oblique(folder: Path) -> list[Path]:
    return phantoms.write(reformatted(phantoms.grid(tilt_degrees=20), (240, 256, 192)), folder)


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Answer]:
    model = card.load(REPOSITORY / "brain-extraction")
    server = InProcessServer(REPOSITORY)

    def answer(write: Callable[[Path], list[Path]]) -> Answer:
        series = read_series(write(tmp_path_factory.mktemp(write.__name__)))
        result = analyse(model, {"volume": series}, Context(), {}, server=server)
        return Answer(dice(result), result.findings[0].measurements[0].value)

    return answer


@pytest.fixture(scope="module")
def straight_answer(ask: Callable[..., Answer]) -> Answer:
    return ask(straight)


def dice(result: Result) -> float:
    brain, _ = colin27.template("ch2bet")
    inside = (brain > 0).astype(np.float64)
    truth = onto(result.series.affine, result.series.shape, inside) >= 0.5
    found = result.mask == 1
    return float(2 * np.count_nonzero(truth & found) / (truth.sum() + found.sum()))


def test_the_demo_study_is_cut_out_as_well_as_the_networks_can(straight_answer: Answer) -> None:
    print(straight_answer)
    assert straight_answer.dice >= STRAIGHT_DICE


@pytest.mark.parametrize(
    "write",
    [
        oblique,
        *(
            pytest.param(one, marks=pytest.mark.long)
            for one in (shuffled, backwards, sagittal, anisotropic)
        ),
    ],
)
def test_the_same_head_laid_otherwise_gives_the_same_brain(
    write: Callable[[Path], list[Path]], ask: Callable[..., Answer], straight_answer: Answer
) -> None:
    answer = ask(write)
    print(answer)
    assert answer.dice == pytest.approx(straight_answer.dice, abs=DICE_TOLERANCE)
    assert answer.millilitres == pytest.approx(straight_answer.millilitres, rel=VOLUME_TOLERANCE)


def test_triton_and_this_process_give_the_same_mask(tmp_path: Path) -> None:
    model = card.load(REPOSITORY / "brain-extraction")
    series = read_series(straight(tmp_path))
    here = InProcessServer(REPOSITORY)
    with triton.serving(REPOSITORY, tmp_path) as process:
        there = TritonServer(process.url, shared_memory=True)
        masks = [
            analyse(model, {"volume": series}, Context(), {}, server=server).mask
            for server in (here, there)
        ]
    np.testing.assert_array_equal(masks[0], masks[1])


def test_a_volume_that_shows_nothing_is_a_failed_model() -> None:
    mask = Output(name="mask", shape=(9, 9, 9), dtype=np.dtype(np.uint8))
    with pytest.raises(ModelFailed, match="shows nothing"):
        InProcessServer(REPOSITORY).infer(
            "brain-extraction", {"volume": np.ones((9, 9, 9), np.float32)}, [mask], timeout_s=60
        )


def test_the_card_names_the_weights_that_ship() -> None:
    card.check_weights(card.load(REPOSITORY / "brain-extraction"))
