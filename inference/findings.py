"""What an analysis found, before it is written as DICOM or FHIR."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from inference.card import Card, Segment
from inference.codes import Code
from inference.context import Context
from inference.declared import Quantity, Question, Target
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
    derivation
        How it follows from many values (CID 7464: mean, maximum); None when it is the value itself.
    method
        How it was measured (CID 7473); None when there is nothing to say.
    """

    concept: Code
    value: float
    unit: Code
    derivation: Code | None = None
    method: Code | None = None


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
        Planar values of the outlined region (area, longest axis), each of them only here.
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


class Presence(StrEnum):
    """The answer to a question."""

    PRESENT = "PRESENT"
    ABSENT = "ABSENT"
    INDETERMINATE = "INDETERMINATE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """The model's answer to a question about the whole series.

    Parameters
    ----------
    question
        What was asked, as the card declares it.
    tracking_identifier, tracking_uid
        Name of the answer for people, and its UID.
    score
        What the model gave, on the scale of the question's decision.
    """

    question: Question
    tracking_identifier: str
    tracking_uid: str
    score: float

    @property
    def presence(self) -> Presence:
        """The score as the question's decision reads it."""
        decision = self.question.decision
        if self.score >= decision.threshold:
            return Presence.PRESENT
        lower = decision.indeterminate_from
        unsure = lower is not None and self.score >= lower
        return Presence.INDETERMINATE if unsure else Presence.ABSENT


class Form(StrEnum):
    """What is drawn where something is."""

    CONTOUR = "CONTOUR"
    BOX = "BOX"
    POINT = "POINT"
    DIAMETER = "DIAMETER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One place at which the model found a target.

    Parameters
    ----------
    target
        What was found, as the card declares it.
    tracking_identifier, tracking_uid
        Name of this one for people, and its UID: each place has its own.
    score
        What the model gave, on the scale of the target's decision.
    form
        What `points` are.
    index
        The slice that shows it best: index into the slices of the volume.
    points
        Shape ``(points, 2)``, (column, row) in pixels with (0.5, 0.5) at the centre of the first pixel: the
        closed outline of a box, one point, or the two ends of the longest diameter.
    measurements
        Values of this place, the longest diameter among them when `form` says so.
    """

    target: Target
    tracking_identifier: str
    tracking_uid: str
    score: float
    form: Form
    index: int
    points: NDArray[np.float64]
    measurements: tuple[Measurement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A number of the whole series.

    Parameters
    ----------
    quantity
        What was measured, as the card declares it.
    tracking_identifier, tracking_uid
        Name of the number for people, and its UID.
    value
        In the quantity's unit.
    """

    quantity: Quantity
    tracking_identifier: str
    tracking_uid: str
    value: float

    @property
    def measurement(self) -> Measurement:
        """The number with its meaning."""
        return Measurement(
            concept=self.quantity.concept,
            value=self.value,
            unit=self.quantity.unit,
            derivation=self.quantity.derivation,
        )


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
class Compared:
    """A series of an earlier study that the model was given.

    Parameters
    ----------
    prior
        Which of the card's priors it is.
    study_date
        Study Date (0008,0020), as ``2026-11-26``; None where the series names none.
    sop_classes
        SOP Class UID of each of its instances, by SOP Instance UID.
    """

    prior: str
    modality: str
    study_date: str | None
    study_instance_uid: str
    series_instance_uid: str
    sop_classes: Mapping[str, str]


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
    classifications, detections, readings
        What was found beside the segments: an answer to each question of the card, every place of its targets,
        a value of each quantity.
    remarks
        What the quality gate has to say of the images, in sentences that name no patient.
    compared
        The earlier series that the model was given.
    not_compared
        Why there was none, as a reason code, for each of the card's priors that it was not given.
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
    classifications: tuple[Classification, ...] = ()
    detections: tuple[Detection, ...] = ()
    readings: tuple[Reading, ...] = ()
    remarks: tuple[str, ...] = ()
    compared: tuple[Compared, ...] = ()
    not_compared: Mapping[str, str] = field(default_factory=dict)
