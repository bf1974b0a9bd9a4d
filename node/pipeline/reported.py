"""What a model found, in the plain values of a report."""

from inference.codes import Code
from inference.declared import Decision, Target
from inference.findings import (
    Classification,
    Detection,
    Finding,
    Measurement,
    Presence,
    Reading,
    Result,
)
from inference.telling import told
from inference.uids import derived_uid
from integrations.report import Coding, Quantity, ReportedFinding, Score


def reported(result: Result) -> tuple[ReportedFinding, ...]:
    """Return everything that the model looked for: what it found, and what it did not find."""
    found = {detection.target for detection in result.detections}
    return (
        *map(_segment, result.findings),
        *map(_answer, result.classifications),
        *map(_place, result.detections),
        *(_nowhere(result, target) for target in result.card.targets if target not in found),
        *map(_reading, result.readings),
    )


def _segment(finding: Finding) -> ReportedFinding:
    planar = finding.key_slice.measurements if finding.key_slice else ()
    segment = finding.segment
    return ReportedFinding(
        tracking_uid=finding.tracking_uid,
        label=segment.label,
        type=coding(segment.type),
        site=optional_coding(segment.finding_site),
        laterality=optional_coding(segment.laterality),
        present=finding.present,
        quantities=tuple(_quantity(item) for item in (*finding.measurements, *planar)),
    )


def _answer(answer: Classification) -> ReportedFinding:
    question = answer.question
    presences = {Presence.PRESENT: True, Presence.ABSENT: False, Presence.INDETERMINATE: None}
    return ReportedFinding(
        tracking_uid=answer.tracking_uid,
        label=question.label,
        type=coding(question.type),
        site=optional_coding(question.finding_site),
        laterality=optional_coding(question.laterality),
        present=presences[answer.presence],
        quantities=(),
        score=_score(question.decision, answer.score),
    )


def _place(detection: Detection) -> ReportedFinding:
    target = detection.target
    return ReportedFinding(
        tracking_uid=detection.tracking_uid,
        label=target.label,
        type=coding(target.type),
        site=optional_coding(target.finding_site),
        laterality=optional_coding(target.laterality),
        present=True,
        quantities=tuple(map(_quantity, detection.measurements)),
        score=_score(target.decision, detection.score),
    )


def _nowhere(result: Result, target: Target) -> ReportedFinding:
    series_instance_uid = str(result.series.headers[0].SeriesInstanceUID)
    return ReportedFinding(
        tracking_uid=derived_uid(series_instance_uid, result.card.name, target.label),
        label=target.label,
        type=coding(target.type),
        site=optional_coding(target.finding_site),
        laterality=optional_coding(target.laterality),
        present=False,
        quantities=(),
    )


def _reading(reading: Reading) -> ReportedFinding:
    measured, quantity = reading.measurement, reading.quantity
    return ReportedFinding(
        tracking_uid=reading.tracking_uid,
        label=quantity.label,
        type=coding(measured.concept),
        site=optional_coding(quantity.finding_site),
        laterality=optional_coding(quantity.laterality),
        present=True,
        quantities=(_quantity(measured),),
    )


def _quantity(item: Measurement) -> Quantity:
    return Quantity(
        concept=coding(item.concept),
        value=str(item.value),
        unit=coding(item.unit),
        derivation=optional_coding(item.derivation),
        method=optional_coding(item.method),
    )


def _score(decision: Decision, score: float) -> Score:
    return Score(
        concept=coding(decision.score),
        value=str(score),
        threshold=str(decision.threshold),
        calibrated=decision.calibrated,
    )


def conclusion(result: Result) -> str:
    """Return the findings in one sentence for people, with the qualification of the model."""
    card = result.card
    found = "; ".join(map(str, told(result)))
    return f"{card.content_qualification}, not for diagnosis. {found} ({card.name} {card.version})."


def coding(code: Code) -> Coding:
    """Return a code as a report has it."""
    return Coding(code.value, code.scheme, code.meaning)


def optional_coding(code: Code | None) -> Coding | None:
    """Return a code as a report has it; None where there is none."""
    return None if code is None else coding(code)
