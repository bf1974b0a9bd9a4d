"""Findings as Observations: what is there or is not, and every number of it.

A finding is an Observation that says whether it is there; its numbers are Observations of their own, which it
names as its members. A number of the whole series stands alone. All of them keep their first identifier
through the revisions of a report, and have a second one for the version.
"""

from collections.abc import Iterator, Set

from integrations.concepts import (
    DERIVATION,
    FINDING,
    LATERALITY,
    MEASUREMENT_GROUP,
    PRESENCES,
    THRESHOLD,
)
from integrations.fhir.coding import (
    AI_ASSERTED,
    CRITICAL,
    IMAGING,
    NEGATIVE,
    POSITIVE,
    UNDECIDED,
    codeable_concept,
    dicom_identifier,
    fhir_coding,
    instant,
    quantity,
)
from integrations.fhir.notices import is_critical
from integrations.fhir.resources import (
    checked,
    effective,
    known,
    model_reference,
    reference_to,
    study_reference,
    versioned,
)
from integrations.fhir.wire import Resource
from integrations.lineage import finding_key, numbers_of
from integrations.report import Quantity, Report, ReportedFinding

_INTERPRETATIONS = {True: POSITIVE, False: NEGATIVE, None: UNDECIDED}


def observations(report: Report, critical: Set[str] = frozenset()) -> list[Resource]:
    """Return every finding and every number of it, a finding right before its numbers.

    Parameters
    ----------
    critical
        Labels or code values of findings that the site calls critical where they are present.
    """
    return [one for finding in report.findings for one in _of(report, finding, critical)]


def _of(report: Report, finding: ReportedFinding, critical: Set[str]) -> Iterator[Resource]:
    numbers = list(_numbers(report, finding)) if finding.present else []
    if not (finding.is_number and numbers):
        yield _presence(report, finding, numbers, is_critical(finding, critical))
    yield from numbers


def _presence(
    report: Report, finding: ReportedFinding, numbers: list[Resource], critical: bool
) -> Resource:
    interpretation = [_INTERPRETATIONS[finding.present], *([CRITICAL] if critical else [])]
    category = [{"coding": [fhir_coding(MEASUREMENT_GROUP)]}] if numbers else []
    resource = _observation(report, finding, finding_key(report, finding))
    resource["identifier"].append(dicom_identifier(finding.tracking_uid))
    return checked(
        known({
            **resource,
            "category": [*resource["category"], *category],
            "code": codeable_concept(finding.type, text=finding.label),
            "valueCodeableConcept": codeable_concept(PRESENCES[finding.present]),
            "interpretation": [{"coding": [one]} for one in interpretation],
            "hasMember": [reference_to(one) for one in numbers],
            "component": [*_side(finding), *_score(finding)],
        })
    )


def _numbers(report: Report, finding: ReportedFinding) -> Iterator[Resource]:
    for one, key in numbers_of(report, finding):
        yield checked(known(_number(report, finding, one, key)))


def _number(report: Report, finding: ReportedFinding, one: Quantity, key: str) -> Resource:
    meaning = one.concept.meaning
    alone = finding.is_number
    what = {
        "code": codeable_concept(FINDING),
        "valueCodeableConcept": codeable_concept(finding.type),
    }
    return {
        **_observation(report, finding, key),
        "code": codeable_concept(
            one.concept, text=finding.label if alone else f"{finding.label}: {meaning}"
        ),
        "valueQuantity": quantity(one.value, one.unit),
        "method": None if one.method is None else codeable_concept(one.method),
        "component": [*([] if alone else [what]), *_side(finding), *_derivation(one)],
    }


def _observation(report: Report, finding: ReportedFinding, key: str) -> Resource:
    return {
        "resourceType": "Observation",
        "meta": {"security": [AI_ASSERTED]},
        "identifier": versioned(report, key),
        "status": "preliminary",
        "category": [{"coding": [IMAGING]}],
        "subject": {"reference": report.record_patient},
        **effective(report),
        "issued": instant(report.issued),
        "device": model_reference(report),
        "derivedFrom": [study_reference(report)],
        "bodySite": _site(finding),
    }


def _site(finding: ReportedFinding) -> Resource | None:
    if finding.site is None:
        return None
    side = finding.laterality
    text = None if side is None else f"{finding.site.meaning}, {side.meaning}"
    return codeable_concept(finding.site, text=text)


def _side(finding: ReportedFinding) -> list[Resource]:
    # R4 has one bodySite without a place for the side
    if finding.laterality is None:
        return []
    side = codeable_concept(finding.laterality)
    return [{"code": codeable_concept(LATERALITY), "valueCodeableConcept": side}]


def _derivation(one: Quantity) -> list[Resource]:
    if one.derivation is None:
        return []
    how = codeable_concept(one.derivation)
    return [{"code": codeable_concept(DERIVATION), "valueCodeableConcept": how}]


def _score(finding: ReportedFinding) -> list[Resource]:
    """Return the score and what it was held against; only a calibrated one bears a concept of probability."""
    score = finding.score
    if score is None:
        return []
    return [
        {
            "code": codeable_concept(score.concept),
            "valueQuantity": quantity(score.value, score.unit),
        },
        {
            "code": codeable_concept(THRESHOLD),
            "valueQuantity": quantity(score.threshold, score.unit),
        },
    ]
