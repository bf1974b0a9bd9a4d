"""What a model answers beside its mask: scores, values and boxes, as findings.

Which of these outputs a model has follows from its card; one that the card does not declare is not asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.card import Card
from inference.declared import Target
from inference.errors import ModelFailed
from inference.findings import Classification, Detection, Form, Reading
from inference.preprocess import Grid
from inference.server import Output
from inference.uids import derived_uid
from inference.volume import Series

SCORES = "scores"
"""Output of a card with classifications: float32, one score for each, in the card's order."""

VALUES = "values"
"""Output of a card with measurements: float32, one value for each, in the card's order."""

BOXES = "boxes"
"""Output of a card with detections: float32, ``(most_places, 8)``. Each row is one place: the number of its
detection in the card from 1, its score, its first slice, row and column, its last slice, row and column, as
indices into the grid of the inputs, ends included. A row of number 0 is empty."""

_ROW = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """How findings of one analysis are named: the same thing in the same series has the same UID."""

    card: Card
    series: Series
    uid_root: str

    def uid(self, *parts: str) -> str:
        """Return the tracking UID of a finding that `parts` name within the model."""
        header = self.series.headers[0]
        return derived_uid(
            str(header.StudyInstanceUID),
            str(header.SeriesInstanceUID),
            self.card.name,
            *parts,
            root=self.uid_root,
        )


def outputs(card: Card) -> tuple[Output, ...]:
    """Return what is asked of the model beside its mask."""
    shapes = {
        SCORES: (len(card.questions),),
        VALUES: (len(card.quantities),),
        BOXES: (card.most_places, _ROW),
    }
    return tuple(
        Output(name=name, shape=shape, dtype=np.dtype(np.float32))
        for name, shape in shapes.items()
        if shape[0]
    )


def classifications(names: Names, answer: Mapping[str, NDArray[Any]]) -> tuple[Classification, ...]:
    """Return the answer to each question of the card.

    Raises
    ------
    ModelFailed
        A score is no number.
    """
    card = names.card
    scores = _numbers(SCORES, answer) if card.questions else []
    return tuple(
        Classification(
            question=question,
            tracking_identifier=f"{card.name}: {question.label}",
            tracking_uid=names.uid("classification", question.label),
            score=score,
        )
        for question, score in zip(card.questions, scores, strict=True)
    )


def readings(names: Names, answer: Mapping[str, NDArray[Any]]) -> tuple[Reading, ...]:
    """Return the value of each quantity of the card.

    Raises
    ------
    ModelFailed
        A value is no number.
    """
    card = names.card
    values = _numbers(VALUES, answer) if card.quantities else []
    return tuple(
        Reading(
            quantity=quantity,
            tracking_identifier=f"{card.name}: {quantity.label}",
            tracking_uid=names.uid("measurement", quantity.label),
            value=value,
        )
        for quantity, value in zip(card.quantities, values, strict=True)
    )


def detections(
    names: Names, answer: Mapping[str, NDArray[Any]], grid: Grid, source: Grid
) -> tuple[Detection, ...]:
    """Return the places at which the score reaches the threshold, the highest score of a target first.

    Parameters
    ----------
    grid
        The grid of the inputs, on which the boxes lie.
    source
        The grid of the series, on which they are shown.

    Raises
    ------
    ModelFailed
        A row names no detection of the card, has a number that is none, or lies outside the series.
    """
    card = names.card
    if not card.targets:
        return ()
    rows = [row for row in answer[BOXES].astype(np.float64) if row[0] != 0]
    if not all(np.isfinite(row).all() for row in rows):
        raise ModelFailed(f"the output {BOXES} holds a number that is none")
    unknown = [row[0] for row in rows if row[0] not in range(1, len(card.targets) + 1)]
    if unknown:
        raise ModelFailed(
            f"the output {BOXES} names {unknown[0]:g}, which is no detection of the card"
        )
    found = []
    for number, target in enumerate(card.targets, start=1):
        own = [row for row in rows if row[0] == number and row[1] >= target.decision.threshold]
        own.sort(key=lambda row: -row[1])
        found += [
            _detection(names, target, place, row, grid, source)
            for place, row in enumerate(own, start=1)
        ]
    return tuple(found)


def _detection(
    names: Names,
    target: Target,
    place: int,
    row: NDArray[np.float64],
    grid: Grid,
    source: Grid,
) -> Detection:
    index, points = _on_slice(row[2:5], row[5:8], grid, source)
    return Detection(
        target=target,
        tracking_identifier=f"{names.card.name}: {target.label} {place}",
        tracking_uid=names.uid("detection", target.label, str(place)),
        score=_single(row[1]),
        form=Form.BOX,
        index=index,
        points=points,
    )


def _on_slice(
    first: NDArray[np.float64], last: NDArray[np.float64], grid: Grid, source: Grid
) -> tuple[int, NDArray[np.float64]]:
    """Return the middle slice of a box and the upright rectangle round the box, clipped to the slice.

    Raises
    ------
    ModelFailed
        The box is none, or lies outside the series.
    """
    corners = np.array([
        (*np.where(choice, last + 0.5, first - 0.5), 1.0) for choice in product((0, 1), repeat=3)
    ])
    placed = (grid.indices_in(source.affine) @ corners.T)[:3]
    low, high = placed.min(axis=1), placed.max(axis=1)
    shape = np.array(source.shape)
    if np.any(last < first) or np.any(high <= -0.5) or np.any(low >= shape - 0.5):
        raise ModelFailed(f"the output {BOXES} has a box that lies outside the series, or is none")
    index = int(np.clip(np.rint((low[0] + high[0]) / 2), 0, shape[0] - 1))
    # The first pixel's centre has index 0 and lies at 0.5 (PS3.3 C.18.6.1.2).
    top, left = np.clip(low[1:] + 0.5, 0, shape[1:])
    bottom, right = np.clip(high[1:] + 0.5, 0, shape[1:])
    return index, np.array([
        (left, top),
        (right, top),
        (right, bottom),
        (left, bottom),
        (left, top),
    ])


def _numbers(name: str, answer: Mapping[str, NDArray[Any]]) -> list[float]:
    values = answer[name]
    if not np.isfinite(values).all():
        raise ModelFailed(f"the output {name} holds a number that is none")
    return [_single(value) for value in values]


def _single(value: Any) -> float:
    """Return a float32 as the shortest decimal that means it: 0.83, not 0.8299999833106995."""
    return float(str(np.float32(value)))
