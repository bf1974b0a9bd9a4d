"""Results that say where they found their reasons, with their key slices drawn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.findings import Result, Saliency
from inference.rendering import key_pictures
from inference.volume import load_volume
from tests.unit.inference_results.studies import BRAIN, LESION, Study

TWO = Study(segments=(BRAIN, LESION))


def saliency(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Values of which no two neighbours are equal, and no flip or change of axes leaves as they were."""
    slices, rows, columns = np.indices(shape, dtype=np.float32)
    total = slices * 7 + rows * 3 + columns
    values: NDArray[np.float32] = (total / total.max()).astype(np.float32)
    return values


def explained(result: Result, *labels: str) -> Result:
    """Let a map explain the findings of these labels, and draw the key slices."""
    uids = tuple(f.tracking_uid for f in result.findings if f.segment.label in labels)
    mapped = replace(result, saliency=Saliency(values=saliency(result.series.shape), explains=uids))
    return replace(mapped, pictures=key_pictures(load_volume(mapped.series), mapped))


def explained_two(folder: Path) -> Result:
    """Return a brain and a lesion, of which the lesion is explained."""
    return explained(TWO.result(folder), LESION.label)
