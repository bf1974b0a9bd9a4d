"""What an analysis found, before it is written as DICOM or FHIR."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.card import Card, Segment
from inference.codes import Code
from inference.context import Context
from inference.volume import Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One number with its meaning.

    Parameters
    ----------
    concept
        What was measured (``VOLUME``, ``AREA``).
    value
        The number, in `unit`.
    unit
        UCUM unit.
    """

    concept: Code
    value: float
    unit: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySlice:
    """The slice that shows a finding best, and what was measured on it.

    Parameters
    ----------
    index
        Index into the slices of the volume.
    contour
        Closed outline of the largest region, shape ``(points, 2)``, as (column, row) in pixels with
        (0.5, 0.5) at the centre of the first pixel (PS3.3 C.18.6.1.2); the first point stands again at the end.
    measurements
        Planar values of the outlined region (area), each of them only here.
    """

    index: int
    contour: NDArray[np.float64]
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that the model looked for: present with its measurements, or explicitly absent.

    Parameters
    ----------
    segment
        What it is, as the card declares it.
    tracking_identifier, tracking_uid
        Name of the finding for people, and its UID, shared by SEG, SR and EHR (PS3.16 TID 1410, 1411).
    present
        False when the model looked and found nothing; then there are neither measurements nor a key slice.
    measurements
        Three-dimensional values (volume), each of them only here.
    key_slice
        The slice that shows it best; None when absent.
    """

    segment: Segment
    tracking_identifier: str
    tracking_uid: str
    present: bool
    measurements: tuple[Measurement, ...]
    key_slice: KeySlice | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Saliency:
    """Where in the images a model found its reasons, as it says itself.

    Parameters
    ----------
    values
        float32, shape ``(slices, rows, columns)`` on the source grid, slices ascending along the stack's
        normal; from 0, no part in the answer, to 1, the largest.
    explains
        Tracking UIDs of the findings that it explains.
    """

    values: NDArray[np.float32]
    explains: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPicture:
    """One key slice as it is shown to people, everything drawn into it; it names no patient.

    Parameters
    ----------
    index
        Index into the slices of the volume.
    pixels
        uint8 RGB, shape ``(rows, columns, 3)``; all pictures of a result have one shape.
    shows
        Tracking UIDs of the findings whose key slice it is.
    lines
        What is written in it, line by line.
    """

    index: int
    pixels: NDArray[np.uint8]
    shows: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The answer of one analysis.

    Parameters
    ----------
    card
        The model that answered.
    series
        The series that the mask lies on.
    mask
        uint8, shape ``(slices, rows, columns)`` on the source grid, slices ascending along the stack's
        normal; 0 is background, other values are segment numbers.
    findings
        One for each segment of the card, in its order.
    context
        What the model was told of the patient.
    server
        What ran the networks, in words (``Triton 2.51.0, gRPC with shared memory``).
    seconds
        Duration of each stage by name: ``read``, ``preprocess``, ``server`` (of which ``forward`` in the
        networks themselves), ``postprocess``, ``measure``, ``draw``.
    saliency
        Where the model found its reasons; None when it does not say.
    pictures
        The key slices as `rendering.key_pictures` draws them, ascending; empty where none was drawn.
    """

    card: Card
    series: Series
    mask: NDArray[np.uint8]
    findings: tuple[Finding, ...]
    context: Context
    server: str
    seconds: Mapping[str, float]
    saliency: Saliency | None = None
    pictures: tuple[KeyPicture, ...] = ()
