"""What is said beside the report of a finding that the site calls critical, where the site wants that.

It is never the only way in which a critical finding is told: the report stands there as well.
"""

from collections.abc import Iterator, Set

from integrations.fhir.coding import AI_ASSERTED, ALERT, CLINICAL, codeable_concept, instant
from integrations.fhir.resources import checked, model_reference, reference_to, versioned
from integrations.fhir.summary import RESEARCH
from integrations.fhir.wire import Resource
from integrations.lineage import derived_uid, report_uid
from integrations.report import Report, ReportedFinding


def critical_findings(
    report: Report, critical: Set[str]
) -> Iterator[tuple[str, ReportedFinding | None]]:
    """Give each label or code value that the site calls critical, with the first such finding present."""
    for wish in sorted(critical):
        present = (one for one in report.findings if is_critical(one, frozenset({wish})))
        yield wish, next(present, None)


def is_critical(finding: ReportedFinding, critical: Set[str]) -> bool:
    """Whether a finding is present, and the site calls it critical by its label or its code value."""
    return finding.present is True and bool({finding.label, finding.type.value} & critical)


def notice_key(report: Report, wish: str) -> str:
    """Return the UID of what is said of a critical finding, through all revisions."""
    return derived_uid(report_uid(report), wish, "critical")


def flag(report: Report, finding: ReportedFinding, wish: str) -> Resource:
    """Raise a flag on the patient for a critical finding."""
    return checked({
        "resourceType": "Flag",
        "meta": {"security": [AI_ASSERTED]},
        "identifier": versioned(report, notice_key(report, wish)),
        "status": "active",
        "category": [{"coding": [CLINICAL]}],
        "code": codeable_concept(finding.type, text=_words(report, finding)),
        "subject": {"reference": report.record_patient},
        "period": {"start": instant(report.issued)},
        "author": model_reference(report),
    })


def communication(
    report: Report, finding: ReportedFinding, wish: str, summary: Resource
) -> Resource:
    """Say in words that a critical finding is in the report."""
    return checked({
        "resourceType": "Communication",
        "meta": {"security": [AI_ASSERTED]},
        "identifier": versioned(report, notice_key(report, wish)),
        "status": "completed",
        "category": [{"coding": [ALERT]}],
        "priority": "urgent",
        "subject": {"reference": report.record_patient},
        "about": [reference_to(summary)],
        "sent": instant(report.issued),
        "sender": model_reference(report),
        "payload": [{"contentString": _words(report, finding)}],
    })


def _words(report: Report, finding: ReportedFinding) -> str:
    words = f"AI finding, preliminary, not reviewed by a physician: {finding.label} present."
    research = report.model.content_qualification == RESEARCH
    return f"{RESEARCH}, not for diagnosis. {words}" if research else words
