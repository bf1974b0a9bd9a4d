"""Findings as OBX segments: what is there or is not, and every number of it.

OBX-3 says what is told and OBX-4 of what: the sub-ID of a finding, and for its numbers the same with a part
of their own behind a dot. Both stay the same through the revisions of a report.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from integrations.concepts import (
    ALGORITHM_NAME,
    ALGORITHM_VERSION,
    DERIVATION,
    FINDING_SITE,
    IMPRESSION,
    LATERALITY,
    PRESENCES,
    STUDY_INSTANCE_UID,
    THRESHOLD,
)
from integrations.hl7.fields import (
    LONGEST_NUMBER,
    coded,
    composite,
    escaped,
    number,
    paragraphs,
    segment,
    time_stamp,
    token,
    units,
)
from integrations.lineage import finding_key, numbers_of
from integrations.report import Coding, Quantity, Report, ReportedFinding

_OF_A_FINDING = 13
_OF_A_NUMBER = LONGEST_NUMBER - _OF_A_FINDING - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One OBX before it is written; its values are written already.

    Parameters
    ----------
    kind
        OBX-2: ``CWE``, ``HD``, ``NM``, ``ST`` or ``TX``.
    what, sub_id, value, unit, method
        OBX-3, OBX-4, OBX-5, OBX-6, OBX-17.
    """

    kind: str
    what: str
    value: str
    sub_id: str = ""
    unit: str = ""
    method: str = ""


def observation_segments(report: Report, status: str) -> Iterator[str]:
    """Write everything that a report says.

    Parameters
    ----------
    status
        OBX-11 of all of them (HL7 table 0085): ``P``, ``W`` or ``D``.
    """
    for place, one in enumerate(observations(report), start=1):
        fields = {
            1: str(place),
            2: one.kind,
            3: one.what,
            4: one.sub_id,
            5: one.value,
            6: one.unit,
            11: status,
            17: one.method,
            18: composite(report.model.device_uid),
            19: time_stamp(report.issued),
        }
        yield segment("OBX", fields)


def observations(report: Report) -> Iterator[Observation]:
    """Give the conclusion, the model, the study, then every finding right before its numbers."""
    yield Observation(kind="TX", what=coded(IMPRESSION), value=paragraphs(report.conclusion))
    yield _text(ALGORITHM_NAME, report.model.name)
    yield _text(ALGORITHM_VERSION, report.model.version)
    uid = composite("", report.study.study_instance_uid, "ISO")
    yield Observation(kind="HD", what=coded(STUDY_INSTANCE_UID), value=uid)
    for finding in report.findings:
        yield from _finding(report, finding)


def sub_id(report: Report, finding: ReportedFinding) -> str:
    """Return the OBX-4 of a finding, the same through all revisions."""
    return token(finding_key(report, finding), length=_OF_A_FINDING)


def _finding(report: Report, finding: ReportedFinding) -> Iterator[Observation]:
    of = sub_id(report, finding)
    numbers = list(numbers_of(report, finding)) if finding.present else []
    if not (finding.is_number and numbers):
        what = coded(finding.type, finding.label)
        yield _code(what, PRESENCES[finding.present], of)
    if finding.site is not None:
        yield _code(coded(FINDING_SITE), finding.site, of)
    if finding.laterality is not None:
        yield _code(coded(LATERALITY), finding.laterality, of)
    if finding.score is not None:
        score = finding.score
        for concept, value in ((score.concept, score.value), (THRESHOLD, score.threshold)):
            yield Observation(
                kind="NM",
                what=coded(concept),
                sub_id=of,
                value=number(value),
                unit=units(score.unit),
            )
    for one, key in numbers:
        yield from _number(finding, one, of if finding.is_number else _part(of, key))


def _number(finding: ReportedFinding, one: Quantity, of: str) -> Iterator[Observation]:
    yield Observation(
        kind="NM",
        what=coded(one.concept, finding.label if finding.is_number else None),
        sub_id=of,
        value=number(one.value),
        unit=units(one.unit),
        method="" if one.method is None else coded(one.method),
    )
    if one.derivation is not None:
        yield _code(coded(DERIVATION), one.derivation, of)


def _part(of: str, key: str) -> str:
    return f"{of}.{token(key, length=_OF_A_NUMBER)}"


def _code(what: str, value: Coding, of: str) -> Observation:
    return Observation(kind="CWE", what=what, sub_id=of, value=coded(value))


def _text(what: Coding, value: str) -> Observation:
    return Observation(kind="ST", what=coded(what), value=escaped(value))
