"""What a model found, in the plain values of a report."""

from inference.codes import Code
from inference.declared import Target
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
from integrations.report import Coding, Quantity, ReportedFinding


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
    site = finding.segment.finding_site
    return ReportedFinding(
        tracking_uid=finding.tracking_uid,
        label=finding.segment.label,
        type=coding(finding.segment.type),
        site=coding(site) if site else None,
        present=finding.present,
        quantities=tuple(_quantity(item) for item in (*finding.measurements, *planar)),
    )


def _answer(answer: Classification) -> ReportedFinding:
    """Return an answer without its score: on no scale that a record knows, it would be taken for a risk."""
    question = answer.question
    presences = {Presence.PRESENT: True, Presence.ABSENT: False, Presence.INDETERMINATE: None}
    return ReportedFinding(
        tracking_uid=answer.tracking_uid,
        label=question.label,
        type=coding(question.type),
        site=coding(question.finding_site) if question.finding_site else None,
        present=presences[answer.presence],
        quantities=(),
    )


def _place(detection: Detection) -> ReportedFinding:
    target = detection.target
    return ReportedFinding(
        tracking_uid=detection.tracking_uid,
        label=target.label,
        type=coding(target.type),
        site=coding(target.finding_site) if target.finding_site else None,
        present=True,
        quantities=tuple(map(_quantity, detection.measurements)),
    )


def _nowhere(result: Result, target: Target) -> ReportedFinding:
    series_instance_uid = str(result.series.headers[0].SeriesInstanceUID)
    return ReportedFinding(
        tracking_uid=derived_uid(series_instance_uid, result.card.name, target.label),
        label=target.label,
        type=coding(target.type),
        site=coding(target.finding_site) if target.finding_site else None,
        present=False,
        quantities=(),
    )


def _reading(reading: Reading) -> ReportedFinding:
    measured, site = reading.measurement, reading.quantity.finding_site
    return ReportedFinding(
        tracking_uid=reading.tracking_uid,
        label=reading.quantity.label,
        type=coding(measured.concept),
        site=coding(site) if site else None,
        present=True,
        quantities=(_quantity(measured),),
    )


def _quantity(item: Measurement) -> Quantity:
    return Quantity(
        concept=coding(item.concept),
        value=str(item.value),
        unit=coding(item.unit),
    )


def conclusion(result: Result) -> str:
    """Return the findings in one sentence for people, with the qualification of the model."""
    card = result.card
    found = "; ".join(map(str, told(result)))
    return f"{card.content_qualification}, not for diagnosis. {found} ({card.name} {card.version})."


def coding(code: Code) -> Coding:
    """Return a code as a report has it."""
    return Coding(code.value, code.scheme, code.meaning)
