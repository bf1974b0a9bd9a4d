"""Scores, values and boxes of a model become findings, or the model failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inference import phantoms
from inference.analysis import analyse
from inference.answers import BOXES, SCORES, VALUES
from inference.card import Card
from inference.context import Context
from inference.declared import Target
from inference.errors import ModelFailed
from inference.findings import Detection, Form, Presence, Result
from inference.preprocess import grid_for
from inference.server import Output, Tensors
from inference.volume import Series, load_volume, read_series
from tests.unit.inference_results.studies import HEMORRHAGE, NODULE, THICKNESS

SHAPE = (20, 24, 28)


@dataclass(slots=True)
class Answers:
    """A `ModelServer` that gives what it was told to give, and zeros otherwise."""

    given: Mapping[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    name: str = "a double with answers"

    def ready(self, model: str) -> bool:
        return bool(model)

    def infer(
        self, model: str, inputs: Tensors, outputs: Sequence[Output], *, timeout_s: float
    ) -> dict[str, NDArray[Any]]:
        self.asked += [one.name for one in outputs]
        answer = {one.name: np.zeros(one.shape, one.dtype) for one in outputs}
        for name, values in self.given.items():
            answer[name] = np.zeros_like(answer[name])
            answer[name][: len(values)] = values
        return answer


@pytest.fixture
def everything(brain_card: Card) -> Card:
    return replace(
        brain_card,
        segments=(),
        questions=(HEMORRHAGE, replace(HEMORRHAGE, label="Infarct")),
        targets=(NODULE, replace(NODULE, label="Aneurysm")),
        quantities=(THICKNESS,),
        most_places=4,
    )


def series(folder: Path, affine: NDArray[np.float64] | None = None) -> Series:
    voxels = np.zeros(SHAPE, np.uint16)
    voxels[5:10, 5:10, 5:10] = 900
    grid = phantoms.grid() if affine is None else affine
    return read_series(phantoms.write(phantoms.Phantom(voxels=voxels, affine=grid), folder))


def run(card: Card, of: Series, **given: Any) -> Result:
    return analyse(card, {"volume": of}, Context(), {}, server=Answers(given))


def test_only_what_the_card_declares_is_asked_for(
    tmp_path: Path, brain_card: Card, everything: Card
) -> None:
    of = series(tmp_path)
    plain, full = Answers(), Answers()
    analyse(brain_card, {"volume": of}, Context(), {}, server=plain)
    result = analyse(everything, {"volume": of}, Context(), {}, server=full)
    assert plain.asked == ["mask", "forward_seconds"]
    assert full.asked == [SCORES, VALUES, BOXES, "forward_seconds"]
    assert result.mask.shape == SHAPE
    assert not result.mask.any()


@pytest.mark.parametrize(
    ("score", "presence"),
    [
        (0.5, Presence.PRESENT),
        (0.49, Presence.INDETERMINATE),
        (0.3, Presence.INDETERMINATE),
        (0.29, Presence.ABSENT),
    ],
)
def test_a_score_is_read_by_its_thresholds(
    tmp_path: Path, everything: Card, score: float, presence: Presence
) -> None:
    first, second = run(everything, series(tmp_path), scores=[score, 0.9]).classifications
    assert (first.presence, first.score) == (presence, score)
    assert second.presence is Presence.PRESENT
    assert first.tracking_uid != second.tracking_uid


def test_a_value_is_told_as_it_was_meant(tmp_path: Path, everything: Card) -> None:
    (reading,) = run(everything, series(tmp_path), values=[2.51]).readings
    assert (reading.value, reading.measurement.unit) == (2.51, THICKNESS.unit)


@pytest.mark.parametrize(
    ("affine", "index", "first", "last"),
    [
        # The card's grid runs right to left, front to back reversed, and up: RAS.
        (phantoms.grid(), 7, (9, 5), (13, 8)),
        (phantoms.grid(spacing_mm=(2.0, 1.0, 1.0)), 7, (9, 5), (13, 8)),
    ],
)
def test_a_box_lies_where_its_voxels_are(
    tmp_path: Path,
    everything: Card,
    affine: NDArray[np.float64],
    index: int,
    first: tuple[int, int],
    last: tuple[int, int],
) -> None:
    of = series(tmp_path, affine)
    box = box_of_voxels(of, everything, slices=(index - 1, index + 1), first=first, last=last)
    (found,) = run(everything, of, boxes=[[1, 0.8, *box]]).detections
    assert (found.target, found.score, found.form) == (NODULE, 0.8, Form.BOX)
    assert found.index == index
    columns, rows = found.points.T
    np.testing.assert_allclose([columns.min(), rows.min()], first, atol=1e-6)
    np.testing.assert_allclose([columns.max(), rows.max()], np.add(last, 1), atol=1e-6)
    np.testing.assert_array_equal(found.points[0], found.points[-1])


def box_of_voxels(
    of: Series,
    card: Card,
    *,
    slices: tuple[int, int],
    first: tuple[int, int],
    last: tuple[int, int],
) -> list[float]:
    """Return the box of whole voxels, given by slices and (column, row), in indices of the card's grid."""
    grid = grid_for(card, load_volume(of))
    into = np.linalg.inv(grid.affine) @ of.affine
    edges = np.array([
        (slices[0] - 0.5, first[1] - 0.5, first[0] - 0.5, 1),
        (slices[1] + 0.5, last[1] + 0.5, last[0] + 0.5, 1),
    ])
    placed = (into @ edges.T)[:3]
    return [*(placed.min(axis=1) + 0.5), *(placed.max(axis=1) - 0.5)]


def test_places_are_counted_by_target_the_surest_first(tmp_path: Path, everything: Card) -> None:
    box = [5, 5, 5, 8, 8, 8]
    rows = [[2, 0.3, *box], [1, 0.26, *box], [1, 0.9, *box], [1, 0.24, *box]]
    found = run(everything, series(tmp_path), boxes=rows).detections
    assert [(labelled(one), one.score) for one in found] == [
        ("Nodule", 0.9),
        ("Nodule", 0.26),
        ("Aneurysm", 0.3),
    ]
    assert len({one.tracking_uid for one in found}) == 3
    assert found[0].tracking_identifier.endswith("Nodule 1")


def labelled(found: Detection) -> str:
    target: Target = found.target
    return target.label


def test_a_box_beyond_the_image_is_cut_at_its_edge(tmp_path: Path, everything: Card) -> None:
    box = [-5, -5, -5, 50, 50, 50]
    (found,) = run(everything, series(tmp_path), boxes=[[1, 0.9, *box]]).detections
    assert found.points.min() == 0
    assert found.points.max(axis=0).tolist() == [SHAPE[2], SHAPE[1]]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"scores": [np.nan]}, "scores holds a number that is none"),
        ({"values": [np.inf]}, "values holds a number that is none"),
        ({"boxes": [[1, np.nan, 1, 1, 1, 2, 2, 2]]}, "boxes holds a number that is none"),
        ({"boxes": [[3, 0.9, 1, 1, 1, 2, 2, 2]]}, "no detection of the card"),
        ({"boxes": [[1.5, 0.9, 1, 1, 1, 2, 2, 2]]}, "no detection of the card"),
        ({"boxes": [[1, 0.9, 2, 1, 1, 1, 2, 2]]}, "outside the series, or is none"),
        ({"boxes": [[1, 0.9, 90, 1, 1, 95, 2, 2]]}, "outside the series, or is none"),
    ],
)
def test_nonsense_is_a_failed_model(
    tmp_path: Path, everything: Card, given: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ModelFailed, match=fault):
        run(everything, series(tmp_path), **given)
