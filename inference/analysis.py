"""One analysis: series and context in, findings out. The whole pipeline on one screen."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.answers import Names, classifications, detections, outputs, readings
from inference.card import Card, Segment
from inference.context import Context
from inference.errors import ModelFailed, SeriesUnusable
from inference.findings import Compared, Finding, Result, Saliency
from inference.measurements import key_slice, volume
from inference.postprocess import clean, map_onto_source, onto_source
from inference.preprocess import Grid, grid_for, onto
from inference.rendering import key_pictures
from inference.server import ModelServer, Output
from inference.uids import UUID_ROOT
from inference.volume import Series, Volume, load_volume

MASK = "mask"
"""Output of a model with segments: uint8, segment numbers, on the grid of its inputs."""

SALIENCY = "saliency"
"""Output of a model whose card says what it explains: float32, 0 to 1, on the grid of its inputs."""

FORWARD_SECONDS = "forward_seconds"
"""Output that every model gives: two float32, the seconds in its networks (0 for one that it did not need)."""


def analyse(
    card: Card,
    inputs: Mapping[str, Series],
    context: Context,
    priors: Mapping[str, Series | str],
    *,
    server: ModelServer,
    uid_root: str = UUID_ROOT,
) -> Result:
    """Run a model on the series of a study.

    The model is given each of the card's inputs as a tensor of the input's name, all of them on one grid:
    the first input's, in the card's axes and voxel size. An earlier series to compare with has no place on it:
    it comes on a grid of its own, in the same axes and voxel size, and where there is none the model is not
    given its tensor.

    Parameters
    ----------
    card
        The model.
    inputs
        One series for each input of the card, by its name. The mask lies on the first.
    context
        What is known of the patient; stands in the result.
    priors
        For each of the card's priors its series, or the reason code why there is none.
    server
        Runs the networks.
    uid_root
        Root of the tracking UIDs, which are the same for the same study, series, model and segment.

    Raises
    ------
    SeriesUnusable
        The data cannot answer the question; the job is parked with the reason code.
    ServerUnavailable
        The server did not answer in time; the job is tried again later.
    ModelFailed
        The model raised or answered nonsense; the job is parked.
    """
    clock = _Stopwatch()
    series = _in_order(card, inputs)
    with clock.stage("read"):
        volumes = {name: load_volume(one) for name, one in series.items()}
    with clock.stage("preprocess"):
        source, grid = _grids(card, next(iter(volumes.values())))
        tensors = {name: onto(grid, one) for name, one in volumes.items()}
        earlier, not_compared = _earlier(card, priors)
        tensors |= {name: _alone(card, one) for name, (_, one) in earlier.items()}
    with clock.stage("server"):
        answer = server.infer(
            card.folder.name, tensors, _outputs(card, grid), timeout_s=card.timeout_s
        )
    clock.seconds["forward"] = _forward_seconds(answer)
    with clock.stage("postprocess"):
        mask = _mask(card, answer, grid, source)
        saliency = map_onto_source(answer[SALIENCY], grid, source) if card.explains else None
    with clock.stage("measure"):
        first = next(iter(series.values()))
        names = Names(card=card, series=first, uid_root=uid_root)
        findings = tuple(_finding(names, mask, one) for one in card.segments)
    result = Result(
        card=card,
        series=first,
        mask=mask,
        findings=findings,
        context=context,
        server=server.name,
        seconds=clock.seconds,
        classifications=classifications(names, answer),
        detections=detections(names, answer, grid, source),
        readings=readings(names, answer),
        saliency=None if saliency is None else _explaining(card, findings, saliency),
        compared=tuple(_compared(name, of) for name, (of, _) in earlier.items()),
        not_compared=not_compared,
    )
    with clock.stage("draw"):
        return replace(result, pictures=key_pictures(next(iter(volumes.values())), result))


def _in_order(card: Card, inputs: Mapping[str, Series]) -> dict[str, Series]:
    missing = [wanted.name for wanted in card.inputs if wanted.name not in inputs]
    if missing:
        raise SeriesUnusable("MISSING-INPUT", f"{card.name} needs {', '.join(missing)} as well")
    series = {wanted.name: inputs[wanted.name] for wanted in card.inputs}
    frames = {str(one.headers[0].FrameOfReferenceUID) for one in series.values()}
    if len(frames) > 1:
        raise SeriesUnusable(
            "MIXED-FRAME-OF-REFERENCE", "the inputs do not share one Frame of Reference UID"
        )
    return series


def _earlier(
    card: Card, priors: Mapping[str, Series | str]
) -> tuple[dict[str, tuple[Series, Volume]], dict[str, str]]:
    """Read what there is to compare with, and say why there is nothing else: no prior stops an analysis."""
    found, missing = {}, {}
    for wanted in card.priors:
        series = priors.get(wanted.name, "PRIOR-NOT-ASKED")
        if isinstance(series, str):
            missing[wanted.name] = series
            continue
        try:
            found[wanted.name] = (series, load_volume(series))
        except SeriesUnusable as error:
            missing[wanted.name] = error.reason
    return found, missing


def _alone(card: Card, volume: Volume) -> NDArray[np.float32]:
    return onto(grid_for(card, volume), volume)


def _compared(prior: str, series: Series) -> Compared:
    head = series.headers[0]
    day = str(head.get("StudyDate") or "")
    return Compared(
        prior=prior,
        modality=str(head.Modality),
        study_date=f"{day[:4]}-{day[4:6]}-{day[6:8]}" if len(day) == 8 else None,
        study_instance_uid=str(head.StudyInstanceUID),
        series_instance_uid=str(head.SeriesInstanceUID),
        sop_classes={str(one.SOPInstanceUID): str(one.SOPClassUID) for one in series.headers},
    )


def _grids(card: Card, first: Volume) -> tuple[Grid, Grid]:
    slices, rows, columns = first.voxels.shape
    return Grid(affine=first.affine, shape=(slices, rows, columns)), grid_for(card, first)


def _outputs(card: Card, grid: Grid) -> tuple[Output, ...]:
    mask = Output(name=MASK, shape=grid.shape, dtype=np.dtype(np.uint8))
    saliency = Output(name=SALIENCY, shape=grid.shape, dtype=np.dtype(np.float32))
    return (
        *((mask,) if card.segments else ()),
        *outputs(card),
        *((saliency,) if card.explains else ()),
        Output(name=FORWARD_SECONDS, shape=(2,), dtype=np.dtype(np.float32)),
    )


def _explaining(
    card: Card, findings: tuple[Finding, ...], values: NDArray[np.float32]
) -> Saliency | None:
    explains = tuple(
        one.tracking_uid for one in findings if one.present and one.segment.label in card.explains
    )
    return Saliency(values=values, explains=explains) if explains else None


def _mask(
    card: Card, answer: Mapping[str, NDArray[Any]], grid: Grid, source: Grid
) -> NDArray[np.uint8]:
    if not card.segments:
        return np.zeros(source.shape, np.uint8)
    return onto_source(card, clean(card, answer[MASK]), grid, source)


def _forward_seconds(answer: Mapping[str, NDArray[Any]]) -> float:
    seconds = float(answer[FORWARD_SECONDS].sum())
    if not np.isfinite(seconds):
        raise ModelFailed(f"the output {FORWARD_SECONDS} is no number: the answer was not written")
    return seconds


def _finding(names: Names, mask: NDArray[np.uint8], segment: Segment) -> Finding:
    region = mask == segment.number
    present = bool(region.any())
    affine = names.series.affine
    return Finding(
        segment=segment,
        tracking_identifier=f"{names.card.name}: {segment.label}",
        tracking_uid=names.uid(str(segment.number)),
        present=present,
        measurements=(volume(region, affine),) if present else (),
        key_slice=key_slice(region, affine) if present else None,
    )


@dataclass(slots=True)
class _Stopwatch:
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
